"""Notation of variants: a method with other options, such as "gas@alpha=0.9,mask=false"."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from benchmarks.common.errors import UserError

MARK = "@"
"""Separates a method and the options of a variant."""


def label(name: str, options: Mapping[str, Any]) -> str:
    """The name of a variant; without options the name of the method."""
    words = ",".join(f"{option}={_word(value)}" for option, value in options.items())
    return f"{name}{MARK}{words}" if words else name


def split(spec: str) -> tuple[str, dict[str, str]]:
    """The method and the options, as text, of a variant; raises `UserError` if one is malformed."""
    name, mark, words = spec.rpartition(MARK)
    if not mark or "=" not in words:
        return spec, {}
    options = dict[str, str]()
    for word in words.split(","):
        option, equals, value = word.partition("=")
        if not equals or option in options:
            raise UserError(f"algorithm {spec!r}: {word!r} is not one option=value pair")
        options[option] = value
    return name, options


def values(words: Mapping[str, str]) -> dict[str, Any]:
    """Parse the options of a variant into numbers, True, False, None or text."""
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
