"""Tables, and their output as Markdown and terminal text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.report.appearance import display_name
from benchmarks.report.wording import one_line

WIDTH = 100
"""Width of the terminal in characters."""
_NAME_WIDTH = 24
"""Maximum width of a name in the terminal."""

CellStyle = Literal["", "best", "unsafe"]
"""Emphasis of a table cell."""
Better = Literal["", "more", "less"]
"""Which figures of a column are better; empty for words, which are sorted from A to Z."""


@dataclass(frozen=True)
class Entry:
    """A cell of a table: unescaped text and its style."""

    text: str
    style: CellStyle = ""
    untrusted: bool = False
    """Whether the text comes from outside, such as a name or a reason, and must be escaped."""
    shown: str = ""
    """What documents show instead, such as a method's display name; the terminal shows `text`."""
    value: float | None = None
    """The number to sort by, where it is not the first one of the text."""
    setting: str = ""
    """Of the first cell of a row: the limit that the row belongs to (`selections.setting_key`)."""

    @property
    def document_text(self) -> str:
        """The text in documents."""
        return self.shown or self.text


@dataclass(frozen=True)
class Column(Entry):
    """The header of a column."""

    better: Better = ""
    over: str = ""
    """Header above this and the neighbouring columns with the same one."""


Row = list[str | Entry]


def name(text: str) -> Entry:
    """A name from outside as an entry."""
    return Entry(one_line(text), untrusted=True)


def method(text: str) -> Entry:
    """The name of a method as an entry: documents show its display name."""
    return Entry(one_line(text), untrusted=True, shown=display_name(text))


@dataclass(frozen=True)
class Table:
    """Rows under a header of the same length; the first column names the row."""

    header: Sequence[str | Entry]
    rows: Sequence[Row]


def entry(item: str | Entry) -> Entry:
    """`item` as an entry; a string is trusted and has no style."""
    return item if isinstance(item, Entry) else Entry(item)


def escape(text: str) -> str:
    """`text` in one line, escaped for Markdown and its tables."""
    text = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]|~$#!])", r"\\\1", text)


def ascii_name(text: str) -> str:
    """`text` in one line of at most 24 ASCII characters; a longer text loses its middle.

    The end is kept, as a plugin's name ends in its class.
    """
    text = one_line(text).encode("ascii", "replace").decode()
    return text if len(text) <= _NAME_WIDTH else f"{text[:8]}..{text[-(_NAME_WIDTH - 10) :]}"


def markdown(table: Table, align: str = "---:") -> str:
    """A Markdown table, right-aligned except for the first column; best is bold, unsafe italic."""
    emphasis = {"": "", "best": "**", "unsafe": "*"}

    def text(item: str | Entry) -> str:
        cell = entry(item)
        content = escape(cell.document_text) if cell.untrusted else cell.document_text
        return f"{emphasis[cell.style]}{content}{emphasis[cell.style]}"

    rule = ["---"] + [align] * (len(table.header) - 1)
    rows = [[text(item) for item in row] for row in (table.header, *table.rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [rows[0], rule, *rows[1:]])


_ASCII = {"✓": "ok", "✗": "X", "†": "+", "–": "-", "±": "+-", "≤": "<=", "−": "-", "×": "x"}


def plain(item: str | Entry) -> str:
    """An entry in ASCII; names have at most 24 characters."""
    cell = entry(item)
    if cell.untrusted:
        return ascii_name(cell.text)
    return "".join(_ASCII.get(c, c) for c in cell.text).encode("ascii", "replace").decode()


def aligned(table: Table, width: int = WIDTH) -> str:
    """A text table of at most `width` characters; columns that do not fit follow below."""
    grid = [[plain(item) for item in row] for row in (table.header, *table.rows)]
    widths = [max(len(row[i]) for row in grid) for i in range(len(grid[0]))]
    blocks: list[list[int]] = [[]]
    for i in range(1, len(widths)):
        used = widths[0] + sum(2 + widths[j] for j in [*blocks[-1], i])
        if blocks[-1] and used > width:
            blocks.append([])
        blocks[-1].append(i)
    lines = [
        row[0].ljust(widths[0]) + "".join("  " + row[i].rjust(widths[i]) for i in block)
        for block in blocks
        for row in grid
    ]
    return "\n".join(line.rstrip() for line in lines)
