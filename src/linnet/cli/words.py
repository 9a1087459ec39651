"""Messages in the words of the command line: `--diameter` where the library says `diameter_px`."""

import inspect
import re
from collections.abc import Callable, Mapping
from functools import wraps
from typing import ParamSpec

from linnet.errors import LinnetError

# Arguments of the library whose option has another name.
_RENAMED = {
    "pixel_size_um": "pixel_size",
    "diameter_px": "diameter",
    "radius_px": "radius",
    "formats": "format",
    "directory": "out",
    "layer": "what",
    "example": "input_",
}
# Parameter of a verb, the library's remedy, and the verb's own.
_REMEDIES = (
    (
        "reduce",
        "torch.nn.Sequential(model, torch.nn.Flatten()) keeps them all.",
        "torch.nn.Sequential(model, torch.nn.Flatten()) keeps them all; --reduce mean and --reduce flatten do that.",
    ),
    (
        "compare_theory",
        "Give the numbers yourself: theory(depth, activation, weight_variance, bias_variance, width, ...).",
        "Leave out --compare-theory.",
    ),
)

P = ParamSpec("P")


def in_cli_words(verb: Callable[P, int]) -> Callable[P, int]:
    """A verb whose errors name its options in place of the library's arguments.

    Example:
        >>> @in_cli_words
        ... def detect(*, diameter: float = 1) -> int:
        ...     raise LinnetError("`diameter_px` must be positive (got -1).")
        >>> detect()
        Traceback (most recent call last):
            ...
        linnet.errors.LinnetError: `--diameter` must be positive (got -1).
    """
    options = {
        name: _option(name) for name, p in inspect.signature(verb).parameters.items() if p.kind is p.KEYWORD_ONLY
    }

    @wraps(verb)
    def called(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            return verb(*args, **kwargs)
        except LinnetError as error:
            error.args = tuple(cli_words(a, options) if isinstance(a, str) else a for a in error.args)
            raise

    return called


def cli_words(text: str, options: Mapping[str, str]) -> str:
    """Text in which each argument between backticks that is an option is named as the option.

    Args:
        text: A message.
        options: Option by the name of the verb's parameter.
    """

    def option(found: re.Match[str]) -> str:
        name = found[1] if found[1] in options else _RENAMED.get(found[1], found[1])
        return f"`{options[name]}`" if name in options else found[0]

    text = re.sub(r'ChannelGraph\(\.\.\., frozen=\["([^"]*)"\]\)', r"--frozen \1", text)
    for name, said, instead in _REMEDIES:
        if name in options:
            text = text.replace(said, instead)
    return re.sub(r"`([a-z_]+)`", option, text)


def _option(name: str) -> str:
    return f"--{name.rstrip('_').replace('_', '-')}"
