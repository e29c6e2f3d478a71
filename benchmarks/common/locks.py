"""Locks between processes: the operating system releases them when their holder ends."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from benchmarks.common.errors import UserError

_HELD = {errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK}
"""What `flock` raises where another process holds the lock."""
_MISSING = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}
"""What it raises where the file system has no locks, or its lock service is down."""
_POLL_SECONDS = 0.1
_QUIET_SECONDS = 2.0
"""Time that a wait takes before it is told."""


class HeldError(Exception):
    """Another process holds the lock."""


class NoLocksError(UserError):
    """The file system of a lock has no locks."""


_descriptors = set[int]()
"""Of the locks that this process holds."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock `path`, a file that is created; `HeldError` if another process holds it.

    `NoLocksError` where the file system has no locks.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _lock(descriptor, path)
        _descriptors.add(descriptor)
        yield
    finally:
        _descriptors.discard(descriptor)
        with suppress(OSError):
            os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            raise HeldError(f"another process holds {path}") from None
        if error.errno in _MISSING:
            raise NoLocksError(
                f"{path.parent} is on a file system without locks ({error.strerror}): use a "
                "folder on another disk, or have it mounted with locks"
            ) from None
        raise


def require_locks(folder: Path) -> None:
    """Raise `NoLocksError` if files in `folder`, which is created, cannot be locked."""
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".locks.{os.getpid()}"
    try:
        with locked(probe):
            pass
    finally:
        probe.unlink(missing_ok=True)


@contextmanager
def waiting_lock(path: Path, purpose: str) -> Iterator[None]:
    """Hold the lock `path`, waiting for it; a wait of seconds is told on standard error.

    `purpose` says what the other process does, as in "makes BallRun.hdf5".
    """
    since, told = time.time(), False
    while True:
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(path))
            except HeldError:
                pass
            else:
                yield
                return
        if not told and time.time() - since > _QUIET_SECONDS:
            print(
                f"waiting since {clock(since)} for another process that {purpose} "
                f"(it holds {path}; Ctrl-C stops the waiting)",
                file=sys.stderr,
                flush=True,
            )
            told = True
        time.sleep(_POLL_SECONDS)


def clock(seconds: float) -> str:
    """A time of `time.time` as the user's clock shows it."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _close_inherited() -> None:
    """A child that is forked while a lock is held must not hold it on after its parent."""
    for descriptor in _descriptors:
        with suppress(OSError):
            os.close(descriptor)
    _descriptors.clear()


os.register_at_fork(after_in_child=_close_inherited)
