"""Opens HDF5 files for reading, and tells why one cannot be read."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from benchmarks.common.errors import UserError

HDF5_ERRORS = (OSError, RuntimeError, LookupError, AttributeError, TypeError, ValueError)
"""The exceptions that h5py raises on damaged files, depending on where the damage is."""
_WITHOUT_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_ACCESS = {errno.EACCES, errno.EPERM}
_ELSEWHERE = {errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ETIMEDOUT}
"""Errors of the machine, not of the file."""


class UnreadableError(UserError):
    """A data file that cannot be read; the message says why, and begins with no path."""

    def __init__(self, message: str, *, damaged: bool) -> None:
        super().__init__(message)
        self.damaged = damaged
        """Whether the contents are to blame, not the way to them."""


@contextmanager
def reading(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading; `UnreadableError` if it, or what the block reads, cannot be read."""
    try:
        with _open(path) as file:
            yield file
    except UserError:
        raise
    except HDF5_ERRORS as error:
        raise _unreadable(path, error) from None


def _open(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r")
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            raise
        return h5py.File(path, "r", locking=False)  # a reader does without


def _unreadable(path: Path, error: Exception) -> UnreadableError:
    code = error.errno if isinstance(error, OSError) else None
    cause = " ".join(str(error).split())
    if path.is_symlink() and not path.exists():
        text = f"is a link to {path.readlink()}, which does not exist"
    elif code in (errno.EAGAIN, errno.EWOULDBLOCK) or "unable to lock file" in cause:
        text = "is open in a program that writes to it: try again once it is closed there"
    elif code in _ACCESS:
        text = "may not be read by this user: change its permissions"
    elif code in _ELSEWHERE:
        text = f"cannot be read now ({cause})"
    elif not path.exists():
        text = "does not exist"
    elif path.is_dir():
        text = "is a folder"
    else:
        return UnreadableError(f"is damaged or not HDF5 ({cause})", damaged=True)
    return UnreadableError(text, damaged=False)
