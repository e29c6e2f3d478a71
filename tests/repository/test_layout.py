"""How the tests are laid out: what files share stands in tests/support or is a fixture."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
PACKAGES = ("gas", "baselines", "benchmarks", "requirements")
LONGEST = 400
"""Lines of a file at most: what is longer is split by subject."""
FILES = sorted(TESTS.rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def test_no_file_imports_from_a_file_of_tests() -> None:
    offences = [
        f"{path.relative_to(TESTS)} imports {name}"
        for path in FILES
        for name in imported(path)
        if name.startswith(".") or re.match(r"tests\..*\b(test_\w+|conftest)\.", f"{name}.")
    ]
    assert offences == []


def test_no_file_is_long() -> None:
    code = [*FILES, *(path for part in PACKAGES for path in (ROOT / part).rglob("*.py"))]
    lengths = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("\n") for path in code
    }
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}
