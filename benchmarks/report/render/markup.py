"""One table, four ways to write it: Markdown, the terminal, LaTeX and HTML."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal
from unicodedata import normalize

from benchmarks.report.wording import one_line

WIDTH = 100
"""Columns of the terminal."""
_NAME = 24  # longest name in the terminal

Mark = Literal["", "best", "unsafe"]


@dataclass(frozen=True)
class Entry:
    """A cell of a table: plain text, unescaped, and how it stands out."""

    text: str
    mark: Mark = ""
    foreign: bool = False
    """Whether the text is not ours: a name or a reason, in which anything may stand."""


Row = list[str | Entry]


def name(text: str) -> Entry:
    """The name of a method or a task as an entry."""
    return Entry(one_line(text), foreign=True)


@dataclass(frozen=True)
class Table:
    """Rows under a header of the same length; the first column names the row."""

    header: Sequence[str | Entry]
    rows: Sequence[Row]


def entry(item: str | Entry) -> Entry:
    """`item` as an entry; a text is our own and not marked."""
    return item if isinstance(item, Entry) else Entry(item)


def escape(text: str) -> str:
    """`text` in one line that Markdown shows as it is, in a table too."""
    text = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]|~$#!])", r"\\\1", text)


def ascii_name(text: str) -> str:
    """`text` in one line of at most 24 ASCII characters, the middle left out where it is longer.

    The end is kept because a plugin's name ends in its class.
    """
    text = one_line(text).encode("ascii", "replace").decode()
    return text if len(text) <= _NAME else f"{text[:8]}..{text[-(_NAME - 10) :]}"


def markdown(table: Table, align: str = "---:") -> str:
    """A Markdown table, aligned right but for its first column; best is bold, unsafe italic."""
    around = {"": "", "best": "**", "unsafe": "*"}

    def text(item: str | Entry) -> str:
        one = entry(item)
        shown = escape(one.text) if one.foreign else one.text
        return f"{around[one.mark]}{shown}{around[one.mark]}"

    rule = ["---"] + [align] * (len(table.header) - 1)
    rows = [[text(item) for item in row] for row in (table.header, *table.rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [rows[0], rule, *rows[1:]])


_ASCII = {"✓": "ok", "✗": "X", "†": "+", "–": "-", "±": "+-", "≤": "<=", "−": "-", "×": "x"}


def plain(item: str | Entry) -> str:
    """An entry in ASCII, a name at most 24 characters long."""
    one = entry(item)
    if one.foreign:
        return ascii_name(one.text)
    return "".join(_ASCII.get(c, c) for c in one.text).encode("ascii", "replace").decode()


def aligned(table: Table, width: int = WIDTH) -> str:
    """A text table at most `width` wide; columns that do not fit follow below, named again."""
    grid = [[plain(item) for item in row] for row in (table.header, *table.rows)]
    widths = [max(len(row[i]) for row in grid) for i in range(len(grid[0]))]
    blocks: list[list[int]] = [[]]
    for i in range(1, len(widths)):
        taken = widths[0] + sum(2 + widths[j] for j in [*blocks[-1], i])
        if blocks[-1] and taken > width:
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
    "✓": "",  # in print bold and grey tell it
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
    "[": "{[}",  # else an optional argument of the line break before
    "]": "{]}",
}


def tex(text: str) -> str:
    """`text` in one line that LaTeX prints as it is: letters without accents, ? for what it lacks.

    So that it compiles with the fonts of the smallest installation.
    """

    def one(c: str) -> str:
        if c in _TEX:
            return _TEX[c]
        return c if c.isascii() else normalize("NFKD", c).encode("ascii", "ignore").decode() or "?"

    return " ".join("".join(map(one, one_line(text))).split())


def latex(table: Table, caption: str) -> str:
    """A `table` with booktabs rules, shrunk where it is too wide; best is bold, unsafe grey.

    Needs the packages booktabs, graphicx and xcolor.
    """
    around: dict[str, Callable[[str], str]] = {
        "": lambda text: text,
        "best": lambda text: rf"\textbf{{{text}}}",
        "unsafe": lambda text: rf"\textcolor{{gray}}{{{text}}}",
    }

    def line(row: Sequence[str | Entry]) -> str:
        cells = [around[entry(item).mark](tex(entry(item).text)) for item in row]
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
"""What stands above `\\begin{document}`; a paper needs all but its first two lines."""


def html_table(table: Table) -> str:
    """An HTML table; best and unsafe are classes."""

    def cell(item: str | Entry, tag: str) -> str:
        one = entry(item)
        mark = f' class="{one.mark}"' if one.mark else ""
        return f"<{tag}{mark}>{html.escape(one.text)}</{tag}>"

    head = "".join(cell(item, "th") for item in table.header)
    rows = ["".join(cell(item, "td") for item in row) for row in table.rows]
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"
