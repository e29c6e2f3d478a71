"""Labels of segments and pairs of segments, from which TraC and PreSa learn.

They are made from the data's returns and costs, or read from the user's own files. A file of labels
is CSV with the columns episode, first, steps, safe and score: the segment of `steps` steps that
starts at step `first` of an episode (both from 0) is safe (1) or not (0), and the better the higher
its score. A file of pairs has the columns better and worse: rows of the file of labels, from 0.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.errors import UserError
from benchmarks.datasets.sequences import Indices, Values
from benchmarks.datasets.trajectories import Floats, Trajectories

LABELS, PAIRS = ("episode", "first", "steps", "safe", "score"), ("better", "worse")


@dataclass(frozen=True)
class Labelled:
    """n segments and what is known of them.

    `first` [n] are rows of the data, `steps` [n] lengths; `pairs` [m, 2] are indices of segments,
    the better first.
    """

    first: Indices
    steps: Indices
    safe: NDArray[np.bool_]
    score: Values
    pairs: Indices


def segments(
    data: Trajectories, length: int, horizon: int, most: int, rng: np.random.Generator
) -> tuple[Indices, Indices]:
    """First rows [n] and lengths [n] of random segments of `length` steps.

    As in TraC: (horizon - length) // 6 segments for each episode, at most `most`, from uniform
    episodes and starts; if there are none, as for whole episodes, each episode once. An episode
    shorter than `length` is a segment as a whole.
    """
    count = min((horizon - length) // 6 * len(data), most)
    episodes = rng.integers(len(data), size=count) if count else np.arange(len(data))
    room = np.maximum(data.lengths[episodes] - length, 0)
    first = data.starts[episodes] + (rng.random(len(episodes)) * (room + 1)).astype(np.int64)
    return first, np.minimum(data.lengths[episodes], length)


def sums(values: Floats, first: Indices, steps: Indices) -> Values:
    """Sum of `values` [N] over each segment [n]."""
    total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    result: Values = total[first + steps] - total[first]
    return result


def from_data(
    data: Trajectories, first: Indices, steps: Indices, limit: float, rng: np.random.Generator
) -> Labelled:
    """A segment is safe if its cost is at most `limit`; its score is its return.

    As many random pairs as segments; pairs of equal returns are left out.
    """
    score = sums(data.rewards, first, steps)
    pairs = rng.integers(len(first), size=(len(first), 2))
    order = np.argsort(-score[pairs], axis=1, kind="stable")
    pairs = np.take_along_axis(pairs, order, axis=1)
    pairs = pairs[score[pairs[:, 0]] > score[pairs[:, 1]]]
    return Labelled(first, steps, sums(data.costs, first, steps) <= limit, score, pairs)


def from_files(data: Trajectories, labels: str, pairs: str | None) -> Labelled:
    """The user's labels, and pairs if there is a file of them; `UserError` if one is wrong."""
    table = _table(labels, LABELS)
    episode, start, steps = (table[:, i].astype(np.int64) for i in range(3))
    lengths = data.lengths[np.clip(episode, 0, len(data) - 1)]
    for row in range(len(table)):
        where = f"{labels}: row {row} of the labels"
        if not 0 <= episode[row] < len(data):
            raise UserError(f"{where} names episode {episode[row]}; the data have {len(data)}")
        if not (start[row] >= 0 and 0 < steps[row] <= lengths[row] - start[row]):
            raise UserError(
                f"{where} is not within its episode, which has {lengths[row]} steps: first "
                f"{start[row]}, steps {steps[row]}"
            )
        if table[row, 3] not in (0.0, 1.0):
            raise UserError(f"{where}: safe is 0 or 1, not {table[row, 3]:g}")
    listed = np.empty((0, 2), dtype=np.int64)
    if pairs:
        listed = _table(pairs, PAIRS).astype(np.int64)
        if listed.min() < 0 or listed.max() >= len(table):
            raise UserError(f"{pairs}: a pair names a row beyond the {len(table)} of {labels}")
    first = data.starts[episode] + start
    return Labelled(first, steps, table[:, 3] == 1.0, table[:, 4], listed)


def checksum(paths: Sequence[str | None]) -> str:
    """sha256 of the files in order, those that are None left out; `UserError` if one is missing."""
    digest = hashlib.sha256()
    for path in filter(None, paths):
        try:
            digest.update(hashlib.sha256(Path(path).read_bytes()).digest())
        except OSError as error:
            raise UserError(f"{path}: cannot read the labels: {error.strerror}") from None
    return digest.hexdigest()


def _table(path: str, columns: tuple[str, ...]) -> Values:
    """The numbers of a CSV file with these columns [rows, columns]."""
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != columns:
                raise UserError(f"{path}: its first line must be {','.join(columns)}")
            rows = [[float(row[column]) for column in columns] for row in reader]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot read the labels: {error}") from None
    except (TypeError, ValueError):
        raise UserError(f"{path}: a value is missing or no number") from None
    if not rows or not np.isfinite(rows).all():
        raise UserError(f"{path}: it has no row, or a value that is not finite")
    return np.array(rows)
