"""CDT's policy against osrl's whole model on the same windows."""

import pytest
import torch

from baselines.cdt import CDT
from baselines.osrl import cdt_acting
from tests.support.baseline_cases import HORIZON, build

LENGTH = 5
LIMITS = torch.tensor([1.0, 5.0, 9.0, 15.0, 20.0, 30.0])


class Histories:
    """What each episode saw and did, and what osrl's model makes of its last steps."""

    def __init__(self, model, returns, costs):
        self.model, self.past = model, [[] for _ in returns]
        self.to_go = torch.stack([returns, costs], 1)

    def see(self, observations, rows):
        for row, observation in zip(rows.tolist(), observations, strict=True):
            step = [
                observation,
                torch.zeros(2),
                *self.to_go[row].clone(),
                torch.tensor(len(self.past[row])),
            ]
            self.past[row].append(step)
        actions = []
        for row in rows.tolist():
            window = [torch.stack(column)[None] for column in zip(*self.past[row], strict=True)]
            gaussian, _, _ = self.model.eval()(*(column[:, -LENGTH:] for column in window))
            actions.append(gaussian.mean[0, -1].clamp(-1.0, 1.0))
        return torch.stack(actions)

    def receive(self, actions, rewards, costs, rows):
        for row, action in zip(rows.tolist(), actions, strict=True):
            self.past[row][-1][1] = action
        self.to_go[rows] -= torch.stack([rewards, costs], 1)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("at_once", [2, 10])
@torch.no_grad()
def test_actions_are_those_of_osrls_model(seed, layers, at_once, monkeypatch):
    monkeypatch.setattr(cdt_acting, "_EPISODES", at_once)
    algorithm = build(
        CDT, seq_len=LENGTH, num_layers=layers, action_head_layers=1 + seed % 2, margin=0.0
    )
    generator = torch.Generator().manual_seed(seed)
    for parameter in algorithm.model.parameters():
        parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    policy = algorithm.policy(LIMITS)
    scale = algorithm.config.reward_scale
    histories = Histories(algorithm.model, policy.returns_to_go.clone(), LIMITS)
    ages, seen = torch.zeros(6, dtype=torch.long), []
    for step in range(HORIZON):
        # some of the episodes in any order, so that their ages differ; the last begins late
        rows = torch.randperm(6 if step > 7 else 5, generator=generator)
        rows = rows[: int(torch.randint(1, 7, (), generator=generator))]
        observations = torch.randn(len(rows), 3, generator=generator)
        expected = histories.see(observations, rows)
        acted = policy.act(observations, rows)
        torch.testing.assert_close(acted, expected, atol=1e-5, rtol=0)
        torch.testing.assert_close(policy.act(observations, rows), acted, atol=0, rtol=0)
        rewards = 20.0 * torch.randn(len(rows), generator=generator)
        costs = 5.0 * torch.rand(len(rows), generator=generator)
        policy.observe(rewards, costs, rows)
        histories.receive(acted, scale * rewards, costs, rows)
        ages[rows] += 1
        seen.append(acted)
    assert ages.max() > 2 * LENGTH  # the ring has gone round
    assert len(ages.unique()) > 2
    assert (torch.cat(seen).abs() < 1).float().mean() > 0.3


@torch.no_grad()
def test_the_last_action_counts():
    """A history that differs in one action alone leads to another next action."""
    algorithm = build(CDT)
    for parameter in algorithm.model.parameters():
        parameter += 0.1 * torch.randn_like(parameter)
    policy, rows = algorithm.policy(LIMITS[:1].repeat(2)), torch.arange(2)
    observations = torch.ones(2, 3)
    policy.act(observations, rows)
    policy.actions[1] = -policy.actions[1]
    policy.observe(torch.zeros(2), torch.zeros(2), rows)
    one, other = policy.act(observations, rows)
    assert (one - other).abs().max() > 1e-4
