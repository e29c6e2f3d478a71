"""Tables, and their output as Markdown, terminal text, LaTeX and HTML."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal
from unicodedata import normalize

from benchmarks.report.wording import one_line

WIDTH = 100
"""Width of the terminal in characters."""
_NAME_WIDTH = 24
"""Maximum width of a name in the terminal."""

CellStyle = Literal["", "best", "unsafe"]
"""Emphasis of a table cell."""


@dataclass(frozen=True)
class Entry:
    """A cell of a table: unescaped text and its style."""

    text: str
    style: CellStyle = ""
    untrusted: bool = False
    """Whether the text comes from outside, such as a name or a reason, and must be escaped."""


Row = list[str | Entry]


def name(text: str) -> Entry:
    """The name of a method or a task as an entry."""
    return Entry(one_line(text), untrusted=True)


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
        content = escape(cell.text) if cell.untrusted else cell.text
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


_TEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\texttt{\char34}",
    "✓": "",  # bold and grey show it in print
    "✗": "",
    "†": r"$^\dagger$",
    "–": "--",
    "…": r"\dots{}",
    "±": r"$\pm$",
    "→": r"$\rightarrow$",
    "≤": r"$\leq$",
    "−": r"$-$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "ε": r"$\varepsilon$",
    "⌊": r"$\lfloor$",
    "⌋": r"$\rfloor$",
    "[": "{[}",  # else LaTeX reads it as an argument of the preceding line break
    "]": "{]}",
}


def tex(text: str) -> str:
    """`text` in one line, escaped for LaTeX.

    Accents are removed and unknown characters become "?", so that a minimal LaTeX can compile it.
    """

    def convert(c: str) -> str:
        if c in _TEX:
            return _TEX[c]
        return c if c.isascii() else normalize("NFKD", c).encode("ascii", "ignore").decode() or "?"

    return " ".join("".join(map(convert, one_line(text))).split())


def latex(table: Table, caption: str) -> str:
    """A LaTeX table with booktabs rules, shrunk if too wide; best is bold, unsafe grey.

    Needs the packages booktabs, graphicx and xcolor.
    """
    emphasis: dict[str, Callable[[str], str]] = {
        "": lambda text: text,
        "best": lambda text: rf"\textbf{{{text}}}",
        "unsafe": lambda text: rf"\textcolor{{gray}}{{{text}}}",
    }

    def line(row: Sequence[str | Entry]) -> str:
        cells = [emphasis[entry(item).style](tex(entry(item).text)) for item in row]
        return f"{' & '.join(cells)} \\\\"

    columns = "l" + "r" * (len(table.header) - 1)
    return "\n".join(
        [
            r"\begin{table}[htbp]",
            r"\centering",
            rf"\caption{{{tex(caption)}}}",
            r"\fitted{%",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            line(table.header),
            r"\midrule",
            *(line(row) for row in table.rows),
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table}",
        ]
    )


PREAMBLE = r"""\documentclass{article}
\usepackage[margin=2cm]{geometry}
\usepackage{booktabs,graphicx,xcolor}
\setlength{\belowcaptionskip}{6pt}
% as wide as it is, but no wider than a line
\newsavebox{\fittedbox}
\newcommand{\fitted}[1]{\sbox{\fittedbox}{#1}%
  \ifdim\wd\fittedbox>\linewidth\resizebox{\linewidth}{!}{\usebox{\fittedbox}}%
  \else\usebox{\fittedbox}\fi}
"""
"""LaTeX preamble; a paper needs all but its first two lines."""


def html_table(table: Table) -> str:
    """An HTML table; the styles are CSS classes."""

    def cell(item: str | Entry, tag: str) -> str:
        content = entry(item)
        css = f' class="{content.style}"' if content.style else ""
        return f"<{tag}{css}>{html.escape(content.text)}</{tag}>"

    head = "".join(cell(item, "th") for item in table.header)
    rows = ["".join(cell(item, "td") for item in row) for row in table.rows]
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"
