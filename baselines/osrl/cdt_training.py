"""One update of osrl's CDT: the same losses and gradients in less time.

Context windows are evaluated in blocks that stay in the cache; their gradients add up. The last
layer evaluates only the tokens of states and actions, since no loss reads the others; the head that
predicts states runs only if its loss has a weight. Dropout masks are cut from whole random words:
torch draws every element separately, which takes a seventh of osrl's update.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.datasets.sequences import Sequences

WINDOWS = 32
"""Windows in a block on the CPU; on an accelerator the whole batch is one block."""
_TOKENS = 4
"""Tokens of a step: return-to-go, cost-to-go, state, action."""

LossInfo = tuple[Tensor, dict[str, Tensor]]


def train_step(trainer: Any, batch: Sequences) -> dict[str, Tensor | float]:
    """`CDTTrainer.train_one_step`: one step of the model and of the entropy's weight.

    `batch.costs` are classes, 0 or 1. Supports the stochastic model without a cost prefix.
    """
    model = trainer.model
    trainer.optim.zero_grad()
    windows = len(batch.mask) if batch.mask.is_cuda else WINDOWS
    blocks = zip(*(column.split(windows) for column in batch), strict=True)
    steps, size = batch.mask.sum(), batch.mask.numel()
    total: dict[str, Tensor] = {}
    for block in blocks:
        loss, info = total_loss(trainer, Sequences(*block), steps, size)
        loss.backward()
        for name, value in info.items():
            total[name] = total.get(name, 0.0) + value
    if not trainer.state_weight:  # osrl's gradient of that head is zero; weight decay still acts
        for parameter in model.state_pred_head.parameters():
            parameter.grad = torch.zeros_like(parameter)
    if trainer.clip_grad is not None:
        nn.utils.clip_grad_norm_(model.parameters(), trainer.clip_grad)
    trainer.optim.step()
    trainer.log_temperature_optimizer.zero_grad()
    loss, _ = temperature_loss(model, total["ent"])  # osrl does not log it
    loss.backward()
    trainer.log_temperature_optimizer.step()
    trainer.scheduler.step()
    return {**total, "train_lr": trainer.scheduler.get_last_lr()[0]}


def total_loss(trainer: Any, b: Sequences, steps: Tensor, size: int) -> LossInfo:
    """A block's part of the weighted sum of all losses of the model.

    The whole batch has `size` steps, `steps` of them within trajectories.
    """
    model = trainer.model
    states, actions = features(model, b).unbind(2)
    loss, actor_info = actor_loss(model, states, b, steps)
    cost, cost_info = cost_loss(model, actions, b, steps, size)
    loss = loss + trainer.cost_weight * cost
    info = {**actor_info, **cost_info}
    if trainer.state_weight:
        state, state_info = state_loss(model, actions, b, size)
        loss = loss + trainer.state_weight * state
        info |= state_info
    return loss, {**info, "all_loss": loss.detach()}


def actor_loss(model: Any, states: Tensor, b: Sequences, steps: Tensor) -> LossInfo:
    """Negative log-likelihood of the actions minus the weighted entropy, from state tokens."""
    gaussian = model.action_head(states)
    weights = b.mask[..., None] / (steps * model.action_dim)
    nll = -(gaussian.log_prob(b.actions) * weights).sum()
    entropy = (gaussian.entropy() * weights).sum()
    loss = nll - model.temperature().detach() * entropy
    return loss, {"nll": nll.detach(), "ent": entropy.detach(), "act_loss": loss.detach()}


def cost_loss(model: Any, actions: Tensor, b: Sequences, steps: Tensor, size: int) -> LossInfo:
    """Cross-entropy of whether a step has a cost, from action tokens."""
    logits = model.cost_pred_head(actions).flatten(0, 1)
    classes, mask = b.costs.flatten().long(), b.mask.flatten()
    errors = functional.cross_entropy(logits, classes, reduction="none")
    loss = (errors * mask).sum() / size
    accuracy = ((logits.argmax(1) == classes) * mask).sum() / steps
    return loss, {"cost_loss": loss.detach(), "cost_acc": accuracy}


def state_loss(model: Any, actions: Tensor, b: Sequences, size: int) -> LossInfo:
    """Squared error of the next state, from action tokens."""
    error = model.state_pred_head(actions[:, :-1]) - b.observations[:, 1:]
    total = (error.square() * b.mask[:, :-1, None]).sum()
    loss = total / (size / b.mask.shape[1] * (b.mask.shape[1] - 1) * model.state_dim)
    return loss, {"state_loss": loss.detach()}


def temperature_loss(model: Any, entropy: Tensor) -> LossInfo:
    """Moves the weight of the entropy so that the entropy approaches its target."""
    loss = model.temperature() * (entropy - model.target_entropy)
    return loss, {"temperature_loss": loss.detach()}


def features(model: Any, b: Sequences) -> Tensor:
    """The transformer's output for the state and action tokens [B, K, 2, embedding]."""
    windows, steps = b.mask.shape
    inputs = b.returns_to_go, b.costs_to_go, b.observations, b.actions
    x = torch.stack(embeddings(model, *inputs), 2) + model.timestep_emb(b.time_steps)[:, :, None]
    x = dropout(model.emb_norm(x.flatten(1, 2)), model.emb_drop.p)
    length = x.shape[1]
    padding = (b.mask == 0).repeat_interleave(_TOKENS, 1)
    hidden = model.blocks[0].causal_mask[:length, :length] | padding[:, None]
    read = torch.arange(length, device=x.device).view(steps, _TOKENS)[:, -2:].flatten()
    mask = attention_mask(hidden)
    for layer in model.blocks:
        x = _layer(layer, x, mask, read if layer is model.blocks[-1] else None)
    result: Tensor = model.out_norm(x).view(windows, steps, 2, -1)
    return result


def embeddings(
    model: Any, returns_to_go: Tensor, costs_to_go: Tensor, observations: Tensor, actions: Tensor
) -> list[Tensor]:
    """The four tokens of a step without the time embedding, each [..., embedding]."""
    return [
        model.return_emb(returns_to_go[..., None]),
        model.cost_emb(model.cost_transform(costs_to_go)[..., None]),
        model.state_emb(observations),
        model.action_emb(actions),
    ]


def _layer(layer: Any, x: Tensor, mask: Tensor, read: Tensor | None) -> Tensor:
    """A transformer block [B, L, D] to [B, L, D], or to the positions `read` only."""
    attention, (windows, length, _) = layer.attention, x.shape
    q, k, v = project(layer, x, read)
    keep = None
    if layer.training and attention.dropout:
        shape = windows, attention.num_heads, length, length
        keep = _at(keep_mask(shape, attention.dropout, x), read, 2)
    return finish(layer, x, attend(layer, q, k, v, _at(mask, read, 2), keep), read)


def project(layer: Any, x: Tensor, read: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Queries (of the positions `read` only), keys and values of tokens, each [B, L, D]."""
    attention, width = layer.attention, x.shape[-1]
    normed, weight, bias = layer.norm1(x), attention.in_proj_weight, attention.in_proj_bias
    if read is None:
        q, k, v = functional.linear(normed, weight, bias).chunk(3, -1)
    else:
        q = functional.linear(_at(normed, read), weight[:width], bias[:width])
        k, v = functional.linear(normed, weight[width:], bias[width:]).chunk(2, -1)
    return q / math.sqrt(width // attention.num_heads), k, v


def attention_mask(hidden: Tensor) -> Tensor:
    """-inf where a key is hidden from a query, hidden [B, Q, L], else 0 [B, 1, Q, L]."""
    mask = torch.zeros(hidden.shape, device=hidden.device).masked_fill_(hidden, -torch.inf)
    return mask[:, None]


def attend(
    layer: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor, keep: Tensor | None = None
) -> Tensor:
    """Attention of queries [B, Q, D] over values [B, L, D], with the heads concatenated.

    `mask` [B, 1, Q, L] is added to the scores; `keep` [B, heads, Q, L], the dropout mask,
    multiplies the weights.
    """
    windows, _, width = q.shape
    heads = layer.attention.num_heads

    def by_head(values: Tensor) -> Tensor:
        return values.view(windows, -1, heads, width // heads).transpose(1, 2).contiguous()

    scores = by_head(q) @ by_head(k).transpose(2, 3)
    weights = scores.add_(mask).softmax(3)
    if keep is not None:
        weights = weights * keep
    return (weights @ by_head(v)).transpose(1, 2).flatten(2)


def finish(layer: Any, x: Tensor, attended: Tensor, read: Tensor | None = None) -> Tensor:
    """A layer's output, at `read` only, from its tokens [B, L, D] and the attention's output."""
    windows, length, width = x.shape
    change = layer.attention.out_proj(attended)
    if layer.training and layer.drop.p:  # in osrl's attention steps are the first dimension
        keep = keep_mask((length, windows, width), layer.drop.p, x)
        change = change * _at(keep, read, 0).transpose(0, 1)
    x = _at(x, read) + change
    widen, activation, narrow, drop = layer.mlp
    change = narrow(activation(widen(layer.norm2(x))))
    if layer.training and drop.p:
        change = change * _at(keep_mask((windows, length, width), drop.p, x), read)
    result: Tensor = x + change
    return result


def _at(values: Tensor, read: Tensor | None, dim: int = 1) -> Tensor:
    return values if read is None else values.index_select(dim, read)


def dropout(x: Tensor, rate: float) -> Tensor:
    """`x` with dropout, as in training."""
    return x * keep_mask(tuple(x.shape), rate, x) if rate else x


def keep_mask(shape: tuple[int, ...], rate: float, like: Tensor) -> Tensor:
    """A dropout mask: 0 with probability `rate` (up to 2**-17), else 1 / (1 - rate)."""
    count = math.prod(shape)
    words = torch.empty((count + 3) // 4, dtype=torch.long, device=like.device)
    words.random_(-(2**63), None)
    dropped = round(rate * 2**16)
    kept = words.view(torch.int16)[:count].view(shape).ge_(dropped - 2**15)
    return kept.to(like.dtype).mul_(1.0 / (1.0 - dropped / 2**16))
