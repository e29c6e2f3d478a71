"""One update of osrl's CDT: the same losses and gradients for less work.

Windows pass in blocks that stay in the cache, and their gradients add up. In the last layer only
the tokens of states and actions go on, since no loss reads what becomes of the others; the head
that predicts states runs only where its loss counts. Dropout's masks are cut from whole random
words: torch draws each of their elements by itself, a seventh of osrl's update.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.datasets.sequences import Sequences

WINDOWS = 32
"""Windows in a block on the CPU; an accelerator takes the whole batch at once."""
_TOKENS = 4
"""A step's tokens: return to go, cost to go, state, action."""


def train_step(trainer: Any, batch: Sequences) -> dict[str, Tensor | float]:
    """As `CDTTrainer.train_one_step`: a step of the model and of the temperature; the losses.

    `batch.costs` are classes, 0 or 1. For the stochastic model without a cost prefix.
    """
    model = trainer.model
    trainer.optim.zero_grad()
    windows = len(batch.mask) if batch.mask.is_cuda else WINDOWS
    columns = zip(*(column.split(windows) for column in batch), strict=True)
    sizes = batch.mask.sum(), batch.mask.numel()
    total: dict[str, Tensor] = {}
    for block in columns:
        losses = _losses(trainer, Sequences(*block), *sizes)
        losses["all_loss"].backward()
        for name, loss in losses.items():
            total[name] = total.get(name, 0.0) + loss.detach()
    if not trainer.state_weight:  # osrl's gradient of that head is zero, and its weights decay
        for parameter in model.state_pred_head.parameters():
            parameter.grad = torch.zeros_like(parameter)
    if trainer.clip_grad is not None:
        nn.utils.clip_grad_norm_(model.parameters(), trainer.clip_grad)
    trainer.optim.step()
    trainer.log_temperature_optimizer.zero_grad()
    (model.temperature() * (total["ent"] - model.target_entropy)).backward()
    trainer.log_temperature_optimizer.step()
    trainer.scheduler.step()
    return {**total, "train_lr": trainer.scheduler.get_last_lr()[0]}


def _losses(trainer: Any, b: Sequences, steps: Tensor, size: int) -> dict[str, Tensor]:
    """A block's share of the batch's losses, of `steps` steps within trajectories and `size`."""
    model = trainer.model
    states, actions = features(model, b).unbind(2)
    gaussian = model.action_head(states)
    inside = b.mask[..., None] / (steps * model.action_dim)
    nll = -(gaussian.log_prob(b.actions) * inside).sum()
    entropy = (gaussian.entropy() * inside).sum()
    costs = model.cost_pred_head(actions).flatten(0, 1)
    classes, mask = b.costs.flatten().long(), b.mask.flatten()
    errors = functional.cross_entropy(costs, classes, reduction="none")
    act_loss = nll - model.temperature().detach() * entropy
    cost_loss = (errors * mask).sum() / size
    loss = act_loss + trainer.cost_weight * cost_loss
    losses = {"nll": nll, "ent": entropy, "act_loss": act_loss, "cost_loss": cost_loss}
    losses["cost_acc"] = ((costs.argmax(1) == classes) * mask).sum() / steps
    if trainer.state_weight:
        following = model.state_pred_head(actions[:, :-1]) - b.observations[:, 1:]
        error = (following.square() * b.mask[:, :-1, None]).sum()
        share = size / b.mask.shape[1] * (b.mask.shape[1] - 1) * model.state_dim
        losses["state_loss"] = error / share
        loss = loss + trainer.state_weight * losses["state_loss"]
    return losses | {"all_loss": loss}


def features(model: Any, b: Sequences) -> Tensor:
    """What the transformer makes of the tokens of states and actions [B, K, 2, embedding]."""
    windows, steps = b.mask.shape
    inputs = b.returns_to_go, b.costs_to_go, b.observations, b.actions
    x = torch.stack(embeddings(model, *inputs), 2) + model.timestep_emb(b.time_steps)[:, :, None]
    x = dropout(model.emb_norm(x.flatten(1, 2)), model.emb_drop.p)
    length = x.shape[1]
    behind = (b.mask == 0).repeat_interleave(_TOKENS, 1)
    hidden = model.blocks[0].causal_mask[:length, :length] | behind[:, None]
    read = torch.arange(length, device=x.device).view(steps, _TOKENS)[:, -2:].flatten()
    barrier = barrier_before(hidden)
    for layer in model.blocks:
        x = _layer(layer, x, barrier, read if layer is model.blocks[-1] else None)
    result: Tensor = model.out_norm(x).view(windows, steps, 2, -1)
    return result


def embeddings(
    model: Any, returns_to_go: Tensor, costs_to_go: Tensor, observations: Tensor, actions: Tensor
) -> list[Tensor]:
    """A step's four tokens without its time, each [..., embedding]."""
    return [
        model.return_emb(returns_to_go[..., None]),
        model.cost_emb(model.cost_transform(costs_to_go)[..., None]),
        model.state_emb(observations),
        model.action_emb(actions),
    ]


def _layer(layer: Any, x: Tensor, barrier: Tensor, read: Tensor | None) -> Tensor:
    """A transformer block, [B, L, D] to [B, L, D], or to the positions `read` only."""
    attention, (windows, length, _) = layer.attention, x.shape
    q, k, v = project(layer, x, read)
    keep = None
    if layer.training and attention.dropout:
        shape = windows, attention.num_heads, length, length
        keep = _at(keep_mask(shape, attention.dropout, x), read, 2)
    return finish(layer, x, attend(layer, q, k, v, _at(barrier, read, 2), keep), read)


def project(layer: Any, x: Tensor, read: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """A layer's queries, at `read` only, keys and values of tokens [B, L, D], each [B, L, D]."""
    attention, width = layer.attention, x.shape[-1]
    normed, weight, bias = layer.norm1(x), attention.in_proj_weight, attention.in_proj_bias
    if read is None:
        q, k, v = functional.linear(normed, weight, bias).chunk(3, -1)
    else:
        q = functional.linear(_at(normed, read), weight[:width], bias[:width])
        k, v = functional.linear(normed, weight[width:], bias[width:]).chunk(2, -1)
    return q / math.sqrt(width // attention.num_heads), k, v


def barrier_before(hidden: Tensor) -> Tensor:
    """What hides keys from queries, hidden [B, Q, L], when added to the scores [B, 1, Q, L]."""
    barrier = torch.zeros(hidden.shape, device=hidden.device).masked_fill_(hidden, -torch.inf)
    return barrier[:, None]


def attend(
    layer: Any, q: Tensor, k: Tensor, v: Tensor, barrier: Tensor, keep: Tensor | None = None
) -> Tensor:
    """What queries [B, Q, D] gather from values [B, L, D]; the heads' results side by side.

    `barrier` [B, 1, Q, L] is added to the scores, `keep` [B, heads, Q, L] multiplies the weights.
    """
    windows, _, width = q.shape
    heads = layer.attention.num_heads

    def by_head(values: Tensor) -> Tensor:
        return values.view(windows, -1, heads, width // heads).transpose(1, 2).contiguous()

    scores = by_head(q) @ by_head(k).transpose(2, 3)
    weights = scores.add_(barrier).softmax(3)
    if keep is not None:
        weights = weights * keep
    return (weights @ by_head(v)).transpose(1, 2).flatten(2)


def finish(layer: Any, x: Tensor, mixed: Tensor, read: Tensor | None = None) -> Tensor:
    """What a layer makes of its tokens [B, L, D], at `read` only, and what those gathered."""
    windows, length, width = x.shape
    change = layer.attention.out_proj(mixed)
    if layer.training and layer.drop.p:  # osrl's attention puts the steps before the windows
        keep = keep_mask((length, windows, width), layer.drop.p, x)
        change = change * _at(keep, read, 0).transpose(0, 1)
    x = _at(x, read) + change
    grow, activation, shrink, drop = layer.mlp
    change = shrink(activation(grow(layer.norm2(x))))
    if layer.training and drop.p:
        change = change * _at(keep_mask((windows, length, width), drop.p, x), read)
    result: Tensor = x + change
    return result


def _at(values: Tensor, read: Tensor | None, dim: int = 1) -> Tensor:
    return values if read is None else values.index_select(dim, read)


def dropout(x: Tensor, share: float) -> Tensor:
    """`x` with `share` of its elements zero, in training's scale."""
    return x * keep_mask(tuple(x.shape), share, x) if share else x


def keep_mask(shape: tuple[int, ...], share: float, like: Tensor) -> Tensor:
    """0 for `share` of the elements, up to 2**-17, and what keeps the mean at 1 for the others."""
    count = math.prod(shape)
    words = torch.empty((count + 3) // 4, dtype=torch.long, device=like.device)
    words.random_(-(2**63), None)
    dropped = round(share * 2**16)
    kept = words.view(torch.int16)[:count].view(shape).ge_(dropped - 2**15)
    return kept.to(like.dtype).mul_(1.0 / (1.0 - dropped / 2**16))
