"""What TraC and PreSa share: a policy that is cloned first, then moved by labels of segments.

A segment's score under the policy is S = alpha sum_t gamma^t (l - l_ref), where l = -|pi(s) - a|^2
stands for the log-likelihood of an action and the reference is the cloned policy. The labels come
from the data or from the user's own files (`baselines.segment_labels`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor, nn

from baselines import segment_labels
from baselines.networks import orthogonal
from baselines.segment_labels import Labelled
from benchmarks.common.errors import UserError
from benchmarks.common.random_streams import Dropout
from benchmarks.common.ranges import (
    Batch,
    Discount,
    Expectile,
    LearningRate,
    Positive,
    Range,
    Share,
    Updates,
    Width,
)
from benchmarks.datasets.sampling import Transitions, TransitionSampler
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.algorithm import Algorithm, Config, MemorylessPolicy, Policy
from benchmarks.methods.networks import adam, make_target, mlp, optimizer_step, polyak_update
from benchmarks.tasks.tasks import ALL_TASKS


@dataclass(frozen=True)
class SegmentPolicyConfig(Config):
    """Options that TraC and PreSa share; defaults are those of TraC's code."""

    batch: Batch = 96
    """Segments in a batch."""
    cloning_batch: Annotated[int, Range(0, most=2**20)] = 0
    """Steps in a batch of cloning; 0 means as many as `batch` segments have."""
    learning_rate: LearningRate = 1e-4
    """Of the cloning; that of the second phase is a fraction of it."""
    second_rate: Share = 0.1
    """Learning rate of the second phase, as a fraction of the first's."""
    warmup: Updates = 10_000
    """Updates over which the second phase's learning rate rises linearly."""
    hidden: Width = 256
    """Width of the two hidden layers."""
    dropout: Discount = 0.25
    gamma: Discount = 0.99
    alpha: Positive = 0.2
    """Scale of a segment's score (0.1 on Safety-Gymnasium)."""
    cloning_share: Share = 0.3
    """Fraction of the training that clones (30 000 of 100 000 updates)."""
    segment_share: Expectile = 1.0
    """Length of a segment, as a fraction of the horizon (known: 1 on BallRun, 0.75 on PointButton1,
    0.25 on MetaDrive)."""
    max_segments: Annotated[int, Range(1, most=10**8)] = 1_000_000
    labels: str | None = None
    """A file of your own labels instead of those from returns and costs; docs/methods.md has the
    format."""
    pairs: str | None = None
    """A file of pairs of your labels' segments, the better first."""
    labels_checksum: str = ""
    """sha256 of both files; filled in, so that other labels are another training."""

    def __post_init__(self) -> None:
        if self.pairs and not self.labels:
            raise UserError("the option pairs refers to the rows of a file: set labels as well")
        if self.labels and not self.labels_checksum:
            found = segment_labels.checksum([self.labels, self.pairs])
            object.__setattr__(self, "labels_checksum", found)


QUICK = {
    "batch": 16,
    "cloning_batch": 512,
    "learning_rate": 1e-3,
    "warmup": 200,
    "hidden": 128,
    "dropout": 0.1,
}
"""Options of the shorter budgets."""


class SegmentPolicy(Algorithm):
    """Clones the data, then learns from labels of segments; trained for one cost limit."""

    trains_per_limit = True
    heeds_limit = True
    stackable = True
    config: SegmentPolicyConfig

    @classmethod
    def options_on(cls, task: str, source: str) -> Mapping[str, Any]:
        """The settings of TraC for Safety-Gymnasium and MetaDrive."""
        engine = ALL_TASKS[task].engine if task in ALL_TASKS else ""
        if engine == "mujoco":
            return {"alpha": 0.1} | ({"segment_share": 0.75} if task == "PointButton1" else {})
        return {"segment_share": 0.25} if engine == "metadrive" else {}

    # networks

    def build(self) -> None:
        """The policy and the reference, a copy of it that is made anew after cloning."""
        c, problem = self.config, self.problem
        first, relu, second, _, last = mlp(
            problem.observation_dim, c.hidden, c.hidden, problem.action_dim
        )
        layers = [first, relu, Dropout(c.dropout, self.draws), second, nn.ReLU()]
        layers += [Dropout(c.dropout, self.draws), last, nn.Tanh()]
        self.actor = nn.Sequential(*layers)
        orthogonal(self.actor, 1.0)
        self.actor.to(self.device)
        self.reference = make_target(self.actor)
        self.cloning_optimiser = adam(c.learning_rate, self.actor)
        self.optimiser = adam(c.learning_rate, self.actor)
        self.length = max(int(problem.horizon * c.segment_share), 1)

    # losses

    def cloning_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """Squared error of the actions."""
        loss = -likelihood(self.actor, batch.observations, batch.actions).mean(-1)
        return loss, {"cloning_loss": loss.detach()}

    def score(self, chosen: Tensor) -> Tensor:
        """S of the segments `chosen` [..., B], with gradients to the policy."""
        c = self.config
        rows = (self._first[chosen][..., None] + self._window).clamp(max=len(self._states) - 1)
        inside = self._window < self._steps[chosen][..., None]
        flat = rows.flatten(-2)
        states, actions = self._states[flat], self._actions[flat]
        with torch.no_grad():
            before = likelihood(self.reference, states, actions)
        gain = (likelihood(self.actor, states, actions) - before).view(rows.shape)
        weights = inside * c.gamma**self._window
        return c.alpha * (gain * weights).sum(-1)

    @abstractmethod
    def actor_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """The second phase's loss on a batch that it draws."""

    # update

    def prepare(self, data: Trajectories) -> None:
        """Label the segments, and put transitions and labels on the device."""
        c = self.config
        # the same segments and pairs for every seed, so that seeds can train as one
        labelled = self.labelled(data, np.random.default_rng(0))
        actions = torch.as_tensor(data.actions).clamp(-1.0 + 1e-5, 1.0 - 1e-5)
        self._states = torch.as_tensor(data.observations).to(self.device)
        self._actions = actions.to(self.device)
        self._first = torch.as_tensor(labelled.first).to(self.device)
        self._steps = torch.as_tensor(labelled.steps).to(self.device)
        self._window = torch.arange(int(labelled.steps.max()), device=self.device)
        cloning_batch = c.cloning_batch or c.batch * len(self._window)
        self.sampler = TransitionSampler(data, cloning_batch, self.device)
        self.prepare_labels(labelled)

    def labelled(self, data: Trajectories, rng: np.random.Generator) -> Labelled:
        """The user's labels, or those from returns and costs; `UserError` if the files changed."""
        c = self.config
        if c.labels:
            if segment_labels.checksum([c.labels, c.pairs]) != c.labels_checksum:
                raise UserError(f"{c.labels} or its pairs changed since this training was set up")
            return segment_labels.from_files(data, c.labels, c.pairs)
        assert self.limit is not None
        horizon = self.problem.horizon
        chosen = segment_labels.segments(data, self.length, horizon, c.max_segments, rng)
        return segment_labels.from_data(data, *chosen, self.limit * self.length / horizon, rng)

    @abstractmethod
    def prepare_labels(self, labelled: Labelled) -> None:
        """Set up what `actor_loss` draws; raises `UserError` if the labels do not suffice."""

    def update(self) -> dict[str, Tensor | float]:
        """One step of cloning, or of learning from labels."""
        cloning = round(self.config.cloning_share * self.planned_updates)
        self.actor.train()
        if self.updates < cloning:
            loss, info = self.cloning_loss(self.sampler(self.draws))
            optimizer_step(self.cloning_optimiser, loss)
            return {**info, "actor_loss": 0.0}
        if self.updates == cloning:
            polyak_update(self.reference, self.actor, 1.0)
        self.optimiser.param_groups[0]["lr"] = self.learning_rate(self.updates - cloning)
        loss, info = self.actor_loss()
        optimizer_step(self.optimiser, loss)
        return {"cloning_loss": 0.0, **info}

    def learning_rate(self, updates: int) -> float:
        """The second phase's learning rate after `updates` updates of it."""
        c = self.config
        return c.learning_rate * c.second_rate * min((updates + 1) / max(c.warmup, 1), 1.0)

    # policy

    def policy(self, limits: Tensor) -> Policy:
        """The learned policy."""
        return MemorylessPolicy(lambda observations: self.actor.eval()(observations))


def likelihood(actor: nn.Module, states: Tensor, actions: Tensor) -> Tensor:
    """Minus the squared distance of the policy's actions from `actions` [..., B]."""
    value: Tensor = -(actor(states) - actions).square().sum(-1)
    return value
