"""Writes a leaderboard from stored results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from benchmarks.common.files import write_atomic
from benchmarks.report.details import Details
from benchmarks.report.formats import DEFAULT_FORMATS
from benchmarks.report.published import Figure
from benchmarks.report.render import report
from benchmarks.report.render.again import PROTOCOL_FILE
from benchmarks.results.files import read_published
from benchmarks.results.load import load_results

SHIPPED = Path(__file__).with_name("published")
"""Tables of published numbers: a link to results/published in a checkout, a copy in a wheel."""


def rebuild(
    folder: Path,
    formats: Iterable[str] = DEFAULT_FORMATS,
    published: Path | None = None,
    methods: Sequence[str] = (),
) -> str:
    """Write the leaderboard of `folder` from stored results; return it as terminal text.

    Results come from the store next to the folder or, where that lacks them (as in a clone), from
    the files in the folder. `published` is a folder of tables of published numbers; by default the
    one next to `folder`, else `SHIPPED`. `methods` are those of the LaTeX tables; all by default.
    """
    data = load_results(folder)
    if published is None:
        sibling = folder.resolve().parent / "published"
        published = sibling if sibling.is_dir() else SHIPPED
    write(
        data.episodes,
        data.missing,
        folder,
        data.title,
        {"Budget": data.budget},
        details=data.details,
        published=read_published(published),
        formats=formats,
        methods=methods,
    )
    return report.terminal(data.episodes, data.missing)


def write(
    frame: pd.DataFrame,
    missing: pd.DataFrame,
    folder: Path,
    title: str,
    protocol: Mapping[str, str],
    *,
    details: Details | None = None,
    published: Sequence[Figure] = (),
    formats: Iterable[str] = DEFAULT_FORMATS,
    methods: Sequence[str] = (),
) -> list[Path]:
    """Write the files of `report.contents` to `folder`, which is created; return their paths.

    Raises `UserError`, before writing anything, for frames that do not validate.
    """
    contents = report.contents(
        *(frame, missing, title, protocol),
        details=details,
        published=published,
        formats=formats,
        methods=methods,
        folder=folder.resolve().name if (folder / PROTOCOL_FILE).is_file() else "",
    )
    paths = {folder / name: content for name, content in contents.items()}
    for path, content in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, content)
    return list(paths)
