"""Protocols: TOML files of options, to repeat and to share what a run measures.

Each key is an option of the command without its dashes; lists are lists. Paths are relative to the
file. A file is read by the parser of the command line, so that both take the same values.
"""

from __future__ import annotations

import argparse
import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.commands.options import Parser, option_names
from benchmarks.common.errors import UserError, unknown_name
from benchmarks.common.files import user_path

_NOT_IN_FILES = ("help", "config", "save-config", "dry-run", "yes", "quiet", "verbose")
_KINDS_OF_DATA = ("auto", "generated", "dsrl")

Value = str | int | float | bool | Sequence[str] | Sequence[int]


def read(path: Path, parser: Parser) -> dict[str, Any]:
    """What a protocol gives, as `parser.given` names it."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"--config {path}: cannot be read ({error})") from None
    known = {
        name: action for name, action in option_names(parser).items() if name not in _NOT_IN_FILES
    }
    words: list[str] = []
    for key, value in content.items():
        if key not in known:
            raise UserError(f"--config {path}: {unknown_name('option', key, known)}")
        try:
            words += _words(key, value, known[key])
        except ValueError as error:
            raise UserError(f"--config {path}: {key} = {value!r}: {error}") from None
    try:
        given = parser.given(words)
    except UserError as error:
        raise UserError(f"--config {path}: {error}") from None
    return _relocated(given, lambda word: str(path.parent / user_path(word)))


def _words(key: str, value: Any, action: argparse.Action) -> list[str]:
    """An entry as words of a command line; `ValueError` where there are none for it."""
    if isinstance(action, argparse.BooleanOptionalAction):
        if not isinstance(value, bool):
            raise ValueError("give true or false")
        return [f"--{key}" if value else f"--no-{key}"]
    values = value if isinstance(value, list) else [value]
    if isinstance(value, list) and action.nargs is None:
        raise ValueError("give one value, not a list")
    if not values:
        raise ValueError("the list is empty: leave the key out for the default")
    if not all(isinstance(one, str | int | float) and not isinstance(one, bool) for one in values):
        raise ValueError("give text or a number" + (", or a list of such" if action.nargs else ""))
    texts = [str(one) for one in values]
    if action.nargs is None:
        return [f"--{key}={texts[0]}"]
    if any(
        text.startswith("-") and not isinstance(one, int | float)
        for text, one in zip(texts, values, strict=True)
    ):
        raise ValueError("no value may start with a dash")
    return [f"--{key}", *texts]


def content(folder: Path, values: Mapping[str, Value]) -> str:
    """The text of a protocol in `folder`; the paths in it become relative to the folder."""
    folder = folder.resolve()

    def relative(word: str) -> str:
        return os.path.relpath(Path(word).resolve(), folder)

    lines = [f"{key} = {_toml(value)}" for key, value in _relocated(values, relative).items()]
    return "# A protocol for `osrl-bench run --config FILE`\n" + "\n".join(lines) + "\n"


def write(path: Path, values: Mapping[str, Value]) -> None:
    """Write the file of `--save-config`."""
    try:
        path.write_text(content(path.parent, values), encoding="utf-8")
    except (OSError, UnicodeEncodeError) as error:
        raise UserError(f"--save-config {path}: cannot be written ({error})") from None


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        # JSON escapes as TOML does, all but DEL
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return f"[{', '.join(map(_toml, value))}]"


def _relocated(values: Mapping[str, Any], move: Any) -> dict[str, Any]:
    """The same values, with paths changed by `move`: task files, plugin files and data folders."""

    def moved_method(spec: str) -> str:
        file, colon, rest = spec.partition(".py:")
        return f"{move(f'{file}.py')}:{rest}" if colon else spec

    changed = dict(values)
    if "tasks" in changed:
        changed["tasks"] = tuple(move(t) if t.endswith(".toml") else t for t in changed["tasks"])
    if "algorithms" in changed:
        changed["algorithms"] = tuple(map(moved_method, changed["algorithms"]))
    if changed.get("data", "auto") not in _KINDS_OF_DATA:
        changed["data"] = move(changed["data"])
    if "results" in changed:
        changed["results"] = Path(move(str(changed["results"])))
    return changed
