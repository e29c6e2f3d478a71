"""The documents of the repository: where they are, their code, and their tables from results."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLE = re.compile(
    r"(?P<begin><!-- table: (?P<maker>.*?) -->\n)(?P<text>.*?)(?P<end><!-- end of table -->)", re.S
)
"""A table that `make figures` fills; the maker is a name and its arguments."""
_CODE = re.compile(r"^ *```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^ *```$", re.S | re.M)


def documents() -> list[Path]:
    """README.md, CONTRIBUTING.md and all pages of the site."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def code(text: str, language: str) -> list[str]:
    """The code blocks of a document in one language."""
    return [block["text"] for block in _CODE.finditer(text) if block["language"] == language]


def filled(document: Path, make: Callable[[str, Path], str]) -> str:
    """The text of a document with every table made anew, by its maker."""

    def fill(found: re.Match[str]) -> str:
        return f"{found['begin']}\n{make(found['maker'], document).strip()}\n\n{found['end']}"

    return TABLE.sub(fill, document.read_text(encoding="utf-8"))
