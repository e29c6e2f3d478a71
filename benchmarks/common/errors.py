"""The exception for mistakes that the user can correct, and the exit status of commands."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches


class UserError(Exception):
    """A mistake in the input; the message is one line with the thing, the cause and the remedy.

    Commands print the message without a traceback and exit with status 2.
    """


_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ESTALE}


def is_disk_error(error: BaseException) -> bool:
    """Whether an error means that a disk is full or cannot be written."""
    return isinstance(error, OSError) and error.errno in _DISK_ERRORS


def describe(error: BaseException) -> str:
    """The kind and the message of an error, in one line."""
    return " ".join([f"{type(error).__name__}:", *str(error).split()])


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for an unknown name, with the known names and the nearest one."""
    names = {choice.lower(): choice for choice in sorted(known)}
    near = get_close_matches(name.lower(), names, n=1)
    hint = f"did you mean {names[near[0]]}? " if near else ""
    return UserError(f"unknown {kind} {name!r}: {hint}known are {', '.join(names.values())}")


def _printable(text: str) -> str:
    """Text in one line: what a user gave may hold line ends and other control characters."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def exit_status(command: Callable[[], int]) -> int:
    """Run a command and return the exit status of the process.

    2 for a `UserError` and for what the system refuses, 1 if a disk is full or cannot be written,
    130 for Ctrl-C, 141 if the reader of the output is gone.
    """
    try:
        return command()
    except UserError as error:
        print(f"error: {_printable(str(error))}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 141  # as a shell tells it
    except OSError as error:
        if is_disk_error(error):
            print(f"error: {error}: free disk space and repeat the command", file=sys.stderr)
            return 1
        where = "" if error.filename is None else f"{str(error.filename)[:200]}: "
        print(f"error: {_printable(where)}{error.strerror or describe(error)}", file=sys.stderr)
        return 2
    except MemoryError:
        print("error: there is not enough memory: use fewer --workers", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped: run the same command again to go on", file=sys.stderr)
        return 130
