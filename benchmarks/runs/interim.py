"""Evaluations during a training: the learning curve of return and cost."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.common.files import write_atomic
from benchmarks.methods.algorithm import Algorithm, TrainingProgress
from benchmarks.runs.evaluation import evaluate
from benchmarks.runs.jobs import Job
from benchmarks.tasks.tasks import Task

INTERIM_FILE = "evaluations-during-training.csv"
"""In the folder of a run."""


class Interim(NamedTuple):
    """The mean scores of the episodes at one limit after some updates, not normalised."""

    updates: int
    limit: float
    episodes: int
    mean_return: float
    mean_cost: float


def read_interim(folder: Path) -> list[Interim]:
    """The evaluations during the training in a run's folder; none if there is no file."""
    try:
        text = (folder / INTERIM_FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return [
        Interim(
            int(row["updates"]),
            float(row["limit"]),
            int(row["episodes"]),
            float(row["mean_return"]),
            float(row["mean_cost"]),
        )
        for row in csv.DictReader(io.StringIO(text))
    ]


class InterimEvaluations:
    """Evaluates a method every `job.evaluate_every` updates, as after its training.

    The evaluation after the last update is the result of the job and not repeated here. Options of
    evaluation are at their defaults, as variants share a training. Policies are deterministic and
    training has random streams of its own, so the training ends with the same result as without.
    """

    def __init__(self, job: Job, task: Task, folder: Path, updates: int) -> None:
        """`updates` are those of the checkpoint that the training resumes from."""
        self.job, self.task, self.path = job, task, folder / INTERIM_FILE
        # A killed attempt may have got further: those evaluations are made again.
        self.rows = [row for row in read_interim(folder) if row.updates <= updates]
        if not job.evaluate_every or updates == 0:
            self.path.unlink(missing_ok=True)
            self.rows = []

    def due(self, updates: int) -> bool:
        """Whether an evaluation is due after this many updates and not made yet."""
        every = self.job.evaluate_every
        if not every or updates % every or updates >= self.job.training.updates:
            return False
        return all(row.updates != updates for row in self.rows)

    def evaluate(self, algorithm: Algorithm, updates: int) -> TrainingProgress:
        """Evaluate and store; the scores, by names for trackers."""
        job = self.job
        episodes = evaluate(
            algorithm,
            self.task,
            job.limits,
            job.episodes,
            seed=job.training.seed,
            processes=job.simulator_processes,
        )
        new = []
        for limit in job.limits:
            at_limit = [episode for episode in episodes if episode.limit == limit]
            returns = [episode.episode_return for episode in at_limit]
            costs = [episode.episode_cost for episode in at_limit]
            new.append(
                Interim(
                    updates, limit, len(at_limit), float(np.mean(returns)), float(np.mean(costs))
                )
            )
        self.rows += new
        write_atomic(self.path, _text(self.rows))
        scores = {f"evaluation/limit_{row.limit:g}/return": row.mean_return for row in new}
        scores |= {f"evaluation/limit_{row.limit:g}/cost": row.mean_cost for row in new}
        return TrainingProgress(updates, scores, 0.0)


def _text(rows: Sequence[Interim]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(Interim._fields)
    writer.writerows(rows)
    return file.getvalue()
