"""The wrapped baselines against osrl's own trainers, built here from osrl's published options."""

import itertools

import pytest
import torch

from baselines.bc import BCAll, BCSafe
from baselines.cdt import CDT
from baselines.coptidice import COptiDICE
from baselines.cpq import CPQ
from baselines.osrl_adapter import import_osrl
from benchmarks.algorithm import Problem
from benchmarks.data.targets import reward_targets

from .test_baselines import HORIZON, LIMIT, build, small_data

UPDATES = 20
SIZES = {"a_hidden_sizes": [16, 16], "episode_len": HORIZON}
BOTH = SIZES | {"c_hidden_sizes": [16, 16], "cost_limit": LIMIT}


class Log:
    def store(self, **_):
        pass


def osrl_bc():
    osrl = import_osrl("algorithms.bc")
    model = osrl.BC(3, 2, 1.0, **SIZES)
    return model, osrl.BCTrainer(model, None, Log(), actor_lr=1e-3)


def osrl_cpq():
    osrl = import_osrl("algorithms.cpq")
    model = osrl.CPQ(
        3, 2, 1.0, **BOTH, vae_hidden_sizes=16, sample_action_num=10, gamma=0.99, tau=0.005,
        beta=0.5, num_q=2, num_qc=2, qc_scalar=1.5,
    )  # fmt: skip
    rates = {"actor_lr": 1e-4, "critic_lr": 1e-3, "alpha_lr": 1e-4, "vae_lr": 1e-3}
    return model, osrl.CPQTrainer(model, None, Log(), **rates, reward_scale=0.1)


def osrl_coptidice():
    osrl = import_osrl("algorithms.coptidice")
    data = small_data()
    model = osrl.COptiDICE(
        3, 2, 1.0, "softchi", len(data) / len(data.rewards),
        data.observations.std(0, keepdims=True), data.actions.std(0, keepdims=True), **BOTH,
        gamma=0.99, alpha=0.5, cost_ub_epsilon=0.01, num_nu=2, num_chi=2,
    )  # fmt: skip
    rates = {"actor_lr": 1e-4, "critic_lr": 1e-4, "scalar_lr": 1e-4}
    return model, osrl.COptiDICETrainer(model, None, Log(), **rates, reward_scale=0.1)


def osrl_cdt():
    osrl = import_osrl("algorithms.cdt")
    model = osrl.CDT(
        3, 2, 1.0, seq_len=5, episode_len=HORIZON, embedding_dim=16, num_layers=2, num_heads=2,
        attention_dropout=0.1, residual_dropout=0.1, embedding_dropout=0.1, use_rew=True,
        use_cost=True, cost_transform=True, stochastic=True, init_temperature=0.1,
        target_entropy=-2,
    )  # fmt: skip
    trainer = osrl.CDTTrainer(
        model, None, Log(), learning_rate=1e-4, weight_decay=1e-4, clip_grad=0.25,
        lr_warmup_steps=500, reward_scale=0.1, loss_cost_weight=0.02,
    )  # fmt: skip
    return model, trainer


def cdt_batch(b):
    return (
        b.observations, b.actions, b.returns_to_go, b.costs_to_go, b.time_steps, b.mask,
        b.episode_cost, b.costs,
    )  # fmt: skip


def transitions(b):
    return b.observations, b.next_observations, b.actions, b.rewards, b.costs, b.done


CASES = [
    (BCAll, osrl_bc, lambda b: (b.observations, b.actions)),
    (BCSafe, osrl_bc, lambda b: (b.observations, b.actions)),
    (CPQ, osrl_cpq, transitions),
    (COptiDICE, osrl_coptidice, lambda b: ([*transitions(b), b.initial],)),
    (CDT, osrl_cdt, cdt_batch),
]
NAMES = [case[0].name for case in CASES]


def twins(cls, osrl, **options):
    """A method and osrl's own model and trainer, from the same weights."""
    torch.manual_seed(3)  # build's seed: osrl draws its weights in the same order
    model, trainer = osrl()
    algorithm = build(cls, **options)
    assert all(
        torch.equal(ours, theirs)
        for ours, theirs in zip(
            algorithm.model.state_dict().values(), model.state_dict().values(), strict=True
        )
    )
    return algorithm, model, trainer


def assert_close(ours, theirs):
    ours, theirs = ours.state_dict(), theirs.state_dict()
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], atol=1e-6, rtol=0, msg=name)


@pytest.mark.parametrize(("cls", "osrl", "arguments"), CASES, ids=NAMES)
def test_updates_equal_osrls(cls, osrl, arguments):
    algorithm, model, trainer = twins(cls, osrl)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    sampler = algorithm.sampler
    for update in range(UPDATES):
        batch = sampler()
        algorithm.sampler = lambda batch=batch: batch
        torch.manual_seed(update)
        algorithm.update()
        torch.manual_seed(update)
        trainer.train_one_step(*arguments(batch))
    assert_close(algorithm.model, model)
    for name in cls.loose_tensors:
        torch.testing.assert_close(
            getattr(algorithm.model, name), getattr(model, name), atol=1e-6, rtol=0
        )
    moved = [n for n, v in model.state_dict().items() if not torch.equal(v, start[n])]
    assert len(moved) > len(start) // 2


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
        algorithm.sampler = lambda batch=batch: batch
        losses = algorithm.update()
        trainer.train_one_step(*transitions(batch))
    assert set(losses) == {"critic_loss", "cost_critic_loss", "actor_loss"}
    for part in ("actor", "critic", "cost_critic"):
        assert_close(getattr(algorithm.model, part), getattr(model, part))
        assert_close(getattr(algorithm.model, f"{part}_old"), getattr(model, f"{part}_old"))
    # the rest did move in osrl's: the penalty was at work there, to no effect
    assert model.log_alpha != 0
    assert not torch.equal(next(algorithm.model.vae.parameters()), next(model.vae.parameters()))


@pytest.mark.parametrize(("cls", "osrl"), [case[:2] for case in CASES[:4]], ids=NAMES[:4])
def test_memoryless_policies_act_as_osrls(cls, osrl):
    algorithm, model, _ = twins(cls, osrl)
    observations = torch.randn(4, 3)
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
