"""The wrapped baselines against osrl's own trainers, built here from osrl's published options."""

import itertools
from dataclasses import replace
from operator import attrgetter

import pytest
import torch

from baselines.bc import BCAll, BCFrontier, BCSafe
from baselines.bcq_lag import BCQLag
from baselines.bear_lag import BEARLag
from baselines.cdt import CDT
from baselines.coptidice import COptiDICE, COptiDICEPerStep
from baselines.cpq import CPQ, CPQPenalised
from baselines.osrl import cdt_training
from benchmarks.datasets.targets import reward_targets
from benchmarks.methods.algorithm import Problem
from tests.support.baseline_cases import HORIZON, LIMIT, build, small_data
from tests.support.osrl_cases import (
    cdt_batch,
    osrl_bc,
    osrl_bcql,
    osrl_bearl,
    osrl_cdt,
    osrl_coptidice,
    osrl_coptidice_perstep,
    osrl_cpq,
    torchs_mask,
    transitions,
    twins,
)

UPDATES = 20


CASES = [
    (BCAll, osrl_bc, lambda b: (b.observations, b.actions)),
    (BCSafe, osrl_bc, lambda b: (b.observations, b.actions)),
    (BCFrontier, osrl_bc, lambda b: (b.observations, b.actions)),
    (CPQ, osrl_cpq, transitions),
    (COptiDICE, osrl_coptidice, lambda b: ([*transitions(b), b.initial],)),
    (COptiDICEPerStep, osrl_coptidice_perstep, lambda b: ([*transitions(b), b.initial],)),
    (BCQLag, osrl_bcql, transitions),
    (BEARLag, osrl_bearl, transitions),
    (CDT, osrl_cdt, cdt_batch),
]
NAMES = [case[0].name for case in CASES]
MEMORYLESS = [*CASES[:-1], (CPQPenalised, osrl_cpq, transitions)]


def assert_close(ours, theirs):
    ours, theirs = ours.state_dict(), theirs.state_dict()
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], atol=1e-6, rtol=0, msg=name)


def train_both(algorithm, trainer, arguments):
    """Twenty updates of both on the same batches and draws; what ours lost in each."""
    sampler, losses = algorithm.sampler, []
    for update in range(UPDATES):
        batch = sampler()
        algorithm.sampler = lambda draws=None, batch=batch: batch
        torch.manual_seed(update)
        losses.append(dict(algorithm.update()))
        torch.manual_seed(update)
        trainer.train_one_step(*arguments(batch))
    return losses


def assert_all_close(algorithm, model):
    assert_close(algorithm.model, model)
    for name in algorithm.loose_tensors:
        ours, theirs = (attrgetter(name)(owner) for owner in (algorithm.model, model))
        torch.testing.assert_close(ours, torch.as_tensor(theirs), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("cls", "osrl", "arguments"), CASES, ids=NAMES)
def test_updates_equal_osrls(cls, osrl, arguments, monkeypatch):
    monkeypatch.setattr(cdt_training, "keep_mask", torchs_mask)
    algorithm, model, trainer = twins(cls, osrl)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    train_both(algorithm, trainer, arguments)
    assert_all_close(algorithm, model)
    moved = [n for n, v in model.state_dict().items() if not torch.equal(v, start[n])]
    assert len(moved) > len(start) // 2


@pytest.mark.parametrize(
    ("cls", "osrl", "options"),
    [
        (BCQLag, osrl_bcql, {}),
        (BEARLag, osrl_bearl, {"kernel": "laplacian", "start_update_policy_step": 9}),
    ],
)
def test_the_price_of_cost_equals_osrls(cls, osrl, options):
    # a limit below any cost sets a price of it from the start
    algorithm, model, trainer = twins(cls, osrl, {"limit": -5.0, **options})
    losses = train_both(algorithm, trainer, transitions)
    assert_all_close(algorithm, model)
    prices = [loss["lagrangian"] for loss in losses]
    assert 0.4 < prices[0] < prices[-1]


def test_options_reach_osrls_models_and_optimisers():
    options = {"gamma": 0.9, "tau": 0.1, "beta": 0.2, "num_q": 3, "num_qc": 1}
    sizes = {"hidden_layers": 1, "vae_hidden": 5, "sample_action_num": 4}
    rates = {"actor_lr": 0.1, "critic_lr": 0.2, "vae_lr": 0.3}
    price = {"lmbda": 0.6, "kp": 0.4, "ki": 0.5, "kd": 0.7}
    bear = {"alpha_lr": 0.8, "mmd_sigma": 9.0, "target_mmd_thresh": 0.3, "kernel": "laplacian"}
    bear |= {"num_samples_mmd_match": 3, "start_update_policy_step": 2}
    cpq = {"alpha_lr": 0.8, "qc_scalar": 3.0}
    cases = {BCQLag: price | {"phi": 0.2}, BEARLag: price | bear, CPQ: cpq, CPQPenalised: cpq}
    for cls, own in cases.items():
        algorithm = build(cls, limit=6.0, **options, **sizes, **rates, **own)
        model = algorithm.model
        for name, value in {**options, **own}.items():
            name = name.upper() if name in ("kp", "ki", "kd") else name
            assert getattr(model, name) == value, (cls.name, name)
        assert (model.cost_limit, model.episode_len) == (6.0, HORIZON)
        assert model.sample_action_num == 4
        assert model.a_hidden_sizes == model.c_hidden_sizes == [16]
        assert model.vae.e1.out_features == 5
        optimisers = (model.actor_optim, model.critic_optim, model.cost_critic_optim)
        given = [o.param_groups[0]["lr"] for o in (*optimisers, model.vae_optim)]
        assert given == [0.1, 0.2, 0.2, 0.3]


def test_cpq_penalised_is_osrls_but_for_the_gradient(monkeypatch):
    algorithm, model, trainer = twins(CPQPenalised, osrl_cpq)
    out_of_distribution_qc = algorithm.out_of_distribution_qc
    monkeypatch.setattr(
        algorithm, "out_of_distribution_qc", lambda o: out_of_distribution_qc(o).detach()
    )
    train_both(algorithm, trainer, transitions)
    assert_close(algorithm.model, model)
    # osrl's targets lag behind the critics, and so does its multiplier
    torch.testing.assert_close(algorithm.model.log_alpha, model.log_alpha, atol=1e-3, rtol=0)
    assert model.log_alpha > 0.01


def test_cpq_without_the_penalty_trains_the_same_actor_and_critics(monkeypatch):
    algorithm, model, trainer = twins(CPQ, osrl_cpq, skip_inert_penalty=True)

    def same_draws(owner, name):
        original, seeds = getattr(owner, name), itertools.count(len(name) * 1000)

        def seeded(*arguments):
            torch.manual_seed(next(seeds))
            return original(*arguments)

        monkeypatch.setattr(owner, name, seeded)

    for ours, name in (
        (algorithm.model, "critic_loss"),
        (algorithm, "cost_critic_loss"),
        (algorithm.model, "actor_loss"),
    ):
        same_draws(ours, name)
        same_draws(model, name)
    sampler = algorithm.sampler
    for _ in range(UPDATES):
        batch = sampler()
        algorithm.sampler = lambda draws=None, batch=batch: batch
        losses = algorithm.update()
        trainer.train_one_step(*transitions(batch))
    assert set(losses) == {"critic_loss", "cost_critic_loss", "actor_loss"}
    for part in ("actor", "critic", "cost_critic"):
        assert_close(getattr(algorithm.model, part), getattr(model, part))
        assert_close(getattr(algorithm.model, f"{part}_old"), getattr(model, f"{part}_old"))
    # the rest did move in osrl's: the penalty was at work there, to no effect
    assert model.log_alpha != 0
    assert not torch.equal(next(algorithm.model.vae.parameters()), next(model.vae.parameters()))


@pytest.mark.parametrize(("cls", "osrl", "_"), MEMORYLESS, ids=[c[0].name for c in MEMORYLESS])
def test_memoryless_policies_act_as_osrls(cls, osrl, _, monkeypatch):
    algorithm, model, _ = twins(cls, osrl)
    observations = torch.randn(4, 3)
    monkeypatch.setattr(torch, "randn", torch.zeros)  # osrl's BCQ draws a code where ours takes 0
    acted = algorithm.policy(torch.zeros(4)).act(observations, torch.arange(4))
    for row, observation in zip(acted, observations.numpy(), strict=True):
        bc = isinstance(algorithm, BCAll)
        theirs = model.act(observation) if bc else model.act(observation, True, True)[0]
        torch.testing.assert_close(row, torch.as_tensor(theirs), atol=1e-6, rtol=0)


class Replay:
    """An environment that replays an episode whatever is done, and records the actions."""

    def __init__(self, observations, rewards, costs):
        self.observations, self.rewards, self.costs = observations, rewards, costs
        self.actions = []

    def reset(self):
        return self.observations[0].numpy(), {}

    def step(self, action):
        self.actions.append(torch.as_tensor(action))
        step = len(self.actions)
        ended = step == len(self.rewards)
        following = self.observations[min(step, len(self.rewards) - 1)].numpy()
        reward, cost = self.rewards[step - 1].item(), self.costs[step - 1].item()
        return following, reward, ended, False, {"cost": cost}


@pytest.mark.parametrize("steps", [3, 17, HORIZON])
def test_cdt_acts_as_in_osrls_rollout(steps):
    data = small_data()
    algorithm, model, trainer = twins(CDT, osrl_cdt)
    algorithm.config = replace(algorithm.config, margin=0.0)  # osrl asks for the whole limit
    for network in (algorithm.model, model):  # small first weights hardly look at the history
        torch.manual_seed(0)
        for parameter in network.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    generator = torch.Generator().manual_seed(steps)
    observations = torch.randn(steps, 3, generator=generator)
    rewards = 20.0 * torch.randn(steps, generator=generator)
    costs = 30.0 * torch.randn(steps, generator=generator)  # of a size that the model cannot miss
    limits = torch.tensor([LIMIT, 2.0])
    problem = Problem.of(data, HORIZON)
    targets = reward_targets(problem.returns, problem.costs, limits)

    def ours(spent):
        policy, rows, acted = algorithm.policy(limits), torch.arange(2), []
        for step in range(steps):
            acted.append(policy.act(observations[step].expand(2, -1), rows))
            policy.observe(rewards[step].expand(2), spent[step].expand(2), rows)
        return torch.stack(acted)

    acted = ours(costs)
    for episode, (target, limit) in enumerate(zip(targets, limits, strict=True)):
        # osrl's environment is wrapped so that it pays scaled rewards
        replay = Replay(observations, 0.1 * rewards, costs)
        model.eval()
        trainer.rollout(model, replay, 0.1 * target.item(), limit.item())
        assert len(replay.actions) == steps
        theirs = torch.stack(replay.actions)
        torch.testing.assert_close(acted[:, episode], theirs, atol=1e-6, rtol=0)
    assert (acted.abs() < 1).float().mean() > 0.5
    assert (acted[:, 0] - acted[:, 1]).abs().max() > 1e-3
    assert (acted[1:] - ours(-costs)[1:]).abs().max() > 1e-3
