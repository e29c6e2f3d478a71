"""Screenshots of the report in a headless Chromium: a wide and a narrow window, light and dark."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from io import BytesIO
from pathlib import Path

from PIL import Image

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
WIDE, NARROW = (1280, 900), (390, 844)
"""Width and height of a laptop's and of a phone's window, in pixels."""
_MARGIN = 200
"""Pixels that the window is larger than the page: it has a minimum width, and bars of its own."""


def browser() -> str | None:
    """The path of a Chromium; None where none is installed."""
    names = (os.environ.get("OSRL_BENCH_BROWSER", ""), *BROWSERS)
    return next((path for name in names if (path := shutil.which(name))), None)


def screenshot(page: Path, size: tuple[int, int], scheme: str) -> bytes:
    """The top of an HTML page as PNG, in a window of this size.

    `scheme` is "light" or "dark", what the user prefers.
    Raises `RuntimeError` if no browser is installed or it draws nothing.
    """
    program = browser()
    if program is None:
        raise RuntimeError("no Chromium is installed")
    width, height = size
    with tempfile.TemporaryDirectory() as scratch:
        frame = Path(scratch) / "frame.html"
        frame.write_text(
            f"<body style=margin:0><iframe src='{page.resolve().as_uri()}' scrolling=no "
            f"style=border:0 width={width} height={height}></iframe>"
        )
        target = Path(scratch) / "page.png"
        command = [
            *(program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *(["--force-dark-mode"] if scheme == "dark" else []),
            f"--user-data-dir={scratch}/profile",
            f"--window-size={width + _MARGIN},{height + _MARGIN}",
            *("--virtual-time-budget=10000", f"--screenshot={target}", frame.as_uri()),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if not target.exists():
            raise RuntimeError(f"{program} drew nothing: {done.stderr[-500:]}")
        image = Image.open(target).convert("RGB").crop((0, 0, width, height))
        buffer = BytesIO()
        # A palette halves the file. Coverage, as the methods' few pixels each have a colour.
        palette = image.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        palette.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
