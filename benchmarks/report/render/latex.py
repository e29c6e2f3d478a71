"""LaTeX tables for papers: one table a file, with a caption and a label."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from benchmarks.common.errors import unknown_name
from benchmarks.report.appearance import display_name
from benchmarks.report.board import Board
from benchmarks.report.frame import ordered_tasks
from benchmarks.report.metrics import METRICS
from benchmarks.report.render.latex_markup import tex
from benchmarks.report.resampling import SAFE
from benchmarks.report.selections import Choice, limit_choices
from benchmarks.report.statistics import Cell, Standing, setting_of
from benchmarks.report.wording import cost_text, number, setting_text

FOLDER = "latex"
PREVIEW = "preview.tex"
"""A document of all tables, to look at them."""
_PREAMBLE = r"""\documentclass{article}
\usepackage[margin=1.5cm,landscape]{geometry}
\usepackage{booktabs,xcolor}
\begin{document}
"""
_HEAD = "% needs \\usepackage{booktabs,xcolor}\n"
_NOTE = "Bold: the best reward among the safe; grey: unsafe."


def files(board: Board, methods: Sequence[str] = ()) -> dict[str, bytes]:
    """The LaTeX files of a leaderboard by path: overall, and tasks x methods at groups of limits.

    `methods` chooses methods and their order; all in the order of the overall table by default.
    Raises `UserError` for a method that the leaderboard lacks.
    """
    for method in methods:
        if method not in board.methods:
            raise unknown_name("method of the leaderboard", method, board.methods)
    if board.episodes.empty:
        return {}
    chosen = list(methods) or board.methods
    texts = {"overall": _overall(board, chosen)}
    groups = [
        one for one in limit_choices(board.table) if one.settings is None or len(one.settings) > 1
    ]
    for group in groups:
        averages = groups if group.settings is None else [group]
        texts[group.key] = _tasks(board, chosen, group, averages)
    inputs = "\n".join(rf"\input{{{name}}}" for name in texts)
    preview = f"{_PREAMBLE}{inputs}\n\\end{{document}}\n"
    contents = {f"{FOLDER}/{name}.tex": (_HEAD + text).encode() for name, text in texts.items()}
    return contents | {f"{FOLDER}/{PREVIEW}": preview.encode()}


def _float(columns: str, lines: Sequence[str], caption: str, label: str) -> str:
    """A table with its caption and label."""
    return "\n".join(
        [
            r"\begin{table}[htbp]",
            r"\centering\small\setlength{\tabcolsep}{3pt}",
            rf"\caption{{{tex(caption)}}}",
            rf"\label{{tab:{label}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _overall(board: Board, methods: Sequence[str]) -> str:
    """Methods x metrics, over all tasks and limits."""
    rows = {standing.algorithm: standing for standing in board.ranking}
    metrics = [metric for metric in METRICS if metric.header]
    arrows = {"more": r"$\uparrow$", "less": r"$\downarrow$"}
    header = [f"{tex(m.header)} {arrows[m.better]}" for m in metrics]
    lines = [_line(["method", *header]), r"\midrule"]
    for method in methods:
        standing = rows[method]
        figures = [
            tex(m.text(standing.metrics[m.name], standing.intervals[m.name], standing.cells))
            for m in metrics
        ]
        lines.append(_line([tex(display_name(method)) + _mark(standing), *figures]))
    caption = f"{_over(board)}. Intervals: 95\N{PERCENT SIGN}, bootstrap over seeds."
    return _float("l" + "r" * len(metrics), lines, caption + _gaps(board), "osrl-overall")


def _mark(standing: Standing) -> str:
    return r"$^\dagger$" if standing.cells < standing.of or standing.lost else ""


def _gaps(board: Board) -> str:
    incomplete = any(_mark(standing) for standing in board.ranking)
    return " † some runs are missing." if incomplete else ""


def _over(board: Board) -> str:
    tasks = len({cell.task for cell in board.table})
    return f"Means over {tasks} task{'s' * (tasks != 1)}, {_conditions(board)}"


def _conditions(board: Board) -> str:
    return f"data: {board.facts['Data source']}, budget: {board.facts['Budget']}"


def _tasks(board: Board, methods: Sequence[str], group: Choice, averages: Sequence[Choice]) -> str:
    """Tasks x methods at the limits of `group`, and a row for the mean of each of `averages`."""
    cells = [cell for cell in board.table if group.keeps(cell)]
    heads = "".join(rf" & \multicolumn{{2}}{{c}}{{{tex(display_name(m))}}}" for m in methods)
    rules = "".join(rf"\cmidrule(lr){{{2 * i + 2}-{2 * i + 3}}}" for i in range(len(methods)))
    pair = [r"$R\uparrow$", r"$C\downarrow$"]
    lines = [f"{heads.lstrip()} \\\\", rules, _line(["task", *pair * len(methods)]), r"\midrule"]
    for task in ordered_tasks(cell.task for cell in cells):
        lines.append(_row(tex(task), methods, [cell for cell in cells if cell.task == task]))
    lines.append(r"\midrule")
    for average in averages:
        text = "average" if len(averages) == 1 else f"average, {average.text}"
        lines.append(_row(tex(text), methods, [cell for cell in cells if average.keeps(cell)]))
    limits = ", ".join(setting_text(setting) for setting in sorted({setting_of(c) for c in cells}))
    which = group.text if group.settings is None else f"{group.text} limits"
    caption = f"Normalised reward R and cost C at {which} ({limits}); {_conditions(board)}. {_NOTE}"
    return _float("l" + "rr" * len(methods), lines, caption + _gaps(board), f"osrl-{group.key}")


def _row(name: str, methods: Sequence[str], cells: Sequence[Cell]) -> str:
    """The means of each method over those of the cells that it has."""
    means: list[tuple[float, float]] = []
    for method in methods:
        own = [c for c in cells if c.algorithm == method and c.seeds]
        scores = np.array([(c.reward, c.cost) for c in own])
        means.append(
            (float(scores[:, 0].mean()), float(scores[:, 1].mean())) if own else (math.nan,) * 2
        )
    best = max((reward for reward, cost in means if cost <= SAFE), default=math.nan)
    words = [name]
    for reward, cost in means:
        safe = cost <= SAFE
        for text in (number(reward), cost_text(cost, safe)):
            shown = tex(text)
            if not safe and not math.isnan(cost):
                shown = rf"\textcolor{{gray}}{{{shown}}}"
            elif reward == best:
                shown = rf"\textbf{{{shown}}}"
            words.append(shown)
    return _line(words)


def _line(words: Sequence[str]) -> str:
    return f"{' & '.join(words)} \\\\"
