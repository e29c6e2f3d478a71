"""The leaderboard as files and as text for the terminal, from the two frames alone."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import pandas as pd

from benchmarks.errors import UserError
from benchmarks.files import write_atomic
from benchmarks.leaderboard import plots, tables
from benchmarks.leaderboard.frame import (
    EPISODES,
    MISSING,
    RUN,
    Kind,
    ordered_tasks,
    validate,
    validate_missing,
)
from benchmarks.leaderboard.statistics import RESAMPLES, Cell, averages, cells, standings
from benchmarks.leaderboard.tables import MARKDOWN, NOTHING, TERMINAL, aligned, escape, markdown

FORMULAS = {
    "Normalised reward": "(R − R_min) / (R_max − R_min), R an episode's return, R_min and R_max "
    "those of the task's data",
    "Normalised cost": "(C + ε) / (limit + ε), C an episode's cost, ε = 1 only where the limit "
    "is 0, else 0",
    "Safe": "mean normalised cost ≤ 1",
    "Cell": "a method on one task at one limit: mean over episodes, then over seeds; ± is the "
    "standard deviation over seeds (n − 1)",
    "Overall": "means over the cells that a method has; IQM is the interquartile mean over "
    "cells × seeds",
    "Intervals": f"95%, percentile bootstrap with {RESAMPLES} resamples of the seeds within each "
    "task; none where a cell has one seed, too narrow where it has few",
}


def write(
    frame: pd.DataFrame,
    missing: pd.DataFrame,
    folder: Path,
    title: str,
    protocol: dict[str, str],
) -> list[Path]:
    """Write the leaderboard into `folder`, made where it is not there; the paths written.

    `frame` and `missing` have the columns of `frame.EPISODES` and `frame.MISSING`; either may be
    empty. `protocol` adds lines to those that follow from the frame, or adds to such a line.
    Raises `UserError` for frames that do not validate, before anything is written.
    """
    episodes, lost = validate(frame), validate_missing(missing)
    table = cells(episodes, lost)
    contents = {
        "leaderboard.md": _markdown(episodes, lost, table, title, protocol).encode(),
        "leaderboard.csv": tables.csv(table).encode(),
        **{f"frontier.{kind}": image for kind, image in plots.frontier(table).items()},
        # without the time, which would make every writing differ
        "episodes.csv.gz": gzip.compress(_csv(episodes), mtime=0),
        "missing.csv": _csv(lost),
    }
    folder.mkdir(parents=True, exist_ok=True)
    paths = {folder / name: content for name, content in contents.items()}
    for path, content in paths.items():
        write_atomic(path, content)
    return list(paths)


def read_episodes(path: Path) -> pd.DataFrame:
    """The validated episodes of an `episodes.csv.gz`; `UserError` where it is none."""
    return _read(path, EPISODES, validate)


def read_missing(path: Path) -> pd.DataFrame:
    """The validated runs without a result of a `missing.csv`; `UserError` where it is none."""
    return _read(path, MISSING, validate_missing)


def terminal(frame: pd.DataFrame, missing: pd.DataFrame) -> str:
    """The leaderboard in ASCII, at most 100 columns wide; raises `UserError` as `write`."""
    episodes, lost = validate(frame), validate_missing(missing)
    table = cells(episodes, lost)
    count = [f"{n} {status}" for status, n in lost["status"].value_counts(sort=False).items()]
    ending = [f"Runs without a result: {', '.join(count)}."] if count else []
    if episodes.empty:
        return "\n".join([NOTHING, *ending])
    ranking = standings(episodes, table)
    methods = [standing.algorithm for standing in ranking]
    parts = [aligned(tables.overall_table(ranking, TERMINAL))]
    if any(standing.cells < standing.of or standing.lost for standing in ranking):
        parts[0] += "\n+ incomplete: over the cells and seeds that there are"
    for task in ordered_tasks(cell.task for cell in table):
        rows = tables.task_table(table, task, methods, TERMINAL)
        parts.append(f"{TERMINAL.name(task)} (reward / cost)\n{aligned(rows)}")
    return "\n\n".join(parts + ending)


def _markdown(
    episodes: pd.DataFrame,
    lost: pd.DataFrame,
    table: Sequence[Cell],
    title: str,
    protocol: dict[str, str],
) -> str:
    parts = [f"# {escape(title)}"]
    facts = _facts(episodes, table)
    for name, text in protocol.items():
        fact = facts.get(name, text)  # what the frame says is never replaced
        facts[name] = text if text == fact else f"{fact}; {text}"
    parts.append("\n".join(f"- {escape(name)}: {escape(text)}" for name, text in facts.items()))
    if episodes.empty:
        parts.append(NOTHING)
    else:
        parts += _tables(episodes, table)
    rows = tables.lost_table(table, lost, MARKDOWN)
    if rows.rows:
        parts += ["## Missing or failed", markdown(rows, align="---")]
    elif len(episodes):
        parts += ["## Missing or failed", "None: every run is there."]
    return "\n\n".join(parts) + "\n"


def _tables(episodes: pd.DataFrame, table: Sequence[Cell]) -> list[str]:
    """The sections with scores."""
    ranking = standings(episodes, table)
    methods = [standing.algorithm for standing in ranking]
    parts = ["## Overall", markdown(tables.overall_table(ranking, MARKDOWN))]
    parts.append(
        "By safe rate, then reward. † incomplete: over the cells and seeds that there are, hence "
        "not comparable with a full row; what is missing is listed at the end."
    )
    parts.append("![Reward against cost on every task](frontier.png)")
    parts += ["## Average over tasks", "Reward / cost, and on how many tasks that is safe."]
    parts.append(markdown(tables.average_table(averages(table), methods, MARKDOWN)))
    for task in ordered_tasks(cell.task for cell in table):
        parts.append(f"## {escape(task)}")
        rows = episodes[episodes["task"] == task]
        if len(rows):
            one = rows.iloc[0]
            checksum = escape(one["checksum"]) or "unknown"
            parts.append(
                f"R_min {one['min_return']:.6g}, R_max {one['max_return']:.6g}; sha256 of the "
                f"data {checksum}. Reward / cost; ✓ safe, ✗ unsafe, bold: best safe reward."
            )
        parts.append(markdown(tables.task_table(table, task, methods, MARKDOWN)))
    return parts


def _facts(episodes: pd.DataFrame, table: Sequence[Cell]) -> dict[str, str]:
    """The lines of the protocol that the frame itself knows."""
    if episodes.empty:
        return dict(FORMULAS)
    budgets = {
        str(name): ", ".join(sorted(set(rows["budget"])))
        for name, rows in episodes.groupby("algorithm")
    }
    budget = "; ".join(f"{name}: {text}" for name, text in budgets.items())
    if len(set(budgets.values())) == 1:
        budget = next(iter(budgets.values()))
    counts = episodes.groupby(RUN).size()
    count = f"{counts.min()}" + (f" to {counts.max()}" if counts.max() > counts.min() else "")
    settings = sorted({mean.setting for mean in averages(table)})
    limits = ", ".join(map(tables.setting_text, settings))
    if not all(absolute for absolute, _ in settings):
        limits += " of a task's maximum cost"
    return {
        "Data source": episodes["source"].iloc[0],
        "Budget": budget,
        "Seeds": ", ".join(map(str, sorted(set(episodes["seed"])))),
        "Episodes a run": count,
        "Cost limits": limits,
        **FORMULAS,
    }


def _csv(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False, lineterminator="\n").encode()


def _read(
    path: Path, schema: dict[str, Kind], check: Callable[[pd.DataFrame], pd.DataFrame]
) -> pd.DataFrame:
    """A CSV file with the columns of `schema`, read so that every value comes back equal."""
    text = {name: str for name, kind in schema.items() if kind == "text"}
    try:
        data = path.read_bytes()
        frame = pd.read_csv(
            BytesIO(gzip.decompress(data) if path.suffix == ".gz" else data),
            dtype=text,
            keep_default_na=False,  # a method may be called "NA"
            na_values={name: [""] for name in schema if name not in text},
            float_precision="round_trip",
        )
        lacking = sorted(set(schema) - set(frame.columns))
        if lacking:  # a frame without rows may lack columns, a file may not
            raise UserError(f"it lacks the column(s) {', '.join(lacking)}")
        return check(frame)
    except (OSError, EOFError, ValueError, zlib.error, UserError) as error:
        cause = " ".join(str(error).split())
        raise UserError(f"{path}: not a file of a leaderboard: {cause}") from None
