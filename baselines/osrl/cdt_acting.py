"""How CDT acts: osrl's model on the last steps of each episode, only as far as the action needs.

What the first layer asks, keys and values are made of one token alone: they are computed once, when
the token arrives, and kept for as long as it stays in the window. In the last layer only the last
state's token goes on, and of the heads only that of the action.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from baselines.osrl.cdt_training import attend, barrier_before, embeddings, finish, project
from benchmarks.methods.algorithm import Policy

_TOKENS = 4
"""That arrive at once: the action before, return to go, cost to go, state."""
_ROWS = 10
"""Episodes that pass the layers together on the CPU: they stay in the cache."""


class CDTPolicy(Policy):
    """Feeds the model the last `length` steps; what was received leaves the targets.

    The model must not be trained while the policy is in use: it remembers what the weights gave.
    """

    def __init__(
        self,
        model: Any,
        reward_targets: Tensor,
        limits: Tensor,
        *,
        length: int,
        reward_scale: float,
    ) -> None:
        episodes, width = len(limits), model.embedding_dim
        self.model, self.length, self.reward_scale = model, length, reward_scale
        self.returns_to_go = reward_targets * reward_scale
        self.costs_to_go = limits.clone()
        self.actions, self.actions_before = limits.new_zeros(2, episodes, model.action_dim)
        self.steps = torch.zeros(episodes, dtype=torch.long, device=limits.device)
        self.times = torch.tensor([-1, 0, 0, 0], device=limits.device)
        # of each token: itself, its query, key and value in the first layer; steps in a ring
        self.tokens = limits.new_zeros(episodes * length, _TOKENS * 4 * width)

    @torch.no_grad()
    def act(self, observations: Tensor, rows: Tensor) -> Tensor:
        """The mean of the model's Gaussian, clamped to [-1, 1]."""
        if self.model.training:
            self.model.eval()
        steps = self.steps[rows]
        self.tokens[self._slots(rows, steps)] = self._arriving(observations, rows, steps)
        # all windows are as long as the longest; a shorter history lies at their end
        width = min(int(steps.max()) + 1, self.length)
        window = steps[:, None] + torch.arange(1 - width, 1, device=steps.device)
        slots = self._slots(rows[:, None], window)
        at_once = len(rows) if rows.is_cuda else _ROWS
        blocks = zip(slots.split(at_once), self._barrier(window).split(at_once), strict=True)
        features = torch.cat([self._features(*block) for block in blocks])
        actions: Tensor = self.model.action_head(features).mean.clamp(-1.0, 1.0)
        self.actions[rows] = actions
        return actions

    def observe(self, rewards: Tensor, costs: Tensor, rows: Tensor) -> None:
        """Take what was received from what is still asked for."""
        self.returns_to_go[rows] -= rewards * self.reward_scale
        self.costs_to_go[rows] -= costs
        self.actions_before[rows] = self.actions[rows]
        self.steps[rows] += 1

    def _slots(self, rows: Tensor, steps: Tensor) -> Tensor:
        """Where the tokens stand that arrive at `steps` of `rows`."""
        return rows * self.length + steps % self.length

    def _arriving(self, observations: Tensor, rows: Tensor, steps: Tensor) -> Tensor:
        """The tokens of `steps` [n], as they are kept."""
        model = self.model
        asked = self.returns_to_go[rows], self.costs_to_go[rows]
        *others, action = embeddings(model, *asked, observations, self.actions_before[rows])
        times = model.timestep_emb((steps[:, None] + self.times).clamp(min=0))
        x = model.emb_norm(torch.stack([action, *others], 1) + times)
        return torch.cat([x, *project(model.blocks[0], x)], -1).flatten(1)

    def _barrier(self, window: Tensor) -> Tensor:
        """Between the tokens of the steps `window` [n, K]: see `barrier_before`."""
        first = (window[:, -1:] + 1 - self.length).clamp(min=0)
        behind = (window[..., None] + self.times).flatten(1) < first
        length = behind.shape[1]
        hidden = self.model.blocks[0].causal_mask[:length, :length] | behind[:, None]
        # whoever sees nothing sees itself: not-a-number would reach the others through its value
        hidden.diagonal(dim1=1, dim2=2).fill_(False)
        return barrier_before(hidden)

    def _features(self, slots: Tensor, barrier: Tensor) -> Tensor:
        """What the model makes of the last state of the windows in `slots` [n, K]."""
        layers = self.model.blocks
        held = self.tokens.index_select(0, slots.flatten())
        x, q, k, v = held.view(len(slots), barrier.shape[-1], -1).chunk(4, -1)
        last = torch.tensor([x.shape[1] - 1], device=x.device)
        for layer in layers:
            read = last if layer is layers[-1] else None
            if layer is not layers[0]:
                q, k, v = project(layer, x, read)
            elif read is not None:
                q = q[:, read]
            before = barrier if read is None else barrier[:, :, read]
            x = finish(layer, x, attend(layer, q, k, v, before), read)
        features: Tensor = self.model.out_norm(x)[:, 0]
        return features
