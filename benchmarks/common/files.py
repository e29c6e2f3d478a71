"""Atomic writing of files: a reader or a crash never sees a partial file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.common.errors import UserError

_LONGEST_NAME = 200
"""Bytes in a name; file systems take 255, and temporary files add to a name."""


def is_file_name(name: str) -> bool:
    """Whether a file or folder can have this name on any file system."""
    plain = Path(name).name == name and "\0" not in name
    return plain and 0 < len(os.fsencode(name)) <= _LONGEST_NAME


def user_path(text: str | Path) -> Path:
    """The path that a user writes; ~ is the home folder where no shell has replaced it."""
    if "\0" in str(text):
        raise UserError(f"{str(text)!r} is not a path")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise UserError(f"{text}: there is no such home folder") from None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; rename it to `path` when the block ends.

    The bytes are on the disk before the rename. If the block fails, `path` is unchanged.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
        _sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Write the rename itself to the disk, so that later renames never survive without it."""
    with suppress(OSError):  # some network file systems do not support it
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_parts(folder: Path) -> None:
    """Remove partial files of killed writers from `folder`; no writer may be active there."""
    for part in folder.glob(".*.part"):
        part.unlink(missing_ok=True)


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write `content` to `path`, completely or not at all."""
    with replacing(path) as part:
        part.write_bytes(
            content.encode(errors="backslashreplace") if isinstance(content, str) else content
        )


def require_writable(folder: Path) -> None:
    """Create `folder` and check that files can be created in it; `UserError` otherwise."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"cannot write to {folder} ({error.strerror}): choose another with --results"
        ) from None
