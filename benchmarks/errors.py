"""The one exception that is a user's to mend."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches


class UserError(Exception):
    """A mistake in the input: one line that names the thing, the cause and the remedy.

    Commands print it without a traceback and exit with status 2.
    """


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that is not in a table, with the nearest one that is."""
    names = {one.lower(): one for one in sorted(known)}
    near = get_close_matches(name.lower(), names, n=1)
    hint = f"did you mean {names[near[0]]}? " if near else ""
    return UserError(f"unknown {kind} {name!r}: {hint}known are {', '.join(names.values())}")


def exit_status(command: Callable[[], int]) -> int:
    """Run a command and return what the process exits with: 2 for a mistake, 130 for Ctrl-C."""
    try:
        return command()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped: run the same command again to go on", file=sys.stderr)
        return 130
