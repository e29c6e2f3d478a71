"""CDT's policy: osrl's model on the last steps of each episode, without unused computation.

In the first layer, query, key and value depend on one token only: they are computed once, when the
token arrives, and cached while it stays in the context window. In the last layer only the token of
the last state is evaluated, and of the heads only the action's.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from baselines.osrl.cdt_training import attend, attention_mask, embeddings, finish, project
from benchmarks.methods.algorithm import Policy

_TOKENS = 4
"""Tokens added at each step: previous action, return-to-go, cost-to-go, state."""
_EPISODES = 10
"""Episodes that are evaluated together on the CPU, few enough to stay in the cache."""


class CDTPolicy(Policy):
    """Conditions the model on the last `length` steps, return-to-go and cost-to-go.

    Rewards and costs received are subtracted from the targets. The model must not be trained while
    the policy is in use: the policy caches outputs of its layers.
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
        self.actions, self.last_actions = limits.new_zeros(2, episodes, model.action_dim)
        self.steps = torch.zeros(episodes, dtype=torch.long, device=limits.device)
        self.times = torch.tensor([-1, 0, 0, 0], device=limits.device)
        # each token with its query, key and value in the first layer; a ring buffer of steps
        self.tokens = limits.new_zeros(episodes * length, _TOKENS * 4 * width)

    @torch.no_grad()
    def act(self, observations: Tensor, env_ids: Tensor) -> Tensor:
        """The mean of the model's Gaussian, clamped to [-1, 1]."""
        if self.model.training:
            self.model.eval()
        steps = self.steps[env_ids]
        self.tokens[self._slots(env_ids, steps)] = self._new_tokens(observations, env_ids, steps)
        # all windows are as long as the longest; shorter histories are padded at the start
        width = min(int(steps.max()) + 1, self.length)
        window = steps[:, None] + torch.arange(1 - width, 1, device=steps.device)
        slots = self._slots(env_ids[:, None], window)
        size = len(env_ids) if env_ids.is_cuda else _EPISODES
        blocks = zip(slots.split(size), self._mask(window).split(size), strict=True)
        features = torch.cat([self._features(*block) for block in blocks])
        actions: Tensor = self.model.action_head(features).mean.clamp(-1.0, 1.0)
        self.actions[env_ids] = actions
        return actions

    def observe(self, rewards: Tensor, costs: Tensor, env_ids: Tensor) -> None:
        """Subtract rewards and costs from return-to-go and cost-to-go."""
        self.returns_to_go[env_ids] -= rewards * self.reward_scale
        self.costs_to_go[env_ids] -= costs
        self.last_actions[env_ids] = self.actions[env_ids]
        self.steps[env_ids] += 1

    def _slots(self, env_ids: Tensor, steps: Tensor) -> Tensor:
        """Indices into `tokens` of the tokens of `steps` of the episodes `env_ids`."""
        return env_ids * self.length + steps % self.length

    def _new_tokens(self, observations: Tensor, env_ids: Tensor, steps: Tensor) -> Tensor:
        """The tokens of `steps` [n] in the form that `tokens` holds."""
        model = self.model
        targets = self.returns_to_go[env_ids], self.costs_to_go[env_ids]
        *others, action = embeddings(model, *targets, observations, self.last_actions[env_ids])
        times = model.timestep_emb((steps[:, None] + self.times).clamp(min=0))
        x = model.emb_norm(torch.stack([action, *others], 1) + times)
        return torch.cat([x, *project(model.blocks[0], x)], -1).flatten(1)

    def _mask(self, window: Tensor) -> Tensor:
        """`attention_mask` of the tokens of the steps `window` [n, K]."""
        first = (window[:, -1:] + 1 - self.length).clamp(min=0)
        padding = (window[..., None] + self.times).flatten(1) < first
        length = padding.shape[1]
        hidden = self.model.blocks[0].causal_mask[:length, :length] | padding[:, None]
        # a token with all keys hidden sees itself: its NaN would reach the others as a value
        hidden.diagonal(dim1=1, dim2=2).fill_(False)
        return attention_mask(hidden)

    def _features(self, slots: Tensor, mask: Tensor) -> Tensor:
        """The model's output for the last state of the windows in `slots` [n, K]."""
        layers = self.model.blocks
        cached = self.tokens.index_select(0, slots.flatten())
        x, q, k, v = cached.view(len(slots), mask.shape[-1], -1).chunk(4, -1)
        last = torch.tensor([x.shape[1] - 1], device=x.device)
        for layer in layers:
            read = last if layer is layers[-1] else None
            if layer is not layers[0]:
                q, k, v = project(layer, x, read)
            elif read is not None:
                q = q[:, read]
            layer_mask = mask if read is None else mask[:, :, read]
            x = finish(layer, x, attend(layer, q, k, v, layer_mask), read)
        features: Tensor = self.model.out_norm(x)[:, 0]
        return features
