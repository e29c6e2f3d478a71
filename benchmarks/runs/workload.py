"""How much a plan has to do, and how long that takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.common.durations import duration_text
from benchmarks.methods.registry import Method
from benchmarks.runs.jobs import Job


class Workload(NamedTuple):
    """What a run has to do, and the estimated time that it takes."""

    jobs: Sequence[Job]
    left: Sequence[Job]
    """The jobs that are not finished."""
    processes: int
    """Number of jobs at a time."""
    data_seconds: float
    """Time to make data, on one core."""

    @property
    def job_seconds(self) -> float:
        """Time of the jobs that are left."""
        longest = max((job.core_seconds for job in self.left), default=0.0)
        return max(sum(job.core_seconds for job in self.left) / self.processes, longest)

    @property
    def seconds(self) -> float:
        """Time of the run: data are made first, on all processes."""
        return self.data_seconds / self.processes + self.job_seconds

    def text(self, methods: Sequence[Method]) -> str:
        """What is kept and what is to do, a line for each method and one for the whole."""
        left = {(job.display_name, job.training.key) for job in self.left}
        lines = []
        for method in methods:
            of_method = [job for job in self.jobs if job.display_name == method.label]
            to_do = [job for job in of_method if (job.display_name, job.training.key) in left]
            updates = of_method[0].training.updates if of_method else 0
            each = "one a limit" if method.cls.trains_per_limit else "one for all limits"
            core = duration_text(sum(job.core_seconds for job in to_do))
            lines.append(
                f"  {method.label:12} {len(of_method):4} trainings ({each}) of {updates} updates: "
                f"{len(of_method) - len(to_do)} kept, {len(to_do)} to do"
                + (f", about {core} of one core" if to_do else "")
            )
        kept = len(self.jobs) - len(self.left)
        whole = f"{len(self.jobs)} jobs: {kept} kept, {len(self.left)} to do"
        if self.left:
            whole += f"; about {duration_text(self.seconds)} on {self.processes} processes"
        if self.data_seconds:
            making = duration_text(self.data_seconds / self.processes)
            whole += f", of which about {making} to make data"
        return "\n".join([*lines, whole])
