"""Opens a page in headless Chromium, for tests that look at what a person would see."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
)


def console_messages(page: Path, folder: Path, *, screenshot: Path | None = None, dark: bool = False) -> list[str]:
    """What the browser's console said while it opened a page; skips the test where no browser is installed.

    Args:
        page: The HTML file.
        folder: An empty place for the browser's profile.
        screenshot: A PNG to write.
        dark: Asks for the dark theme.
    """
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium is installed")
    options = [*QUIET, f"--user-data-dir={folder / 'profile'}", "--window-size=1200,1600"]
    if dark:
        options.append("--blink-settings=preferredColorScheme=0")
    picture = screenshot or folder / "page.png"
    done = subprocess.run(
        [browser, *options, f"--screenshot={picture}", page.resolve().as_uri()],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert picture.exists(), done.stderr
    return re.findall(r"CONSOLE[^\]]*\] *(.*)", done.stderr)
