"""The application: its verbs, and how errors become messages and exit codes."""

import os
import platform
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from linnet import __version__
from linnet.cli.channels import channels
from linnet.cli.demo import demo
from linnet.cli.doctor import doctor
from linnet.cli.jet.verbs import jet
from linnet.cli.natural_digits import natural
from linnet.cli.nuclei import nuclei
from linnet.cli.report import report
from linnet.cli.run import run
from linnet.cli.spectra.spectrum import spectrum
from linnet.errors import LinnetError

USAGE_ERROR, FAILURES, INTERRUPTED, PIPE_CLOSED = 2, 1, 130, 141

app = App(
    name="linnet",
    help="Find and count nuclei in microscopy images; train, read and reshape vision networks.",
    help_format="plaintext",
    help_epilogue="Start here: linnet demo",
    version=f"linnet {__version__} (Python {platform.python_version()})",
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
app.command(demo, help_epilogue="Example: linnet demo")
app.command(natural, help_epilogue="Example: linnet natural -o natural")
app.command(doctor, help_epilogue="Example: linnet doctor")
app.command(run, help_epilogue="Example: linnet run recipes/nuclei.toml --set train.epochs=2")
app.command(channels, help_epilogue="Example: linnet channels resnet --input 1x3x32x32 --html channels.html")
app.command(spectrum, help_epilogue="Example: linnet spectrum mlp --data fashion_mnist --loss cross_entropy")
app.command(report, help_epilogue="Example: linnet report runs/nuclei")
app.command(nuclei)
app.command(jet)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line.

    Args:
        arguments: The words after `linnet`; None takes them from the process.

    Returns:
        The exit code: 0 done; 1 done, but some inputs failed; 2 refused, with one message on stderr; 130 interrupted;
        141 when whoever reads the output closed it, as `| head` does.
    """
    try:
        code = app(arguments, exit_on_error=False) or 0
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), 1
        )  # what is left to write, Python's last flush included, goes nowhere
        return PIPE_CLOSED
    except CycloptsError:
        return USAGE_ERROR  # cyclopts has shown what was wrong
    except LinnetError as error:
        _complain("error", str(error))
    except KeyboardInterrupt as stop:
        _complain("stopped", str(stop) or "Give the same command again to start over; no half-written file was left.")
        return INTERRUPTED
    except OSError as error:
        if error.filename is None:
            raise
        _complain("error", f"`{error.filename}`: {error.strerror}. Check the path and its permissions.")
    return USAGE_ERROR


def _complain(kind: str, message: str) -> None:
    from rich.console import Console
    from rich.text import Text

    # rich drops colours by itself when stderr is no terminal; soft_wrap keeps a message on one line there.
    Console(stderr=True, soft_wrap=True).print(Text.assemble((f"{kind}: ", "bold red"), message))
