"""The log of a run: log.txt in its folder, with what happened when, and what libraries printed."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

LOG_FILE = "log.txt"


def log(folder: Path, text: str) -> None:
    """Append lines with the time to the log in `folder`; what cannot be written is left out.

    Several processes may append to one log.
    """
    stamp = time.strftime("%Y-%m-%d %H:%M:%S")
    lines = "".join(f"{stamp} {line}\n" for line in text.splitlines())
    with suppress(OSError), (folder / LOG_FILE).open("a", encoding="utf-8") as file:
        file.write(lines)
