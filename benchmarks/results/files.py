"""Reads the stored files of a leaderboard and tables of published numbers."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pandas as pd

from benchmarks.common.errors import UserError
from benchmarks.report.details import Details
from benchmarks.report.frame import EPISODES, MISSING, Kind, validate, validate_missing
from benchmarks.report.published import Figure, figures


def read_episodes(path: Path) -> pd.DataFrame:
    """The validated episodes of an `episodes.csv.gz`; `UserError` if the file is invalid."""
    return _read(path, EPISODES, validate)


def read_missing(path: Path) -> pd.DataFrame:
    """The validated missing runs of a `missing.csv`; `UserError` if the file is invalid."""
    return _read(path, MISSING, validate_missing)


def read_details(path: Path) -> Details:
    """The details of a `trainings.json.gz`; `UserError` if the file is invalid."""
    try:
        return Details.from_bytes(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _invalid(path, error) from None


def read_published(folder: Path) -> list[Figure]:
    """The rows of every CSV file in `folder`; none if the folder does not exist.

    Raises `UserError` for a file with other columns or invalid values.
    """
    rows = []
    for path in sorted(folder.glob("*.csv")):
        try:
            rows += figures(pd.read_csv(path, dtype=str, keep_default_na=False))
        except (OSError, ValueError, UserError) as error:
            cause = " ".join(str(error).split())
            raise UserError(f"{path}: not a table of published numbers: {cause}") from None
    return rows


def _read(
    path: Path, schema: dict[str, Kind], check: Callable[[pd.DataFrame], pd.DataFrame]
) -> pd.DataFrame:
    """Read a CSV file with the columns of `schema` without changing any value."""
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
        absent = sorted(set(schema) - set(frame.columns))
        if absent:  # `check` would accept an empty frame without columns
            raise UserError(f"it lacks the column(s) {', '.join(absent)}")
        return check(frame)
    except (OSError, EOFError, ValueError, zlib.error, UserError) as error:
        raise _invalid(path, error) from None


def _invalid(path: Path, error: Exception) -> UserError:
    cause = " ".join(str(error).split())
    return UserError(f"{path}: not a file of a leaderboard: {cause}")
