"""The one exception that is a user's to mend."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches


class UserError(Exception):
    """A mistake in the input: one line that names the thing, the cause and the remedy.

    Commands print it without a traceback and exit with status 2.
    """


_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ESTALE}


def disk_refuses(error: BaseException) -> bool:
    """Whether an error says that a disk is full or cannot be written: nobody's mistake."""
    return isinstance(error, OSError) and error.errno in _DISK


def describe(error: BaseException) -> str:
    """The kind and the message of an error, in one line."""
    return " ".join([f"{type(error).__name__}:", *str(error).split()])


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that is not in a table, with the nearest one that is."""
    names = {one.lower(): one for one in sorted(known)}
    near = get_close_matches(name.lower(), names, n=1)
    hint = f"did you mean {names[near[0]]}? " if near else ""
    return UserError(f"unknown {kind} {name!r}: {hint}known are {', '.join(names.values())}")


def exit_status(command: Callable[[], int]) -> int:
    """Run a command and return what the process exits with.

    2 for a mistake, 1 for a disk that is full or cannot be written, 130 for Ctrl-C.
    """
    try:
        return command()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if not disk_refuses(error):
            raise
        print(f"error: {error}: make room, and run the same command again", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped: run the same command again to go on", file=sys.stderr)
        return 130
