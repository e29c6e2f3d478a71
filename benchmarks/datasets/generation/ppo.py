"""Behaviour policies: one PPO policy a task that is told how much to care for cost.

A preference w in [0, 1] is drawn for each episode and appended to the observation as 2w - 1; the
policy is trained on (1 - w) r / sigma_r - 2 w c (`PreferencePPO.goal`), so that one short training
covers the whole range from reward-seeking to safe. Snapshots taken along the way span unskilled to
skilled, too; rolled out again they make a data set (`benchmarks.datasets.generation.rollouts`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.common.errors import UserError
from benchmarks.common.files import replacing
from benchmarks.datasets.generation.policies import OBSERVATION_CLIP, Snapshot
from benchmarks.datasets.generation.views import view_of
from benchmarks.simulators.vector import Lockstep, Steps
from benchmarks.tasks.tasks import Task

SNAPSHOT_FRACTIONS = (0.0, 0.03, 0.07, 0.12, 0.2, 0.3, 0.45, 0.65, 0.85, 1.0)
"""Parts of the training after which a snapshot is taken: unskilled ones matter as well."""
_SAVE_EVERY = 20_000
"""Environment steps between two checkpoints."""
_LEAST_STD = 1e-6


@dataclass(frozen=True)
class PPOConfig:
    """Settings of the behaviour training."""

    environments: int = 16
    epochs: int = 8
    minibatch: int = 400
    gamma: float = 0.99
    gae_lambda: float = 0.95
    clip: float = 0.2
    learning_rate: float = 3e-4
    entropy_weight: float = 0.001
    hidden: int = 128
    cost_weight: float = 2.0
    """Price of one cost at preference 1, in standard deviations of the reward."""
    least_weight: float = 0.0
    """Weight of cost at preference 0; below 0, cost is sought where reward alone brings little."""
    max_grad_norm: float = 0.5


# what reward alone teaches AntRun in a few million steps costs under half the maximum
CONFIGS = {
    "AntRun": PPOConfig(least_weight=-0.25),
    "AntCircle": PPOConfig(least_weight=-0.1),
}
"""Settings of the tasks where they are not the default."""


def circling_reward(seen: NDArray[Any], steps: Steps) -> NDArray[np.float64]:
    """AntCircle's own reward [n] and one that draws the ant outwards from where it starts.

    Its own is 0.1 * distance * clockwise speed / (1 + |distance - 7|): next to nothing where it
    starts, 2 to 4 from the centre. Added is 0.1 * (7 - |distance - 7|) * clockwise speed, or -1
    for a fall.
    `seen` [n, 35] is `benchmarks.datasets.generation.views.circling_ant`'s.
    """
    distance, speed = seen[:, 0] / 0.1, -seen[:, 3] / 0.3  # the simulator's scales
    outwards = 0.1 * (7.0 - np.abs(distance - 7.0)) * speed
    reward: NDArray[np.float64] = steps.rewards + np.where(steps.terminated, -1.0, outwards)
    return reward


PRACTICE: dict[str, Callable[[NDArray[Any], Steps], NDArray[np.float64]]] = {
    "AntCircle": circling_reward
}
"""Rewards that policies are trained on, where not the task's; the data hold the task's."""


STEPS = {
    "BallRun": 600_000,
    "DroneRun": 1_500_000,
    "AntRun": 2_500_000,
    "CarCircle": 1_200_000,
    "DroneCircle": 1_500_000,
    "CarCircle1": 1_500_000,
    "CarCircle2": 1_500_000,
    "AntCircle": 4_000_000,
}
"""Environment steps that the shipped policies were trained for, where not a million."""


class RunningMoments:
    """Mean and variance of a stream, per column (Chan's parallel update)."""

    def __init__(self, width: int) -> None:
        self.count = 1e-4
        self.mean = np.zeros(width)
        self.variance = np.ones(width)

    def update(self, values: NDArray[Any]) -> None:
        """Take in rows `values` [n, width]."""
        n, mean, variance = len(values), values.mean(0), values.var(0)
        total = self.count + n
        delta = mean - self.mean
        self.mean = self.mean + delta * n / total
        pooled = self.variance * self.count + variance * n + delta**2 * self.count * n / total
        self.variance, self.count = pooled / total, total

    @property
    def std(self) -> NDArray[np.float64]:
        """Standard deviations, never zero."""
        return np.sqrt(self.variance) + _LEAST_STD


def discounted_sums(
    values: NDArray[np.float64], discount: float, ended: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Sum over the rest of the episode of `values` [T, n], each step on discounted once more.

    With temporal-difference errors and gamma * lambda: generalised advantages (Schulman et al.
    2016). `ended` [T, n] tells an episode's last step.
    """
    sums = np.empty_like(values)
    tail = np.zeros(values.shape[1])
    for t in reversed(range(len(values))):
        tail = values[t] + discount * tail * ~ended[t]
        sums[t] = tail
    return sums


def _mlp(inputs: int, hidden: int, outputs: int, last_gain: float) -> nn.Sequential:
    layers = [nn.Linear(inputs, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, outputs)]
    for layer, gain in zip(layers, (2**0.5, 2**0.5, last_gain), strict=True):
        nn.init.orthogonal_(layer.weight, gain)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(layers[0], nn.Tanh(), layers[1], nn.Tanh(), layers[2])


class PreferencePPO:
    """Proximal policy optimisation (Schulman et al. 2017) over preferences; exact to resume."""

    def __init__(self, task: Task, config: PPOConfig, seed: int) -> None:
        self.task, self.config, self.seed = task, config, seed
        torch.manual_seed(seed)
        self.view = view_of(task.name)
        width = len(self.view(np.zeros(task.observation_dim)))
        inputs = width + 1  # and the preference
        self.actor = _mlp(inputs, config.hidden, task.action_dim, 0.01)
        self.critic = _mlp(inputs, config.hidden, 1, 1.0)
        self.log_std = nn.Parameter(torch.full((task.action_dim,), -0.5))
        parameters = [*self.actor.parameters(), *self.critic.parameters(), self.log_std]
        self.optimiser = torch.optim.Adam(parameters, lr=config.learning_rate, eps=1e-5)
        self.observations = RunningMoments(width)
        self.rewards = RunningMoments(1)
        self.steps = 0

    def snapshot(self) -> Snapshot:
        """The policy as it is now."""
        layers = [layer for layer in self.actor if isinstance(layer, nn.Linear)]
        return Snapshot(
            [layer.weight.detach().numpy().copy() for layer in layers],
            [layer.bias.detach().numpy().copy() for layer in layers],
            self.log_std.detach().numpy().copy(),
            self.observations.mean.astype(np.float32),
            self.observations.std.astype(np.float32),
        )

    def iterate(self, simulators: Lockstep) -> list[tuple[float, float, float]]:
        """One round of rollouts and updates; (preference, return, cost) of the episodes it saw."""
        rng = np.random.default_rng([self.seed, self.steps])
        torch.manual_seed(int(rng.integers(2**31)))
        batch, episodes = self._collect(simulators, rng)
        self._improve(batch, rng)
        self.steps += len(batch["observations"])
        return episodes

    def goal(
        self, preference: NDArray[Any], reward: NDArray[Any], cost: NDArray[Any]
    ) -> NDArray[np.float64]:
        """What is maximised: (1 - w) r / sigma_r - cost_weight w c, elementwise.

        The weight w rises from `least_weight` at preference 0 to 1 at preference 1.
        """
        w = preference + (1.0 - preference) * self.config.least_weight
        gain = (1.0 - w) * reward / self.rewards.std
        goal: NDArray[np.float64] = gain - self.config.cost_weight * w * cost
        return goal

    def _inputs(self, observations: NDArray[Any], preferences: NDArray[Any]) -> Tensor:
        x = (observations - self.observations.mean) / self.observations.std
        x = np.clip(x, -OBSERVATION_CLIP, OBSERVATION_CLIP)
        joined = np.concatenate([x, 2.0 * preferences[..., None] - 1.0], axis=-1)
        return torch.as_tensor(joined, dtype=torch.float32)

    def _collect(
        self, simulators: Lockstep, rng: np.random.Generator
    ) -> tuple[dict[str, Tensor], list[tuple[float, float, float]]]:
        c, n, horizon = self.config, self.config.environments, self.task.horizon
        rows, practice = np.arange(n), PRACTICE.get(self.task.name)
        seeds = rng.integers(2**31, size=(horizon + 1, n))
        observation, w = self.view(simulators.reset(seeds[-1].tolist())), rng.random(n)
        totals = np.zeros((n, 2))
        seen = np.empty((horizon, *observation.shape))
        following = np.empty_like(seen)
        preference, reward, cost = (np.empty((horizon, n)) for _ in range(3))
        action = np.empty((horizon, n, self.task.action_dim), dtype=np.float32)
        terminated, ended = (np.empty((horizon, n), dtype=bool) for _ in range(2))
        episodes: list[tuple[float, float, float]] = []
        with torch.no_grad():
            std = self.log_std.exp().numpy()
            for t in range(horizon):
                seen[t], preference[t] = observation, w
                mean = self.actor(self._inputs(observation, w)).numpy()
                action[t] = mean + std * rng.standard_normal(mean.shape)
                step = simulators.step(np.clip(action[t], -1.0, 1.0), rows)
                following[t] = observation = self.view(step.observations)
                reward[t] = practice(observation, step) if practice else step.rewards
                cost[t], terminated[t] = step.costs, step.terminated
                ended[t] = step.terminated | step.truncated
                totals += np.stack([step.rewards, step.costs], axis=1)
                for row in np.flatnonzero(ended[t]):
                    episodes.append((float(w[row]), float(totals[row, 0]), float(totals[row, 1])))
                    totals[row], w[row] = 0.0, rng.random()
                    observation = observation.copy()
                    first = simulators.reset([seeds[t, row]], np.array([row]))
                    observation[row] = self.view(first)[0]
        ended[-1] = True
        self.observations.update(seen.reshape(-1, seen.shape[-1]))
        self.rewards.update(reward.reshape(-1, 1))
        goal = self.goal(preference, reward, cost)
        with torch.no_grad():
            inputs = self._inputs(seen, preference)
            value = self.critic(inputs).squeeze(-1).numpy()
            next_value = self.critic(self._inputs(following, preference)).squeeze(-1).numpy()
            normal = torch.distributions.Normal(self.actor(inputs), self.log_std.exp())
            log_prob = normal.log_prob(torch.as_tensor(action)).sum(-1)
        error = goal + c.gamma * next_value * ~terminated - value
        advantage = discounted_sums(error, c.gamma * c.gae_lambda, ended)
        columns = {
            "observations": inputs,
            "actions": torch.as_tensor(action),
            "log_prob": log_prob,
            "advantage": torch.as_tensor(advantage, dtype=torch.float32),
            "target": torch.as_tensor(advantage + value, dtype=torch.float32),
        }
        return {name: column.flatten(0, 1) for name, column in columns.items()}, episodes

    def _improve(self, batch: dict[str, Tensor], rng: np.random.Generator) -> None:
        c, size = self.config, len(batch["advantage"])
        parameters = self.optimiser.param_groups[0]["params"]
        for _ in range(c.epochs):
            order = torch.as_tensor(rng.permutation(size))
            for part in order.split(c.minibatch):
                b = {name: column[part] for name, column in batch.items()}
                normal = torch.distributions.Normal(
                    self.actor(b["observations"]), self.log_std.exp()
                )
                ratio = (normal.log_prob(b["actions"]).sum(-1) - b["log_prob"]).exp()
                a = (b["advantage"] - b["advantage"].mean()) / (b["advantage"].std() + 1e-8)
                surrogate = torch.minimum(ratio * a, ratio.clamp(1 - c.clip, 1 + c.clip) * a)
                value_loss = (self.critic(b["observations"]).squeeze(-1) - b["target"]).square()
                entropy = normal.entropy().sum(-1)
                loss = (0.5 * value_loss - surrogate - c.entropy_weight * entropy).mean()
                self.optimiser.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(parameters, c.max_grad_norm)
                self.optimiser.step()

    def state(self) -> dict[str, Any]:
        """Everything that a continued training needs."""
        return {
            "actor": self.actor.state_dict(),
            "critic": self.critic.state_dict(),
            "log_std": self.log_std.detach(),
            "optimiser": self.optimiser.state_dict(),
            "moments": [
                [m.count, torch.as_tensor(m.mean), torch.as_tensor(m.variance)]
                for m in (self.observations, self.rewards)
            ],
            "steps": self.steps,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.actor.load_state_dict(state["actor"])
        self.critic.load_state_dict(state["critic"])
        self.log_std.data.copy_(state["log_std"])
        self.optimiser.load_state_dict(state["optimiser"])
        for moments, saved in zip((self.observations, self.rewards), state["moments"], strict=True):
            moments.count = float(saved[0])
            moments.mean, moments.variance = saved[1].numpy(), saved[2].numpy()
        self.steps = state["steps"]


def train_behaviour(
    task: Task,
    steps: int,
    checkpoint: Path,
    *,
    seed: int = 0,
    config: PPOConfig | None = None,
    report: Callable[[int, list[tuple[float, float, float]]], None] = lambda *_: None,
) -> list[Snapshot]:
    """Train for `steps` environment steps, resuming from `checkpoint`, and return the snapshots.

    `report` is called after each round with the steps done and (preference, return, cost) of the
    episodes of that round.
    """
    config = config or CONFIGS.get(task.name, PPOConfig())
    training = {"task": task.name, "seed": seed, "steps": steps} | asdict(config)
    ppo = PreferencePPO(task, config, seed)
    snapshots: list[Snapshot] = []
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        saved = state.get("training", training)
        if other := [key for key in training if saved.get(key) != training[key]]:
            raise UserError(
                f"{checkpoint} belongs to a training with another {', '.join(other)}: "
                "delete it, or choose another folder"
            )
        ppo.restore(state["ppo"])
        snapshots = [_snapshot_from_tensors(one) for one in state["snapshots"]]

    def save() -> None:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        tensors = [_tensors_from_snapshot(one) for one in snapshots]
        with replacing(checkpoint) as part:
            torch.save({"ppo": ppo.state(), "snapshots": tensors, "training": training}, part)

    with Lockstep(task, config.environments) as simulators:
        while len(snapshots) < len(SNAPSHOT_FRACTIONS):
            if ppo.steps >= SNAPSHOT_FRACTIONS[len(snapshots)] * steps:
                snapshots.append(ppo.snapshot())
                continue
            before = ppo.steps
            episodes = ppo.iterate(simulators)
            report(ppo.steps, episodes)
            if ppo.steps // _SAVE_EVERY != before // _SAVE_EVERY:
                save()
    save()
    return snapshots


def _tensors_from_snapshot(snapshot: Snapshot) -> list[Any]:
    return [
        [torch.as_tensor(a) for a in field] if isinstance(field, list) else torch.as_tensor(field)
        for field in snapshot
    ]


def _snapshot_from_tensors(fields: list[Any]) -> Snapshot:
    weights, biases, *rest = fields
    log_std, mean, std = (tensor.numpy() for tensor in rest)
    return Snapshot([w.numpy() for w in weights], [b.numpy() for b in biases], log_std, mean, std)
