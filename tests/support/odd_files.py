"""Data files with anything in them, as hypothesis strategies."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
from hypothesis import strategies as st

from benchmarks.datasets.trajectories import COLUMNS

WIDTHS = {"observations": 7, "next_observations": 7, "actions": 2}
_DTYPES = ("<f4", ">f4", "<f8", "<f2", "i1", "<i8", ">u4", "?", "c8", "S3")
_NUMBERS = (np.nan, np.inf, -np.inf, -1.0, 2.0, 1e13, 3.5e38, 1e300, -0.0, 1e-40)


@st.composite
def columns(draw: st.DrawFn) -> dict[str, Any]:
    """Columns of a whole data set, of which some are changed, removed or joined by others."""
    rows = draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    made: dict[str, Any] = {
        key: rng.uniform(-1.0, 1.0, (rows, WIDTHS[key]) if key in WIDTHS else rows)
        for key in COLUMNS
    }
    made["costs"] = np.abs(made["costs"])
    made["terminals"] = rng.uniform(size=rows) < 0.2
    made["timeouts"] = rng.uniform(size=rows) < 0.2
    made["next_observations"][:-1] = made["observations"][1:]
    for _ in range(draw(st.integers(0, 3))):
        key = draw(st.sampled_from(COLUMNS))
        made[key] = draw(st.sampled_from(_CHANGES))(draw, made.get(key))
    return {key: value for key, value in made.items() if value is not None}


def _retyped(draw: st.DrawFn, column: Any) -> Any:
    if not isinstance(column, np.ndarray) or column.dtype.kind == "S":
        return column
    with np.errstate(all="ignore"):
        return column.astype(draw(st.sampled_from(_DTYPES)))


def _reshaped(draw: st.DrawFn, column: Any) -> Any:
    if not isinstance(column, np.ndarray):
        return column
    ways = (
        lambda c: c[..., None],
        lambda c: c[:0],
        lambda c: c[:-1],
        lambda c: c.T,
        lambda c: c.reshape(-1),
        lambda c: np.concatenate([c, c]),
        lambda c: c[(0,) * c.ndim] if c.size else c,
    )
    return draw(st.sampled_from(ways))(column)


def _spoilt(draw: st.DrawFn, column: Any) -> Any:
    if not isinstance(column, np.ndarray) or not column.size or column.dtype.kind not in "fiub":
        return column
    changed = column.astype(np.float64)
    where = draw(st.integers(0, changed.size - 1))
    changed.reshape(-1)[where] = draw(st.sampled_from(_NUMBERS))
    return changed


def _replaced(draw: st.DrawFn, column: Any) -> Any:
    return draw(st.sampled_from([None, "group", "null", "words", 0.0]))


_CHANGES = (_retyped, _reshaped, _spoilt, _spoilt, _replaced)


@st.composite
def layouts(draw: st.DrawFn) -> dict[str, Any]:
    """How columns lie in a file: chunks, compression, checksums."""
    kind = draw(st.sampled_from(["plain", "gzip", "lzf", "chunks", "fletcher32", "shuffle"]))
    known: dict[str, dict[str, Any]] = {
        "gzip": {"compression": "gzip"},
        "lzf": {"compression": "lzf"},
        "chunks": {"chunks": True},
        "fletcher32": {"fletcher32": True},
        "shuffle": {"shuffle": True, "chunks": True},
    }
    return known.get(kind, {})


def write(path: str, made: dict[str, Any], layout: dict[str, Any], order: list[str]) -> None:
    """Write columns in an order, with further keys and attributes."""
    with h5py.File(path, "w") as file:
        for key in [*(k for k in order if k in made), *(k for k in made if k not in order)]:
            value = made[key]
            if isinstance(value, str) and value == "group":
                file.create_group(key)
            elif isinstance(value, str) and value == "null":
                file[key] = h5py.Empty("f4")
            elif isinstance(value, np.ndarray) and value.ndim and value.size:
                file.create_dataset(key, data=value, **layout)
            else:
                file[key] = value
        file["infos/more"] = [1.0]
        file.attrs["note"] = "ä"
