"""A trained policy outside the harness: one episode at a time, by NumPy or as TorchScript."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from benchmarks.common.errors import UserError
from benchmarks.common.files import replacing, user_path
from benchmarks.common.ranges import check_ranges
from benchmarks.datasets.custom_task import resolve_task
from benchmarks.methods.algorithm import Algorithm, is_eval_only
from benchmarks.methods.registry import find_method
from benchmarks.runs.script import scripted
from benchmarks.runs.stored import evaluation_job
from benchmarks.runs.training import trained_algorithm
from benchmarks.tasks.suites import Limit, parse_limit
from benchmarks.tasks.tasks import Task

Floats = NDArray[np.float32]


class DeployedPolicy:
    """A trained policy that acts in one episode at a time.

    Call `act` and `observe` in turns, and `reset` before the next episode. Actions are within
    [-1, 1], as in the dataset.
    """

    def __init__(self, algorithm: Algorithm, task: Task, limit: float) -> None:
        """`limit` is the cost limit of an episode, in units of cost."""
        self.algorithm, self.task, self.limit = algorithm, task, limit
        self._row = torch.zeros(1, dtype=torch.long, device=algorithm.device)
        self.reset()

    def reset(self, limit: float | None = None) -> None:
        """Begin an episode; `limit` replaces the cost limit from now on."""
        self.limit = self.limit if limit is None else limit
        if not (np.isfinite(self.limit) and self.limit >= 0.0):
            raise ValueError(f"the cost limit must be a number of at least 0, got {self.limit}")
        own = self.algorithm.limit
        if own is not None and self.limit != own:
            raise ValueError(f"{self.algorithm.name} was trained for the limit {own:g} only")
        limits = torch.tensor([self.limit], dtype=torch.float32, device=self.algorithm.device)
        self._policy = self.algorithm.policy(limits)

    def act(self, observation: ArrayLike) -> Floats:
        """The action [a] for an observation [o]; `ValueError` if it has another shape or NaN."""
        values = np.asarray(observation, dtype=np.float32)
        width = self.algorithm.problem.observation_dim
        if values.shape != (width,) or not np.isfinite(values).all():
            raise ValueError(f"expected {width} finite numbers, got {values!r}")
        batch = torch.as_tensor(values[None], device=self.algorithm.device)
        action = self._policy.act(batch, self._row)[0].clamp(-1.0, 1.0)
        return np.asarray(action.cpu().numpy())

    def observe(self, reward: float, cost: float) -> None:
        """Receive the reward and the cost of the last action."""
        device = self.algorithm.device
        rewards, costs = (
            torch.tensor([v], dtype=torch.float32, device=device) for v in (reward, cost)
        )
        self._policy.observe(rewards, costs, self._row)

    def export(self, path: Path | str) -> Path:
        """Write the policy at its cost limit as TorchScript, which needs torch alone; the path.

        `torch.jit.load` returns a module with the methods `act(observation)`,
        `observe(reward, cost)` and `reset()`, all of tensors on the CPU. The file is checked to
        act as the policy does. Raises `UserError` for policies that are no fixed function of
        tensors, such as those with a growing context or noise of their own.
        """
        target = Path(path)
        algorithm = type(self.algorithm).from_state(self.algorithm.state(), "cpu")
        algorithm.config = self.algorithm.config
        module = scripted(algorithm, self.limit)
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as part:
            torch.jit.save(module, part)
        return target


def load_policy(
    run: Path | str,
    limit: float | str | None = None,
    *,
    algorithms: Sequence[str] = (),
    tasks: Sequence[str] = (),
    device: str = "cpu",
    **options: Any,
) -> DeployedPolicy:
    """The policy of a trained run, as `load_policy("results/runs/BallRun-gas-0123", "20%")`.

    `limit` is an episode's cost, or a percentage of the task's maximum cost; it may be left out for
    a method that was trained for one limit. `algorithms` and `tasks` name the files of plugins and
    of a user's own tasks, as the options of `python -m benchmarks.evaluate` do. `options` change
    how the policy acts, for example `margin=0.2` for GAS. Raises `UserError` for a run that is not
    trained, whose code has changed, or whose method does not have such an option.
    """
    folder = user_path(run).resolve()
    if not (folder / "job.json").is_file():
        raise UserError(f"{run} is not a run: name a folder of results/runs")
    methods = [find_method(name) for name in algorithms]
    job = evaluation_job(folder, [], 1, methods, [resolve_task(name) for name in tasks], "")
    task = resolve_task(job.task)
    algorithm = trained_algorithm(job, task, device)
    algorithm.config = replace(
        algorithm.config, **(job.eval_options | _checked(algorithm, options))
    )
    check_ranges(algorithm.config, lambda name: f"option {algorithm.name}.{name}")
    return DeployedPolicy(algorithm, task, _limit(limit, algorithm, task))


def _checked(algorithm: Algorithm, options: dict[str, Any]) -> dict[str, Any]:
    """The options, if all of them belong to evaluation."""
    known = [field.name for field in fields(algorithm.config) if is_eval_only(field)]
    for name in options:
        if name not in known:
            raise UserError(
                f"{algorithm.name} has no option {name!r} of evaluation; it has "
                f"{', '.join(known) or 'none'}"
            )
    return options


def _limit(limit: float | str | None, algorithm: Algorithm, task: Task) -> float:
    if limit is None:
        if algorithm.limit is None:
            raise UserError(f"{algorithm.name} serves all cost limits: say which, e.g. limit='20%'")
        return algorithm.limit
    given = parse_limit(limit) if isinstance(limit, str) else Limit(float(limit), False)
    return given.of(task)
