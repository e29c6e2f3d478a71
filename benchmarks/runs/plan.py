"""From what the user asks for to a list of jobs, in the order in which they run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.common.errors import UserError, unknown_name
from benchmarks.datasets.source import DataSet
from benchmarks.methods.algorithm import eval_options, training_options
from benchmarks.methods.registry import Method, configure, parse_options
from benchmarks.runs.jobs import Job, Training, joined_code
from benchmarks.tasks.suites import Limit
from benchmarks.tasks.tasks import Task


@dataclass(frozen=True)
class Request:
    """What is to be run, resolved but for the contents of the data files."""

    methods: Sequence[Method]
    data: Sequence[DataSet]
    limits: Sequence[Limit]
    seeds: Sequence[int]
    budget: str
    episodes: int
    options: Mapping[str, Mapping[str, Any]]
    """Options by method name, overruling the budget's."""
    stage: str = "both"
    updates: int | None = None
    """Updates of every method in place of the budget's."""
    together: int = 1
    """Seeds that may be trained as one, of methods that can."""

    def on(self, data: Sequence[DataSet]) -> Request:
        """The same on other data sets."""
        return replace(self, data=data)

    def at(self, limits: Sequence[Limit]) -> Request:
        """The same at other limits."""
        return replace(self, limits=limits)

    def with_options(self, words: Sequence[str]) -> Request:
        """The same with options given as "method.option=value"."""
        chosen: dict[str, dict[str, str]] = {}
        for word in words:
            name, dot, rest = word.partition(".")
            option, equals, value = rest.partition("=")
            if not (dot and equals):
                raise UserError(f"--option {word!r} is not of the form name.option=value")
            chosen.setdefault(name, {})[option] = value
        classes = {method.cls.name: method.cls for method in self.methods}
        for name in chosen:
            if name not in classes:
                raise unknown_name("algorithm in --option", name, classes)
        options = {name: parse_options(classes[name], given) for name, given in chosen.items()}
        return replace(self, options=options)

    def check(self) -> None:
        """Raise `UserError` where two methods share a name."""
        labels = [method.label for method in self.methods]
        for name in labels:
            if labels.count(name) > 1:
                raise UserError(f"two of the algorithms are called {name!r}: rename one")

    def jobs(self, results: str, checksums: Mapping[str, str]) -> list[Job]:
        """The jobs, seeds outermost and the longest first within one.

        `checksums` are those of the data files by task. So a partial leaderboard covers all
        tasks, and no long job is left for the end.
        """
        return plan([self], results, checksums)

    def _of(
        self,
        method: Method,
        data: DataSet,
        limits: Sequence[float],
        results: str,
        checksum: str,
    ) -> list[Job]:
        """One job where one training serves all limits, otherwise one a limit; first seed."""
        cls, task = method.cls, data.task
        config, updates = configure(
            cls,
            self.budget,
            {**self.options.get(cls.name, {}), **method.options},
            cls.options_on(task.name, data.source),
        )
        updates = self.updates or updates
        groups = [(limit,) for limit in limits] if cls.trains_per_limit else [tuple(limits)]
        training_seconds = updates * cls.budgets[self.budget].update_ms / 1000
        return [
            Job(
                Training(
                    cls.name,
                    joined_code(method.code, task.code),
                    training_options(config),
                    task.name,
                    checksum,
                    self.seeds[0],
                    group[0] if cls.trains_per_limit else None,
                    updates,
                ),
                group,
                self.episodes,
                method.spec,
                str(data.path),
                data.source,
                results,
                self.stage,
                core_seconds=training_seconds + _evaluation_seconds(task, group, self.episodes),
                task_file=task.file,
                label=method.label if method.options else "",
                together=self.together if cls.stackable else 1,
                acting=eval_options(config),
            )
            for group in groups
        ]


def plan(requests: Sequence[Request], results: str, checksums: Mapping[str, str]) -> list[Job]:
    """The jobs of several requests of the same seeds as one list, ordered as `Request.jobs`.

    What one policy is asked by several requests is evaluated together.
    """
    asked: dict[tuple[str, str], tuple[Request, Method, DataSet, dict[float, None]]] = {}
    for request in requests:
        for data in request.data:
            limits = dict.fromkeys(limit.of(data.task) for limit in request.limits)
            for method in request.methods:
                key = data.task.name, method.label
                asked.setdefault(key, (request, method, data, {}))[3].update(limits)
    first, trained = list[Job](), set[str]()
    for request, method, data, limits in asked.values():
        checksum = checksums[data.task.name]
        for job in request._of(method, data, list(limits), results, checksum):
            if job.training.key in trained:  # by a variant that only acts otherwise
                left = _evaluation_seconds(data.task, job.limits, job.episodes)
                job = replace(job, core_seconds=left)
            trained.add(job.training.key)
            first.append(job)
    first.sort(key=lambda job: -job.core_seconds)
    return [
        replace(job, training=replace(job.training, seed=seed))
        for seed in requests[0].seeds
        for job in first
    ]


def plan_text(
    methods: Sequence[Method], jobs: Sequence[Job], left: Sequence[Job], processes: int
) -> str:
    """What a plan trains, and the time that the jobs `left` take on so many processes."""
    lines = []
    for method in methods:
        own = [job for job in jobs if job.shown == method.label]
        minutes = sum(job.core_seconds for job in own) / 60
        updates = own[0].training.updates if own else 0
        each = "one a limit" if method.cls.trains_per_limit else "one for all limits"
        lines.append(
            f"  {method.label:12} {len(own):4} trainings ({each}) of {updates} updates, "
            f"about {minutes:.1f} core minutes"
        )
    seconds = sum(job.core_seconds for job in left)
    longest = max((job.core_seconds for job in left), default=0.0)
    wall = max(seconds / processes, longest) / 60
    lines.append(
        f"{len(jobs)} jobs, {len(jobs) - len(left)} not to run again, {len(left)} to do: "
        f"about {wall:.1f} minutes on {processes} processes"
    )
    return "\n".join(lines)


def _evaluation_seconds(task: Task, limits: Sequence[float], episodes: int) -> float:
    return len(limits) * episodes * task.horizon / task.steps_per_second
