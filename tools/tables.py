"""The tables that documents show, made from the committed results."""

from __future__ import annotations

import json
import math
import os
import textwrap
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.datasets.generation.policies import recorded_checksum
from benchmarks.measures.gpu_check.tables import both_tables
from benchmarks.report.frame import ordered_tasks
from benchmarks.report.render.again import commands
from benchmarks.report.render.markup import Row, Table, markdown, name
from benchmarks.report.resampling import Interval
from benchmarks.report.wording import BLANK, number, setting_text, with_interval
from benchmarks.results.files import read_episodes, read_published
from benchmarks.results.schema import markdown as markdown_of_frames
from tools.documents import ROOT

RESULTS = ROOT / "results"
LEADERBOARDS = ("leaderboard", "gas", "quickstart")
"""The leaderboard of the first screen is the first of these that results/ holds."""
WIDTH = 124
"""Of a line of text in the documents."""


def leaderboard() -> Path:
    """The folder of the leaderboard that the first screen shows."""
    return next(RESULTS / one for one in LEADERBOARDS if (RESULTS / one).is_dir())


def overall(folder: Path) -> pd.DataFrame:
    """The overall table of a leaderboard, in its order."""
    return pd.read_csv(folder / "tables" / "overall.csv")


def overall_text(folder: Path, document: Path) -> str:
    """What was measured, one row for each method, and a link to the report."""
    table = overall(folder)
    report = Path(os.path.relpath(folder / "leaderboard.md", document.parent)).as_posix()
    link = f"The full report, by task and limit: [results/{folder.name}]({report})."
    rows: list[Row] = []
    for row in table.to_dict("records"):
        cells = f"{row['safe']}/{row['cells']}"
        if row["cells"] < row["of"]:
            cells += f" († {row['of'] - row['cells']} missing)"
        scores = [
            with_interval(row[key], Interval(row[f"{key}_low"], row[f"{key}_high"]))
            for key in ("safe_cells", "safe_cell_reward", "reward", "cost")
        ]
        rows.append([name(row["algorithm"]), cells, *scores])
    header = ["method", "safe cells", "share", "reward of the safe cells", "reward", "cost"]
    about = textwrap.fill(protocol(folder, table), WIDTH)
    return f"{about}\n\n{markdown(Table(header, rows))}\n\n{link}"


def protocol(folder: Path, table: pd.DataFrame) -> str:
    """One sentence: tasks, limits, seeds, budget and data of a leaderboard."""
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    episodes = _episodes(folder)
    tasks = ordered_tasks(episodes["task"])
    settings = limits(episodes)
    seeds = sorted({*table["fewest_seeds"], *table["most_seeds"]})
    count = "–".join(map(str, seeds))
    per_run = int(episodes["episode"].max()) + 1
    return (
        f"{len(tasks)} tasks ({', '.join(tasks)}), cost limits of "
        f"{', '.join(map(setting_text, settings))}, {count} seed{'' if count == '1' else 's'}, "
        f"{per_run} episodes a run, budget `{plan['budget']}`, data: {episodes['source'].iloc[0]}. "
        + ("Brackets: 95% bootstrap intervals over the seeds. " if seeds[0] > 1 else "")
        + ("Made with earlier datasets: today's code gives other figures." if old(episodes) else "")
    ).strip()


def old(episodes: pd.DataFrame) -> bool:
    """Whether episodes come from generated datasets that differ from those of today's code."""
    sets = episodes[episodes["source"] == "generated"][["task", "checksum"]].drop_duplicates()
    return any(recorded_checksum(task) != checksum for task, checksum in sets.to_numpy())


def limits(episodes: pd.DataFrame) -> list[tuple[bool, float]]:
    """The settings of the limits (`statistics.Average`), ascending."""
    return sorted(
        {
            (math.isnan(fraction), limit if math.isnan(fraction) else fraction)
            for limit, fraction in zip(episodes["limit"], episodes["fraction"], strict=True)
        }
    )


def command_text(folder: Path) -> str:
    """The commands that make the leaderboard in `folder` again, and compare the two."""
    words = commands(folder.name).replace("python -m", ".venv/bin/python -m")
    return f"```sh\n{words}\n```"


def paper_text(folder: Path) -> str:
    """Averages of a leaderboard over tasks and limits, beside those of the paper of GAS."""
    cells = pd.read_csv(folder / "leaderboard.csv")
    printed = {
        (figure.method.lower(), figure.limits): figure
        for figure in read_published(RESULTS / "published")
        if (figure.paper, figure.task) == ("GAS", "average-12")
    }
    rows: list[Row] = []
    for limits in dict.fromkeys(limits for _, limits in printed):
        fractions = [limit.fraction for limit in limits]
        words = ", ".join(map(str, limits))
        for method in overall(folder)["algorithm"]:
            ours = cells[(cells["algorithm"] == method) & cells["fraction"].isin(fractions)]
            theirs = printed.get((method, limits))
            of_tasks = ours.groupby("task")["cost"].mean()
            rows.append(
                [
                    words,
                    name(method),
                    number(theirs.reward) if theirs else BLANK,
                    number(theirs.cost) if theirs else BLANK,
                    number(ours["reward"].mean()),
                    number(ours["cost"].mean()),
                    f"{int((of_tasks <= 1.0).sum())}/{len(of_tasks)}",
                ]
            )
            words = ""
    header = ["limits", "method", "reward, paper", "cost, paper", "reward", "cost"]
    return markdown(Table([*header, "tasks safe on average"], rows))


def significant(value: float | None) -> str:
    """Three significant digits, in full; a dash for none."""
    if value is None:
        return BLANK
    digits = 0 if not value else max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{round(value, 2 - math.floor(math.log10(abs(value)))):.{digits}f}" if value else "0"


def beside_text(path: Path) -> str:
    """Times of ours beside the reference's, from one file of `benchmarks.speed`."""
    content = json.loads(path.read_text(encoding="utf-8"))
    results: Sequence[dict[str, Any]] = content["results"]
    memory = any(result["ours_mib"] is not None for result in results)
    header = ["", "ours, ms", "reference, ms", "ratio", "least to most"]
    header += ["ours, MiB", "reference, MiB"] if memory else []
    rows: list[Row] = []
    for result in results:
        spread = f"{significant(result['ratio_least'])} to {significant(result['ratio_most'])}"
        row: Row = [
            name(result["name"]),
            *map(significant, (result["ours_ms"], result["reference_ms"], result["ratio"])),
            spread,
        ]
        if memory:
            row += map(significant, (result["ours_mib"], result["reference_mib"]))
        rows.append(row)
    computer = content["machine"]
    place = f"{computer['processor']} ({computer['features']}), {computer['cores']} cores"
    return f"{place}, torch {computer['torch']}:\n\n{markdown(Table(header, rows))}"


def growth_text(path: Path) -> str:
    """Times and memory as sizes grow, from a file of `benchmarks.speed growth`."""
    content = json.loads(path.read_text(encoding="utf-8"))
    rows: list[Row] = []
    for result in content["results"]:
        for i, size in enumerate(result["sizes"]):
            memory = result["mib"][i] if result["mib"] else None
            rows.append(
                [
                    result["name"] if not i else "",
                    size,
                    significant(1000 * result["seconds"][i]),
                    significant(result["ratios"][i]) if i else "",
                    significant(memory),
                ]
            )
    return markdown(Table(["", "size", "ms", "times the first", "MiB"], rows))


MAKERS: dict[str, Callable[..., str]] = {
    "command": lambda *place: command_text(_board(*place)),
    "beside": lambda file: beside_text(RESULTS / "speed" / file),
    "schema": markdown_of_frames,
    "gpu": lambda file: both_tables(json.loads((RESULTS / "speed" / file).read_text("utf-8"))),
    "paper": lambda *place: paper_text(_board(*place)),
    "growth": lambda file: growth_text(RESULTS / "speed" / file),
}
"""By the first word of a table's maker; its other words are the arguments."""


@cache
def _episodes(folder: Path) -> pd.DataFrame:
    return read_episodes(folder / "episodes.csv.gz")


def _board(folder: str = "") -> Path:
    return RESULTS / folder if folder else leaderboard()


def make(maker: str, document: Path) -> str:
    """The text between the marks of a table in `document`, from `NAME ARGUMENT ...`."""
    kind, *arguments = maker.split()
    if kind == "overall":
        return overall_text(_board(*arguments), document)
    return MAKERS[kind](*arguments)
