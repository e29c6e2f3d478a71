"""Lists on the command line: words between spaces or commas, and ranges of whole numbers."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.common.errors import UserError
from benchmarks.common.files import user_path
from benchmarks.methods.variants import MARK

LARGEST_SEED = 2**32 - 1
"""The largest seed that every random generator in use takes."""
_MOST = 10_000
"""Numbers in one range at most: more is a slip of the finger."""


class ListAction(argparse.Action):
    """Splits each word by `split`; a later use of the option replaces, or adds if `extend`."""

    def __init__(
        self,
        option_strings: Sequence[str],
        dest: str,
        *,
        split: Callable[[str, str], Sequence[Any]],
        extend: bool = False,
        nargs: str = "+",
        **more: Any,
    ) -> None:
        super().__init__(option_strings, dest, nargs=nargs, **more)
        self.split, self.extend = split, extend

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Store the values of all words as one tuple."""
        option = self.option_strings[0] if self.option_strings else str(self.metavar or self.dest)
        items = tuple(item for word in values for item in self.split(word, option))
        if values and not items:
            raise UserError(f"{option} is given no value")
        before = getattr(namespace, self.dest, None) or ()
        setattr(namespace, self.dest, (*before, *items) if self.extend else items)


def names(word: str, option: str) -> list[str]:
    """`"BallRun,CarRun"` is two names; a file of such a name is one."""
    return [word] if _is_file(word) else _pieces(word)


def methods(word: str, option: str) -> list[str]:
    """`"gas@alpha=0.9,mask=false,cdt"` is a variant and a method.

    A comma separates methods, except between the options of a variant: what holds an `=` and
    follows a variant is one more of its options.
    """
    if _is_file(word.rpartition(":")[0]):
        return [word]
    found: list[str] = []
    for piece in _pieces(word):
        if found and MARK in found[-1] and "=" in piece and MARK not in piece:
            found[-1] += f",{piece}"
        else:
            found.append(piece)
    return found


def seeds(word: str, option: str) -> list[int]:
    """`"0-4"`, `"0,1,2"` or `"7"`; a seed is a whole number from 0 to `LARGEST_SEED`."""
    found = _integers(word, option)
    for seed in found:
        if not 0 <= seed <= LARGEST_SEED:
            raise UserError(f"{option} {seed}: a seed is a whole number from 0 to {LARGEST_SEED}")
    return found


def counts(word: str, option: str) -> list[int]:
    """`"1,5,10"` or `"1-4"`; each at least 1."""
    found = _integers(word, option)
    if found and min(found) < 1:
        raise UserError(f"{option} must be positive: {min(found)} is not")
    return found


def _integers(word: str, option: str) -> list[int]:
    found: list[int] = []
    for piece in _pieces(word):
        if re.fullmatch(r"[+-]?[0-9]{1,30}", piece):
            found.append(int(piece))
            continue
        ends = re.fullmatch(r"([0-9]{1,30})-([0-9]{1,30})", piece)
        if ends is None:
            raise UserError(f"{option} {piece!r} is no whole number and no range such as 0-4")
        first, last = int(ends[1]), int(ends[2])
        if last < first:
            raise UserError(f"{option} {piece!r} runs backwards: write {last}-{first}")
        if last - first >= _MOST:
            raise UserError(f"{option} {piece!r} holds more than {_MOST} numbers")
        found += range(first, last + 1)
    return found


def _pieces(word: str) -> list[str]:
    return [piece.strip() for piece in word.split(",") if piece.strip()]


def _is_file(word: str) -> bool:
    try:
        return "," in word and user_path(word).is_file()
    except OSError:  # too long to be one
        return False
