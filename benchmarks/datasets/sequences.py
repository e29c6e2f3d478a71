"""Windows of consecutive steps for sequence models, with relabelled trajectories (CDT).

The augmentation is that of the Constrained Decision Transformer (Liu and others, ICML 2023,
arXiv 2302.07351), as in osrl: targets with higher returns than the data are spread over the range
of costs, and each target relabels a nearby trajectory whose cost is at most the target's.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.polynomial import Polynomial
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.datasets.trajectories import Trajectories

Values = NDArray[np.float64]
Indices = NDArray[np.intp]


class Sequences(NamedTuple):
    """A batch of B windows of K steps; all but the first two and `episode_cost` are [B, K].

    Everything but `time_steps` is 0 after the end of a trajectory.
    """

    observations: Tensor
    actions: Tensor
    returns_to_go: Tensor
    costs_to_go: Tensor
    time_steps: Tensor
    """Steps of the episode [B, K]; they count on after its end."""
    mask: Tensor
    """1 inside the trajectory, 0 after its end."""
    episode_cost: Tensor
    """Cost of the whole trajectory [B]."""
    costs: Tensor


class Relabelled(NamedTuple):
    """A relabelled copies: trajectories `episodes` [A] with target returns and costs [A]."""

    episodes: Indices
    returns: Values
    costs: Values


class SequenceSampler:
    """Draws windows from trajectories held on `device`, from torch's default generator.

    A trajectory is drawn with `probabilities` (see `cost_probabilities`; None is uniform), with the
    relabelled ones after the data's own, and the window's first step uniformly from its steps. A
    relabelled trajectory shares the steps of its source; its returns-to-go and costs-to-go are
    shifted to start at the target. Returns are scaled by `reward_scale`.
    """

    def __init__(
        self,
        data: Trajectories,
        batch: int,
        length: int,
        device: torch.device | str = "cpu",
        *,
        reward_scale: float = 1.0,
        relabelled: Relabelled | None = None,
        probabilities: Values | None = None,
    ) -> None:
        self.batch, self.length, self.device = batch, length, torch.device(device)
        extra = relabelled or Relabelled(np.empty(0, np.intp), np.empty(0), np.empty(0))
        episodes = np.concatenate([np.arange(len(data)), extra.episodes])
        returns = np.concatenate([data.returns, extra.returns])
        costs = np.concatenate([data.episode_costs, extra.costs])
        to_go = [data.to_go(data.rewards) * reward_scale, data.to_go(data.costs), data.costs]
        shifts = [(returns - data.returns[episodes]) * reward_scale]
        shifts += [costs - data.episode_costs[episodes]]
        columns = [column.astype(np.float32) for column in to_go]
        packed = np.column_stack([data.observations, data.actions, *columns])

        def tensor(values: object) -> Tensor:
            return torch.as_tensor(values).to(self.device)

        self._packed = tensor(packed)
        self._widths = [data.observations.shape[1], data.actions.shape[1], 1, 1, 1]
        self._shifts = tensor(np.column_stack(shifts).astype(np.float32))
        self._costs = tensor(costs.astype(np.float32))
        self._first = tensor(data.starts[episodes])
        self._lengths = tensor(data.lengths[episodes])
        self._window = torch.arange(length, device=self.device)
        if probabilities is None:
            probabilities = np.ones(len(episodes))
        cumulative = np.cumsum(probabilities, dtype=np.float64)
        self._cumulative = tensor(cumulative / cumulative[-1])

    def __call__(self) -> Sequences:
        """Draw the next batch, with replacement."""
        draws = torch.rand(2, self.batch, dtype=torch.float64, device=self.device)
        chosen = torch.searchsorted(self._cumulative, draws[0], right=True)
        return self.windows(chosen, (draws[1] * self._lengths[chosen]).long())

    def windows(self, trajectories: Tensor, steps: Tensor) -> Sequences:
        """The windows that start at `steps` [B] of `trajectories` [B]."""
        time_steps = steps[:, None] + self._window
        inside = time_steps < self._lengths[trajectories, None]
        rows = (self._first[trajectories, None] + time_steps).clamp(max=len(self._packed) - 1)
        packed = self._packed[rows]
        packed[..., -3:-1] += self._shifts[trajectories, None]
        packed *= inside[..., None]
        observations, actions, *scalars = packed.split(self._widths, dim=-1)
        returns_to_go, costs_to_go, costs = (column.squeeze(-1) for column in scalars)
        return Sequences(
            observations,
            actions,
            returns_to_go,
            costs_to_go,
            time_steps,
            inside.float(),
            self._costs[trajectories],
            costs,
        )


def cost_probabilities(costs: Values, offset: float) -> Values:
    """Sampling probabilities of trajectories with costs [E], proportional to max(offset - cost, 0).

    Uniform if no cost is below the offset.
    """
    weights: Values = np.maximum(offset - costs, 0.0)
    if weights.sum() == 0:
        weights = np.ones_like(costs)
    weights /= weights.sum()
    return weights


def relabel_beyond_front(
    returns: Values,
    costs: Values,
    share: float,
    rng: np.random.Generator,
    *,
    degree: int,
    margin: float,
    max_decrease: float,
    beta: float,
) -> Relabelled:
    """Relabel the fraction `share` of the trajectories [E] with targets beyond the data.

    Target costs are spaced evenly over the data's range; target returns are uniform between the
    fitted Pareto front plus `margin` and the largest return. A target relabels the nearest
    trajectory with at most its cost. If that is already relabelled, it relabels one whose cost is
    at most that trajectory's and whose return is at most `max_decrease` lower, drawn with weight
    1 / (distance + `beta`). Outliers are not relabelled.
    """
    typical = typical_trajectories(returns, costs, rng)
    front = typical[pareto_front(returns[typical], costs[typical])]
    typical_costs = costs[typical]
    number = int(share * len(typical))
    target_costs = np.linspace(typical_costs.min(), typical_costs.max(), number)
    low = fit_front(returns[front], costs[front], degree)(target_costs) + margin
    # Where the front plus the margin exceeds the largest return, targets lie between the two.
    target_returns = low + (returns.max() - low) * rng.random(len(low))
    points = np.column_stack([typical_costs, returns[typical]])
    targets = np.column_stack([target_costs, target_returns])
    sources = _associate(points, targets, max_decrease, beta, rng)
    return Relabelled(typical[sources], target_returns, target_costs)


def typical_trajectories(returns: Values, costs: Values, rng: np.random.Generator) -> Indices:
    """Indices of the trajectories in well-filled cells of a 10 x 50 grid of cost and return.

    Cells with one or two trajectories are left out; from cells with more than ten, ten are drawn.
    If no cell has three, all trajectories.
    """
    cells = _bins(costs, 10) * 100 + _bins(returns, 50)
    order = rng.permutation(len(cells))
    order = order[np.argsort(cells[order], kind="stable")]
    _, first, inverse, counts = np.unique(
        cells[order], return_index=True, return_inverse=True, return_counts=True
    )
    rank = np.arange(len(order)) - first[inverse]
    typical: Indices = np.sort(order[(counts[inverse] > 2) & (rank < 10)])
    return typical if len(typical) else np.arange(len(cells))


def _bins(values: Values, number: int) -> NDArray[np.int64]:
    # The largest value gets an extra bin, as in osrl.
    step = (values.max() - values.min()) / number or 1.0
    bins: NDArray[np.int64] = ((values - values.min()) // step).astype(np.int64)
    return bins


def pareto_front(returns: Values, costs: Values) -> Indices:
    """Indices of the Pareto-optimal points: no other has more return and at most the same cost."""
    order = np.lexsort((-returns, costs))
    best = np.maximum.accumulate(returns[order])
    # The smallest cost at which this best return is reached.
    cheapest = costs[order][np.searchsorted(best, best)]
    return np.sort(order[(returns[order] == best) & (costs[order] == cheapest)])


def fit_front(returns: Values, costs: Values, degree: int) -> Polynomial:
    """Fit the return as a polynomial of the cost to the points of a front, by least squares.

    The degree is at most the number of distinct costs minus one.
    """
    degree = min(degree, len(np.unique(costs)) - 1)
    if degree == 0:
        return Polynomial([returns.mean()])
    fitted: Polynomial = Polynomial.fit(costs, returns, degree)
    return fitted


def _associate(
    points: Values, targets: Values, max_decrease: float, beta: float, rng: np.random.Generator
) -> Indices:
    """For each target (cost, return) [S, 2], the index of a point [E, 2] with at most its cost."""
    affordable = points[:, 0] <= targets[:, :1]
    distances = np.hypot(*(points[None] - targets[:, None]).transpose(2, 0, 1))
    nearest_points: Indices = np.where(affordable, distances, np.inf).argmin(axis=1)
    # Each source stays with its target. osrl reorders the sources but not the targets, and so pairs
    # them at random as soon as a point is the nearest of two targets.
    sources = nearest_points.copy()
    for nearest in np.unique(nearest_points):
        repeats = np.flatnonzero(nearest_points == nearest)[1:]
        cost, value = points[nearest]
        near = np.flatnonzero((points[:, 0] <= cost) & (points[:, 1] >= value - max_decrease))
        weights = 1.0 / (np.hypot(*(points[near] - points[nearest]).T) + beta)
        sources[repeats] = rng.choice(near, size=len(repeats), p=weights / weights.sum())
    return sources
