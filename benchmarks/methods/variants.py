"""How a variant of a method, which is the method with other options, is written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from benchmarks.common.errors import UserError

MARK = "@"
"""Between a method and the options of a variant: "gas@alpha=0.9,mask=false"."""


def label(name: str, options: Mapping[str, Any]) -> str:
    """What a method with these options is called; the method's name where there are none."""
    words = ",".join(f"{option}={_word(value)}" for option, value in options.items())
    return f"{name}{MARK}{words}" if words else name


def split(spec: str) -> tuple[str, dict[str, str]]:
    """A method and the words of its options; `UserError` where an option is given twice."""
    name, mark, words = spec.rpartition(MARK)
    if not mark or "=" not in words:
        return spec, {}
    given = dict[str, str]()
    for word in words.split(","):
        option, equals, value = word.partition("=")
        if not equals or option in given:
            raise UserError(f"algorithm {spec!r}: {word!r} is not one option=value")
        given[option] = value
    return name, given


def values(words: Mapping[str, str]) -> dict[str, Any]:
    """The options' values as a table tells them apart: numbers, true, false, none, or text."""
    return {option: _value(word) for option, word in words.items()}


def _word(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _value(word: str) -> Any:
    try:
        return None if word == "none" else json.loads(word)
    except ValueError:
        return word
