"""A method of one's own, as `docs/add-a-method.md` describes it."""

from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.datasets.sampling import TransitionSampler
from benchmarks.methods.algorithm import Algorithm, Config, MemorylessPolicy
from benchmarks.methods.networks import mlp, optimizer_step


@dataclass(frozen=True)
class TopBCConfig(Config):
    share: float = 0.1  # of the trajectories within the limit


class TopBC(Algorithm):
    """Clones the best of the trajectories that keep the limit."""

    name, config_class, trains_per_limit, heeds_limit = "top-bc", TopBCConfig, True, True

    def build(self):
        inputs, outputs = self.problem.observation_dim, self.problem.action_dim
        self.actor = mlp(inputs, 256, outputs).to(self.device)
        self.optimiser = torch.optim.Adam(self.actor.parameters(), 1e-3)

    def prepare(self, data):
        safe = np.flatnonzero(data.episode_costs <= self.limit)
        best = safe[np.argsort(-data.returns[safe])][: max(1, int(self.config.share * len(safe)))]
        self.sampler = TransitionSampler(data.select(best), self.config.batch, self.device)

    def update(self):
        batch = self.sampler()
        loss = (self.actor(batch.observations) - batch.actions).square().mean()
        optimizer_step(self.optimiser, loss)
        return {"actor_loss": loss.detach()}

    def policy(self, limits):
        return MemorylessPolicy(self.actor)
