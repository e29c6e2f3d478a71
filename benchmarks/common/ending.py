"""The end of a process, in bounded time, whatever foreign code has left behind.

Plugins, simulators and libraries leave threads, children, pools and exit handlers. They get
`END_SECONDS` to finish; then the process exits with its status all the same.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import io
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

END_SECONDS = 5.0
"""Time that threads and exit handlers have once the work of a process is done."""
_LAST_RESORT_SECONDS = 2
"""Further time until the kernel ends a process that holds Python's global lock."""
_PR_SET_CHILD_SUBREAPER = 36
_SELF_ENDING = b"multiprocessing.resource_tracker"
"""A helper of Python that ends with its parent and cleans up first."""


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parents exit, so that `end` finds them."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end(status: int) -> NoReturn:
    """Run the exit handlers, kill the remaining children, and exit; for the main thread only.

    The interpreter is not torn down, which takes half a second in a fork.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends already
    _exit_later(status)
    for step in (_flush_standard_streams, _join_threads, atexit._run_exitfuncs, _flush_files):
        with suppress(BaseException):  # the work is done: nothing here changes the status
            step()
    _exit(status)


def _exit(status: int) -> NoReturn:
    with suppress(OSError):
        kill_descendants()
    os._exit(status)


def _exit_later(status: int) -> None:
    """Exit after `END_SECONDS`, whatever the main thread does then."""

    def wait_and_exit() -> None:
        time.sleep(END_SECONDS)
        _exit(status)

    with suppress(RuntimeError):  # no more threads: the alarm below remains
        threading.Thread(target=wait_and_exit, daemon=True).start()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    signal.alarm(int(END_SECONDS) + _LAST_RESORT_SECONDS)


def _join_threads() -> None:
    """Tell pools to stop and wait for all threads but daemons, as the interpreter does."""
    threading._shutdown()  # type: ignore[attr-defined]


def _flush_standard_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, or its reader is gone
            stream.flush()


def _flush_files() -> None:
    for candidate in gc.get_objects():
        if issubclass(type(candidate), io.IOBase):
            with suppress(Exception):  # closed, or not writable
                candidate.flush()
    ctypes.CDLL(None).fflush(None)
    _flush_standard_streams()


def kill_group(pid: int) -> None:
    """Kill a process that leads a group, and the rest of its group."""
    for kill in (os.killpg, os.kill):
        with suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


def kill_descendants() -> None:
    """Kill every process that this one has started, directly or not; on Linux only."""
    for _ in range(3):  # a process may start another one in the meantime
        found = _descendants()
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return


def _descendants() -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):  # it has just ended
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z" and _SELF_ENDING not in (entry / "cmdline").read_bytes():
                children.setdefault(int(parent), []).append(int(entry.name))
    found, left = list[int](), [os.getpid()]
    while left:
        left += (below := children.get(left.pop(), []))
        found += below
    return found
