"""A command as a program of its own, from its first line to the end of the process.

What surrounds it must not matter: the standard streams may be closed or may not take every letter,
there may be no home folder, and variables may be meant for a notebook.
"""

from __future__ import annotations

import getpass
import io
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from benchmarks.common.ending import adopt_orphans, end
from benchmarks.common.hardware import raise_open_files


def as_program(main: Callable[[], int]) -> NoReturn:
    """Run `main` and end this process with the exit status that it returns."""
    adopt_orphans()
    settle()
    try:
        status = main()
    except SystemExit as leaving:  # of --help
        status = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except KeyboardInterrupt:
        status = 130
    except BaseException:
        traceback.print_exc()
        status = 1
    end(status)


def settle() -> None:
    """Make this process, and those that it starts, independent of what surrounds them."""
    _open_streams()
    # A notebook's backend is set for what it starts, and need not be installed here.
    os.environ["MPLBACKEND"] = "agg"
    _find_home()
    raise_open_files()


def _open_streams() -> None:
    """Open closed standard streams, and let letters that a stream lacks become question marks."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:  # later files would take its number
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            setattr(sys, name, None)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115
        stream = getattr(sys, name)
        if name != "stdin" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _find_home() -> None:
    """Name a home folder and a user where there are none, as libraries ask for both."""
    try:
        Path.home()
    except RuntimeError:
        folder = Path(tempfile.gettempdir()) / f"osrl-bench-{os.getuid()}"
        with suppress(OSError):
            folder.mkdir(mode=0o700, exist_ok=True)
        os.environ["HOME"] = str(folder)
    try:
        getpass.getuser()
    except (KeyError, ImportError, OSError):
        os.environ["USER"] = f"user{os.getuid()}"
