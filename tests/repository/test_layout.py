"""How the tests are laid out: what files share stands in tests/support or is a fixture."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FILES = sorted(TESTS.rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TESTS)))
def test_no_file_imports_from_a_file_of_tests(path: Path) -> None:
    for name in imported(path):
        assert not name.startswith("."), f"{name}: write tests.… instead"
        parts = name.split(".") if name.startswith("tests.") else []
        assert not [part for part in parts[:-1] if part.startswith("test_") or part == "conftest"]
