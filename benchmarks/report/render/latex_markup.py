"""Tables and text as LaTeX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from unicodedata import normalize

from benchmarks.report.render.markup import Entry, Table, entry
from benchmarks.report.wording import one_line

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
    """A LaTeX table with booktabs rules; best is bold, unsafe grey.

    Needs the packages booktabs and xcolor.
    """
    emphasis: dict[str, Callable[[str], str]] = {
        "": lambda text: text,
        "best": lambda text: rf"\textbf{{{text}}}",
        "unsafe": lambda text: rf"\textcolor{{gray}}{{{text}}}",
    }

    def line(row: Sequence[str | Entry]) -> str:
        cells = [emphasis[entry(item).style](tex(entry(item).document_text)) for item in row]
        return f"{' & '.join(cells)} \\\\"

    columns = "l" + "r" * (len(table.header) - 1)
    return "\n".join(
        [
            r"\begin{table}[htbp]",
            r"\centering",
            rf"\caption{{{tex(caption)}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            line(table.header),
            r"\midrule",
            *(line(row) for row in table.rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )
