"""Constrained Decision Transformer (CDT; Liu and others, ICML 2023, arXiv 2302.07351), by osrl.

A transformer over the last steps of an episode - return to go, cost to go, state, action - that is
regressed on the data's actions, and is asked for a return and a cost at test time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from baselines.osrl.adapter import WrappedAlgorithm, import_osrl
from baselines.osrl.cdt_acting import CDTPolicy
from baselines.osrl.cdt_training import train_step
from benchmarks.common.errors import UserError
from benchmarks.datasets.sequences import SequenceSampler, cost_probabilities, relabel_beyond_front
from benchmarks.datasets.targets import TARGET_MARGIN, TARGET_QUANTILE, reward_targets
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.algorithm import Budget, Config, Policy, acting


@dataclass(frozen=True)
class CDTConfig(Config):
    """Options of CDT; defaults are osrl's, but for the three that osrl sets by hand for each task.

    These are `deg`, `max_rew_decrease` and the largest return that is asked for, which osrl sets a
    little above the data's and which is the data's here.
    """

    batch: int = 2048
    seq_len: int = 10
    """Steps that the transformer sees."""
    embedding_dim: int = 128
    num_layers: int = 3
    num_heads: int = 8
    action_head_layers: int = 1
    attention_dropout: float = 0.1
    residual_dropout: float = 0.1
    embedding_dropout: float = 0.1
    learning_rate: float = 1e-4
    lr_warmup_steps: int = 500
    weight_decay: float = 1e-4
    clip_grad: float = 0.25
    """Largest norm of the gradient."""
    init_temperature: float = 0.1
    """Weight of the policy's entropy at the start; it is learned then."""
    loss_cost_weight: float = 0.02
    """Weight of predicting whether a step costs."""
    loss_state_weight: float = 0.0
    """Weight of predicting the next state."""
    reward_scale: float = 0.1
    cost_sample: bool = True
    """Draw trajectories in proportion to `cost_sample_offset` minus their cost, those that cost
    more never; else all alike."""
    cost_sample_offset: float = 70.0
    augment_percent: float = 0.2
    """Relabelled trajectories, as a share of the data's; 0 turns the augmentation off."""
    deg: int = 2
    """Degree of the polynomial through the Pareto front (osrl: 0 to 4, by task)."""
    min_reward: float = 1.0
    """Least distance of a relabelled return above the front."""
    max_rew_decrease: float = 0.15
    """How much worse a stand-in for the trajectory nearest to a target may be, as a share of the
    largest return in absolute value (osrl: 0.08 to 0.33 of it, by task)."""
    beta: float = 1.0
    """Stand-ins are drawn with weight 1 / (distance + beta)."""
    target_quantile: float = acting(TARGET_QUANTILE)
    """Of the returns within the limit, less the margin: what is asked for (osrl: set by hand for
    each task). The same rule and values as GAS's."""
    margin: float = acting(TARGET_MARGIN)
    """Part of the limit that is not asked for (osrl: none)."""


_QUICK = Budget.of(
    800,
    update_ms=38,
    batch=64,
    embedding_dim=64,
    num_layers=2,
    num_heads=4,
    learning_rate=5e-4,  # at 1e-3 the tight limits are missed
    lr_warmup_steps=50,
)


class CDT(WrappedAlgorithm):
    """CDT as osrl trains it; one training serves every limit."""

    name = "cdt"
    conditions_on_limit = True
    config_class = CDTConfig
    budgets: ClassVar = {
        "quick": _QUICK,
        "standard": _QUICK.extended(6_000),
        "paper": Budget.of(100_000, update_ms=4_500),
    }
    loose_tensors = ("log_temperature",)
    config: CDTConfig

    def build(self) -> tuple[Any, Any]:
        """The CDT of osrl and its trainer."""
        osrl, c = import_osrl("algorithms.cdt"), self.config
        model = osrl.CDT(
            self.problem.observation_dim,
            self.problem.action_dim,
            max_action=1.0,
            seq_len=c.seq_len,
            episode_len=self.problem.horizon,
            embedding_dim=c.embedding_dim,
            num_layers=c.num_layers,
            num_heads=c.num_heads,
            attention_dropout=c.attention_dropout,
            residual_dropout=c.residual_dropout,
            embedding_dropout=c.embedding_dropout,
            use_rew=True,
            use_cost=True,
            cost_transform=True,
            action_head_layers=c.action_head_layers,
            stochastic=True,
            init_temperature=c.init_temperature,
            target_entropy=-self.problem.action_dim,
        ).to(self.device)
        trainer = osrl.CDTTrainer(
            model,
            None,
            self.log,
            learning_rate=c.learning_rate,
            weight_decay=c.weight_decay,
            clip_grad=c.clip_grad,
            lr_warmup_steps=c.lr_warmup_steps,
            reward_scale=c.reward_scale,
            loss_cost_weight=c.loss_cost_weight,
            loss_state_weight=c.loss_state_weight,
            device=str(self.device),
        )
        return model, trainer

    def prepare(self, data: Trajectories) -> None:
        """Relabel some trajectories and put all windows on the device."""
        c = self.config
        if data.lengths.max() > self.problem.horizon:
            raise UserError(
                f"cdt needs episodes of at most {self.problem.horizon} steps, the task's horizon: "
                f"the data hold one of {data.lengths.max()}"
            )
        more = relabel_beyond_front(
            data.returns,
            data.episode_costs,
            c.augment_percent,
            np.random.default_rng(int(torch.randint(2**62, ()))),
            degree=c.deg,
            margin=c.min_reward,
            max_decrease=c.max_rew_decrease * float(np.abs(data.returns).max()),
            beta=c.beta,
        )
        costs = np.concatenate([data.episode_costs, more.costs])
        weights = cost_probabilities(costs, c.cost_sample_offset) if c.cost_sample else None
        self.sampler = SequenceSampler(
            data,
            c.batch,
            c.seq_len,
            self.device,
            reward_scale=c.reward_scale,
            relabelled=more,
            probabilities=weights,
        )

    def update(self) -> dict[str, Tensor | float]:
        """One step on the actions' likelihood, the cost prediction and the temperature."""
        batch = self.sampler()
        self.model.train()
        # the cost is a class of two to osrl, whatever its size
        return train_step(self.trainer, batch._replace(costs=(batch.costs > 0).float()))

    def policy(self, limits: Tensor) -> Policy:
        """The learned policy, asked for each limit and the return that the data hold within it."""
        data, c = self.problem, self.config
        budgets = (1.0 - c.margin) * limits.to(self.device)
        targets = reward_targets(data.returns, data.costs, budgets.cpu(), c.target_quantile)
        return CDTPolicy(
            self.model,
            targets.to(self.device),
            budgets,
            length=self.config.seq_len,
            reward_scale=self.config.reward_scale,
        )
