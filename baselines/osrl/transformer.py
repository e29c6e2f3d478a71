"""What CDT and B2R share: osrl's transformer, its optimisers, and one update of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from baselines.osrl.adapter import WrappedAlgorithm, import_osrl
from baselines.osrl.cdt_training import train_step
from benchmarks.common.errors import UserError
from benchmarks.common.ranges import (
    Batch,
    Count,
    Discount,
    LearningRate,
    NotNegative,
    Positive,
    Updates,
    Width,
)
from benchmarks.datasets.sequences import SequenceSampler
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.algorithm import Config


@dataclass(frozen=True)
class TransformerConfig(Config):
    """Options of the transformer and its training; defaults are osrl's for CDT."""

    batch: Batch = 2048
    seq_len: Count = 10
    """Context length in steps."""
    embedding_dim: Width = 128
    num_layers: Count = 3
    num_heads: Count = 8
    action_head_layers: Count = 1
    attention_dropout: Discount = 0.1
    residual_dropout: Discount = 0.1
    embedding_dropout: Discount = 0.1
    learning_rate: LearningRate = 1e-4
    lr_warmup_steps: Updates = 500
    weight_decay: NotNegative = 1e-4
    clip_grad: Positive = 0.25
    """Maximum norm of the gradient."""
    init_temperature: Positive = 0.1
    """Initial weight of the policy's entropy; it is then learned."""
    loss_cost_weight: NotNegative = 0.02
    """Weight of the loss that predicts whether a step has a cost."""
    loss_state_weight: NotNegative = 0.0
    """Weight of the loss that predicts the next state."""
    reward_scale: Positive = 0.1

    def __post_init__(self) -> None:
        if self.num_heads and self.embedding_dim % self.num_heads:
            raise UserError(
                f"embedding_dim {self.embedding_dim} must be divisible by num_heads "
                f"{self.num_heads}"
            )


QUICK = {
    "batch": 64,
    "embedding_dim": 64,
    "num_layers": 2,
    "num_heads": 4,
    "learning_rate": 5e-4,  # at 1e-3 tight limits are violated
    "lr_warmup_steps": 50,
}
"""Options of the shorter budgets."""


class TransformerAlgorithm(WrappedAlgorithm):
    """osrl's transformer, trained on windows that the subclass samples."""

    heeds_limit = True
    loose_tensors = ("log_temperature",)
    config: TransformerConfig
    sampler: SequenceSampler

    # networks

    def build_osrl(self) -> tuple[Any, Any]:
        """Create osrl's CDT and its trainer."""
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

    # update; the losses are in `baselines.osrl.cdt_training`

    def check_lengths(self, data: Trajectories) -> None:
        """Raise `UserError` if an episode is longer than the horizon, the embedding's size."""
        if data.lengths.max() > self.problem.horizon:
            raise UserError(
                f"{self.name}: the dataset has an episode of {data.lengths.max()} steps, but the "
                f"task's horizon is {self.problem.horizon}; cut the episodes or raise the horizon"
            )

    def update(self) -> dict[str, Tensor | float]:
        """One gradient step of the model, and one of the entropy's weight."""
        batch = self.sampler()
        self.model.train()
        # osrl predicts one of two classes: a cost or none
        return train_step(self.trainer, batch._replace(costs=(batch.costs > 0).float()))
