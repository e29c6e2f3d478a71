"""Writes the leaderboard of a folder from stored results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from benchmarks.common.files import write_atomic
from benchmarks.report.details import Details
from benchmarks.report.formats import DEFAULT_FORMATS
from benchmarks.report.published import Figure
from benchmarks.report.render import report
from benchmarks.results.files import read_published
from benchmarks.results.load import gather

SHIPPED = Path(__file__).with_name("published")
"""Tables of published numbers: a link to results/published in a checkout, copies in a wheel."""


def rebuild(
    folder: Path,
    formats: Iterable[str] = DEFAULT_FORMATS,
    published: Path | None = None,
) -> str:
    """Write the leaderboard of `folder` anew and return it as text for the terminal.

    From the store beside the folder; what that lacks (in a clone, in a folder sent by a
    colleague), from what is kept in the folder itself. `published` holds tables of papers'
    numbers; by default those beside the folder, else `SHIPPED`.
    """
    found = gather(folder)
    if published is None:
        beside = folder.resolve().parent / "published"
        published = beside if beside.is_dir() else SHIPPED
    write(
        found.episodes,
        found.missing,
        folder,
        found.title,
        {"Budget": found.budget},
        details=found.details,
        published=read_published(published),
        formats=formats,
    )
    return report.terminal(found.episodes, found.missing)


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
) -> list[Path]:
    """Write the files of `report.contents` into `folder`, made where it is not there.

    Returns the paths written. Nothing is written of frames that do not validate (`UserError`).
    """
    contents = report.contents(
        frame, missing, title, protocol, details=details, published=published, formats=formats
    )
    paths = {folder / name: content for name, content in contents.items()}
    for path, content in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, content)
    return list(paths)
