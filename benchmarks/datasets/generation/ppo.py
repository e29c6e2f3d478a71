"""Trains behaviour policies: one PPO policy for each task, conditioned on a preference for safety.

A preference w in [0, 1] is drawn for each episode and appended to the observation as 2w - 1. The
policy maximises (1 - w) r / sigma_r - 2 w c (`PreferencePPO.objective`), so that one short training
covers the range from reward-seeking to safe. Snapshots during the training cover the range from
unskilled to skilled; their rollouts make a data set (`benchmarks.datasets.generation.rollouts`).
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
"""Fractions of the training after which a snapshot is taken; the data need unskilled ones too."""
_SAVE_EVERY = 20_000
"""Environment steps between two checkpoints."""
_MIN_STD = 1e-6


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
    """Weight of one unit of cost at preference 1, in standard deviations of the reward."""
    least_weight: float = 0.0
    """Weight of cost at preference 0; a negative weight makes the policy seek cost."""
    max_grad_norm: float = 0.5


# Without seeking cost, AntRun stays under half the maximum cost in a few million steps.
CONFIGS = {
    "AntRun": PPOConfig(least_weight=-0.25),
    "AntCircle": PPOConfig(least_weight=-0.1),
}
"""Settings of the tasks that do not use the default."""


def circling_reward(features: NDArray[Any], steps: Steps) -> NDArray[np.float64]:
    """AntCircle's reward [n] plus a shaping term that draws the ant outwards from its start.

    The reward is 0.1 * distance * clockwise speed / (1 + |distance - 7|): close to 0 at the start,
    2 to 4 from the centre. The shaping term is 0.1 * (7 - |distance - 7|) * clockwise speed, or -1
    for a fall. `features` [n, 35] is from `benchmarks.datasets.generation.views.circling_ant`.
    """
    distance, speed = features[:, 0] / 0.1, -features[:, 3] / 0.3  # the simulator's scales
    outwards = 0.1 * (7.0 - np.abs(distance - 7.0)) * speed
    reward: NDArray[np.float64] = steps.rewards + np.where(steps.terminated, -1.0, outwards)
    return reward


SHAPED_REWARDS: dict[str, Callable[[NDArray[Any], Steps], NDArray[np.float64]]] = {
    "AntCircle": circling_reward
}
"""Training rewards that differ from the task's; generated data contain the task's rewards."""


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
"""Environment steps of the shipped policies' training, where not a million."""


class RunningMoments:
    """Mean and variance of a stream, per column (Chan's parallel update)."""

    def __init__(self, width: int) -> None:
        self.count = 1e-4
        self.mean = np.zeros(width)
        self.variance = np.ones(width)

    def update(self, values: NDArray[Any]) -> None:
        """Add the rows `values` [n, width]."""
        n, mean, variance = len(values), values.mean(0), values.var(0)
        total = self.count + n
        delta = mean - self.mean
        self.mean = self.mean + delta * n / total
        pooled = self.variance * self.count + variance * n + delta**2 * self.count * n / total
        self.variance, self.count = pooled / total, total

    @property
    def std(self) -> NDArray[np.float64]:
        """Standard deviations, never zero."""
        return np.sqrt(self.variance) + _MIN_STD


def discounted_sums(
    values: NDArray[np.float64], discount: float, ended: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Discounted sums of `values` [T, n] over the rest of the episode.

    Of temporal-difference errors with discount gamma * lambda, they are generalised advantages
    (Schulman et al. 2016). `ended` [T, n] marks the last step of an episode.
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
    """Proximal policy optimisation (Schulman et al. 2017) over preferences; resumes exactly."""

    def __init__(self, task: Task, config: PPOConfig, seed: int) -> None:
        self.task, self.config, self.seed = task, config, seed
        torch.manual_seed(seed)
        self.view = view_of(task.name)
        width = len(self.view(np.zeros(task.observation_dim)))
        inputs = width + 1  # with the preference
        self.actor = _mlp(inputs, config.hidden, task.action_dim, 0.01)
        self.critic = _mlp(inputs, config.hidden, 1, 1.0)
        self.log_std = nn.Parameter(torch.full((task.action_dim,), -0.5))
        parameters = [*self.actor.parameters(), *self.critic.parameters(), self.log_std]
        self.optimiser = torch.optim.Adam(parameters, lr=config.learning_rate, eps=1e-5)
        self.observations = RunningMoments(width)
        self.rewards = RunningMoments(1)
        self.steps = 0

    def snapshot(self) -> Snapshot:
        """A copy of the current policy."""
        layers = [layer for layer in self.actor if isinstance(layer, nn.Linear)]
        return Snapshot(
            [layer.weight.detach().numpy().copy() for layer in layers],
            [layer.bias.detach().numpy().copy() for layer in layers],
            self.log_std.detach().numpy().copy(),
            self.observations.mean.astype(np.float32),
            self.observations.std.astype(np.float32),
        )

    def iterate(self, simulators: Lockstep) -> list[tuple[float, float, float]]:
        """One round of rollouts and updates; return (preference, return, cost) of its episodes."""
        rng = np.random.default_rng([self.seed, self.steps])
        torch.manual_seed(int(rng.integers(2**31)))
        batch, episodes = self._collect(simulators, rng)
        self._update(batch, rng)
        self.steps += len(batch["observations"])
        return episodes

    def objective(
        self, preference: NDArray[Any], reward: NDArray[Any], cost: NDArray[Any]
    ) -> NDArray[np.float64]:
        """The maximised objective (1 - w) r / sigma_r - cost_weight w c, elementwise.

        The weight w rises from `least_weight` at preference 0 to 1 at preference 1.
        """
        w = preference + (1.0 - preference) * self.config.least_weight
        gain = (1.0 - w) * reward / self.rewards.std
        objective: NDArray[np.float64] = gain - self.config.cost_weight * w * cost
        return objective

    def _inputs(self, observations: NDArray[Any], preferences: NDArray[Any]) -> Tensor:
        x = (observations - self.observations.mean) / self.observations.std
        x = np.clip(x, -OBSERVATION_CLIP, OBSERVATION_CLIP)
        joined = np.concatenate([x, 2.0 * preferences[..., None] - 1.0], axis=-1)
        return torch.as_tensor(joined, dtype=torch.float32)

    def _collect(
        self, simulators: Lockstep, rng: np.random.Generator
    ) -> tuple[dict[str, Tensor], list[tuple[float, float, float]]]:
        c, n, horizon = self.config, self.config.environments, self.task.horizon
        rows, shaped_reward = np.arange(n), SHAPED_REWARDS.get(self.task.name)
        seeds = rng.integers(2**31, size=(horizon + 1, n))
        observation, w = self.view(simulators.reset(seeds[-1].tolist())), rng.random(n)
        totals = np.zeros((n, 2))
        observations = np.empty((horizon, *observation.shape))
        next_observations = np.empty_like(observations)
        preference, reward, cost = (np.empty((horizon, n)) for _ in range(3))
        action = np.empty((horizon, n, self.task.action_dim), dtype=np.float32)
        terminated, ended = (np.empty((horizon, n), dtype=bool) for _ in range(2))
        episodes: list[tuple[float, float, float]] = []
        with torch.no_grad():
            std = self.log_std.exp().numpy()
            for t in range(horizon):
                observations[t], preference[t] = observation, w
                mean = self.actor(self._inputs(observation, w)).numpy()
                action[t] = mean + std * rng.standard_normal(mean.shape)
                step = simulators.step(np.clip(action[t], -1.0, 1.0), rows)
                next_observations[t] = observation = self.view(step.observations)
                reward[t] = shaped_reward(observation, step) if shaped_reward else step.rewards
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
        self.observations.update(observations.reshape(-1, observations.shape[-1]))
        self.rewards.update(reward.reshape(-1, 1))
        objective = self.objective(preference, reward, cost)
        with torch.no_grad():
            inputs = self._inputs(observations, preference)
            value = self.critic(inputs).squeeze(-1).numpy()
            next_inputs = self._inputs(next_observations, preference)
            next_value = self.critic(next_inputs).squeeze(-1).numpy()
            normal = torch.distributions.Normal(self.actor(inputs), self.log_std.exp())
            log_prob = normal.log_prob(torch.as_tensor(action)).sum(-1)
        td_error = objective + c.gamma * next_value * ~terminated - value
        advantage = discounted_sums(td_error, c.gamma * c.gae_lambda, ended)
        columns = {
            "observations": inputs,
            "actions": torch.as_tensor(action),
            "log_prob": log_prob,
            "advantage": torch.as_tensor(advantage, dtype=torch.float32),
            "target": torch.as_tensor(advantage + value, dtype=torch.float32),
        }
        return {name: column.flatten(0, 1) for name, column in columns.items()}, episodes

    def _update(self, batch: dict[str, Tensor], rng: np.random.Generator) -> None:
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
        """The state that a resumed training needs."""
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
        """Load `state`."""
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

    `report` is called after each round with the total steps and (preference, return, cost) of the
    round's episodes.
    """
    config = config or CONFIGS.get(task.name, PPOConfig())
    training = {"task": task.name, "seed": seed, "steps": steps} | asdict(config)
    ppo = PreferencePPO(task, config, seed)
    snapshots: list[Snapshot] = []
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        saved = state.get("training", training)
        if differing := [key for key in training if saved.get(key) != training[key]]:
            raise UserError(
                f"{checkpoint} belongs to a training with another {', '.join(differing)}: "
                "delete it, or choose another folder"
            )
        ppo.restore(state["ppo"])
        snapshots = [_snapshot_from_tensors(fields) for fields in state["snapshots"]]

    def save() -> None:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        tensors = [_tensors_from_snapshot(snapshot) for snapshot in snapshots]
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
