"""The options of a method with their defaults and comments, as its source states them."""

from __future__ import annotations

import ast
import inspect
import textwrap
import tokenize
from collections.abc import Mapping
from dataclasses import MISSING, fields
from io import StringIO
from typing import Any, NamedTuple, get_type_hints

from benchmarks.common.ranges import allowed
from benchmarks.methods.algorithm import Config, is_eval_only


class Option(NamedTuple):
    """One field of a method's config."""

    name: str
    kind: str
    """Its type, as declared."""
    default: Any
    comment: str
    """What the source says of it, in one line; empty where it says nothing."""
    allowed: str
    """Its range, in words; empty where none is declared."""
    eval_only: bool
    """Whether it changes only how the trained policy acts."""


def options_of(config_class: type[Config]) -> list[Option]:
    """The options of a config, those that every method has first."""
    found: list[Option] = []
    kinds, ranges = get_type_hints(config_class), allowed(config_class)
    for one in fields(config_class):
        owner = next(
            cls for cls in config_class.__mro__ if one.name in vars(cls).get("__annotations__", {})
        )
        factory = one.default_factory
        default = one.default if factory is MISSING else factory()
        comment = _comments(owner).get(one.name, "")
        hint, declared = kinds[one.name], ranges[one.name]
        kind = hint.__name__ if isinstance(hint, type) else str(hint)
        words = "" if declared is None else str(declared)
        found.append(Option(one.name, kind, default, comment, words, is_eval_only(one)))
    return found


def _comments(cls: type) -> Mapping[str, str]:
    """What stands behind or below each field in the source of a class."""
    try:
        source = textwrap.dedent(inspect.getsource(cls))
    except (OSError, TypeError):  # made at run time
        return {}
    behind = {
        token.start[0]: token.string.lstrip("# ").rstrip()
        for token in tokenize.generate_tokens(StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    found: dict[str, str] = {}
    (body,) = (node.body for node in ast.parse(source).body if isinstance(node, ast.ClassDef))
    for node, after in zip(body, [*body[1:], None], strict=True):
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)):
            continue
        text = behind.get(node.end_lineno or node.lineno, "")
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            text = " ".join(filter(None, [text, str(after.value.value)]))
        found[node.target.id] = " ".join(text.split())
    return found
