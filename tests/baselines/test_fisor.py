"""FISOR: a known feasible region, a known mixture, and weights, targets and choices by hand."""

import numpy as np
import pytest
import torch

from baselines.diffusion import Diffusion
from baselines.fisor import FISOR, FISORConfig
from benchmarks.datasets.sampling import Transitions
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.algorithm import Problem
from benchmarks.methods.conformance import HORIZON, synthetic_data
from benchmarks.methods.networks import optimizer_step, polyak_update

SMALL = {"batch": 32, "hidden": 16, "width": 16, "blocks": 1}


def build(data=None, seed=0, **options):
    """A small FISOR, prepared on `data`."""
    data = data or synthetic_data()
    fisor = FISOR(Problem.of(data, HORIZON), FISORConfig(**{**SMALL, **options}), seed=seed)
    with fisor.random():
        fisor.prepare(data)
    return fisor


def single_steps(observations, actions, next_observations, costs):
    """Transitions without reward as data; none ends for good."""
    zeros, ones = np.zeros(len(actions)), np.ones(len(actions))
    return Trajectories.from_arrays(
        observations, actions, zeros, costs, zeros, ones, next_observations
    )


def with_other_targets(fisor):
    """The same with target critics unlike the critics."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in fisor.targets.parameters():
            parameter += 0.5 * torch.randn(parameter.shape, generator=generator)
    return fisor


def by_hand(fisor, batch):
    """Values of all critics as numpy arrays, by name: those of targets end in "_old"."""
    at = batch.observations, batch.actions
    values = {}
    with torch.no_grad():
        for kind in ("feasible", "reward"):
            values[f"{kind}_q"] = fisor.critics[f"{kind}_q"](*at)
            values[f"{kind}_q_old"] = fisor.targets[f"{kind}_q"](*at)
            values[f"{kind}_v"] = fisor.critics[f"{kind}_v"](at[0])
            values[f"{kind}_v_next"] = fisor.critics[f"{kind}_v"](batch.next_observations)
    return {name: value.double().numpy() for name, value in values.items()}


def batch_of(size=64, seed=1):
    rng = np.random.default_rng(seed)
    columns = {
        "observations": rng.normal(size=(size, 3)),
        "next_observations": rng.normal(size=(size, 3)),
        "actions": rng.uniform(-1, 1, (size, 2)),
        "rewards": rng.normal(size=size),
        "costs": rng.choice([0.0, 0.5, 1.0, 3.0], size),
        "done": np.ones(size),  # which is not to count: only `terminal` is
        "initial": np.zeros(size),
        "terminal": rng.integers(0, 2, size),
    }
    return Transitions(**{k: torch.as_tensor(v, dtype=torch.float32) for k, v in columns.items()})


def bias_gradients(fisor, name):
    """Gradients of the last biases of a critic: sums of those of its outputs."""
    biases = [p for n, p in fisor.critics[name].named_parameters() if n.endswith("4.bias")]
    return [float(bias.grad) for bias in biases]


def hand_loss(values, kind, target, expectile, sign, old):
    """Loss and gradients of the biases, of Q on a target and of V by expectile on `old`."""
    q, v = values[f"{kind}_q"], values[f"{kind}_v"]
    residual = sign * (old - v)
    weight = np.where(residual < 0, 1 - expectile, expectile)
    loss = ((q - target) ** 2).mean() + (weight * residual**2).mean()
    return loss, (q - target).mean(1), [(-2 * sign * weight * residual).mean()]


def test_the_feasible_region_of_an_unstable_line_is_found():
    # x' = 1.25 x + 0.15 a with |a| <= 1 violates where |x'| > 1, once: then it starts from 0 again.
    # Under the best action, a = -sign(x), |x'| = 1.25 |x| - 0.15, which is at most |x| where
    # |x| <= 0.15 / 0.25 = 0.6: from there no violation is ever needed. Beyond 0.6 the distance to
    # it grows by 1.25 a step whatever is done, until |x| > 1. So the largest feasible region is
    # [-0.6, 0.6]. A violation k steps ahead weighs gamma^k (h + 1) - 1, positive for k < 36,
    # by which a distance of 0.0002 has grown past 1: discounting shifts the border by no more.
    # Without the maximum over time a single violation would soon be forgiven, and all be feasible.
    # At h = 25 and expectile .9 a state counts as feasible only where three actions in four of the
    # data are safe; here a third is, at the border.
    rng = np.random.default_rng(0)
    x, a = rng.uniform(-1, 1, 20_000), rng.choice([-1.0, 0.0, 1.0], 20_000)
    following = 1.25 * x + 0.15 * a
    costs = np.abs(following) > 1
    following = np.where(costs, 0.0, following)
    fisor = build(
        single_steps(x[:, None], a[:, None], following[:, None], costs),
        batch=256,
        hidden=32,
        violation_value=2.0,
        feasibility_expectile=0.995,
        gamma=0.97,
    )
    updates = 1000
    with fisor.random():
        for update in range(updates):
            fisor.critic_optimiser.param_groups[0]["lr"] = 5e-3 * (1.02 - update / updates)
            loss, _ = fisor.feasibility_loss(fisor.sampler())
            optimizer_step(fisor.critic_optimiser, loss)
            polyak_update(fisor.targets["feasible_q"], fisor.critics["feasible_q"], 0.05)
    grid = torch.linspace(-1, 1, 2001)
    with torch.no_grad():
        found = fisor.critics["feasible_v"](grid[:, None]) <= 0
    known = grid.abs() <= 0.6
    assert int((found & known).sum()) / int((found | known).sum()) >= 0.95


MODES, SPREAD = np.array([[-0.6, 0.3], [0.5, -0.4]]), 0.05


def modes_of(drawn):
    """Share of the first mode, and means and largest deviation of both, in actions [n, 2]."""
    first = drawn[:, 0] < 0
    parts = drawn[first], drawn[~first]
    means = np.stack([part.mean(0).numpy() for part in parts])
    return float(first.float().mean()), means, max(float(part.std(0).max()) for part in parts)


def test_the_actor_reproduces_a_weighted_mixture():
    # Both modes are as frequent in the data; the weights decide: 3 to 1, or in the other state
    # 1 to 3. Twenty steps of diffusion: five leave actions between the modes (see the next test).
    rng = np.random.default_rng(0)
    which, state = rng.integers(0, 2, (2, 20_000))
    observations = 2.0 * state[:, None] - 1.0
    actions = MODES[which] + rng.normal(0, SPREAD, (20_000, 2))
    fisor = build(
        single_steps(observations, actions, observations, np.zeros(20_000)),
        batch=256,
        width=32,
        blocks=2,
        expansion=2,
        dropout=0.0,
        actor_lr=6e-3,
        actor_tau=0.02,
        diffusion_steps=20,
        lr_decay_ratio=1.0,
    )
    fisor.weights = lambda states, actions: torch.where(actions[:, 0] * states[:, 0] > 0, 3.0, 1.0)
    fisor.planned_updates = updates = 900
    with fisor.random():
        for fisor.updates in range(updates):
            fisor.actor_optimiser.param_groups[0]["lr"] = fisor.learning_rate()
            loss, _ = fisor.actor_loss(fisor.sampler())
            optimizer_step(fisor.actor_optimiser, loss)
            polyak_update(fisor.average, fisor.actor, fisor.config.actor_tau)
        noise = torch.randn(1500, 20, 2)
    for state, share in ((-1.0, 0.75), (1.0, 0.25)):
        states = torch.full((1500, 1), state)
        first, means, spread = modes_of(fisor.diffusion.denoised(fisor.average, states, noise))
        assert first == pytest.approx(share, abs=0.05)
        assert means == pytest.approx(MODES, abs=0.04)
        assert spread < 0.15


@pytest.mark.parametrize(
    ("steps", "share", "mean", "spread"), [(5, 0.05, 0.2, 0.2), (20, 0.03, 0.02, 0.06)]
)
def test_denoising_with_the_best_network_there_is(steps, share, mean, spread):
    # For a mixture the mean of the action given what is left of it is known in closed form.
    diffusion, modes = Diffusion(steps, torch.device("cpu")), torch.tensor(MODES).float()
    odds = torch.tensor([0.75, 0.25])

    def best(_, x, at):
        signal, noise = diffusion.signal[at[0]], diffusion.noise[at[0]]
        variance = (signal * SPREAD) ** 2 + noise**2
        off = x[:, None] - signal * modes
        mode = (odds.log() - off.square().sum(2) / (2 * variance)).softmax(1)
        action = (mode[:, :, None] * (modes + signal * SPREAD**2 / variance * off)).sum(1)
        return (x - signal * action) / noise

    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(20_000, steps, 2, generator=generator)
    first, means, deviation = modes_of(diffusion.denoised(best, noise[:, 0], noise))
    assert first == pytest.approx(0.75, abs=share)
    assert means == pytest.approx(MODES, abs=mean)
    assert deviation < spread


def test_feasibility_loss_and_gradient_by_hand():
    fisor = with_other_targets(build(violation_value=4.0, gamma=0.9, feasibility_expectile=0.8))
    batch = batch_of()
    values = by_hand(fisor, batch)
    h = np.where(batch.costs.numpy() > 0, 4.0, -1.0)
    target = 0.1 * h + 0.9 * np.maximum(h, values["feasible_v_next"])
    target = np.where(batch.terminal.numpy() == 1, h, target)
    old = values["feasible_q_old"].max(0)  # the worse of the two
    expected = hand_loss(values, "feasible", target, 0.8, -1, old)  # 0.8 on what is below V
    loss, info = fisor.feasibility_loss(batch)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(expected[0], rel=1e-5)
    assert float(sum(info.values())) == pytest.approx(expected[0], rel=1e-5)
    assert bias_gradients(fisor, "feasible_q") == pytest.approx(expected[1], rel=1e-4)
    assert bias_gradients(fisor, "feasible_v") == pytest.approx(expected[2], rel=1e-4)
    assert all(p.grad is None for p in fisor.targets.parameters())


def test_value_loss_and_gradient_by_hand():
    fisor = with_other_targets(build(gamma=0.9, reward_expectile=0.7))
    batch = batch_of()
    values = by_hand(fisor, batch)
    going = 1 - batch.terminal.numpy()
    target = batch.rewards.numpy() + 0.9 * going * values["reward_v_next"]
    expected = hand_loss(values, "reward", target, 0.7, 1, values["reward_q_old"].min(0))
    loss, _ = fisor.value_loss(batch)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(expected[0], rel=1e-5)
    assert bias_gradients(fisor, "reward_q") == pytest.approx(expected[1], rel=1e-4)
    assert bias_gradients(fisor, "reward_v") == pytest.approx(expected[2], rel=1e-4)
    assert all(p.grad is None for p in fisor.targets.parameters())


@pytest.mark.parametrize(
    ("feasible_v", "feasible_q", "reward_q", "expected"),
    [
        (-0.5, (-0.9, -0.1), (1.3, 1.2), np.exp(3 * 0.2)),  # the lesser Qr
        (-0.5, (-0.9, -0.1), (0.8, 0.5), np.exp(3 * -0.5)),
        (0.0, (0.0, 0.0), (1.5, 1.5), np.exp(3 * 0.5)),  # zero is feasible
        (-0.5, (-0.9, -0.1), (9.0, 9.0), 100.0),
        (-0.5, (0.1, -2.0), (9.0, 9.0), np.exp(5 * -0.6)),  # the larger Qh is not feasible
        (0.2, (-3.0, -0.1), (9.0, 9.0), np.exp(5 * 0.3)),
        (2.0, (2.5, 1.0), (9.0, 9.0), np.exp(5 * -0.5)),
        (3.0, (1.0, 0.5), (0.0, 0.0), 150.0),
        (600.0, (1.0, 0.5), (0.0, 0.0), 150.0),  # beyond what a float holds
    ],
)
def test_weights_by_hand(feasible_v, feasible_q, reward_q, expected):
    fisor = build()
    fisor.critics = {
        "feasible_v": lambda _: torch.tensor([feasible_v]),
        "reward_v": lambda _: torch.tensor([1.0]),
    }
    fisor.targets = {
        "feasible_q": lambda *_: torch.tensor(feasible_q)[:, None],
        "reward_q": lambda *_: torch.tensor(reward_q)[:, None],
    }
    weights = fisor.weights(torch.zeros(1, 3), torch.zeros(1, 2))
    assert weights.tolist() == [pytest.approx(expected, rel=1e-5)]


def test_the_actor_loss_weighs_the_error_of_the_noise():
    fisor, batch = build(), batch_of(4096)
    fisor.actor = lambda states, noisy, steps: torch.zeros_like(noisy)
    fisor.weights = lambda observations, actions: (actions[:, 0] > 0).float()
    with fisor.random():
        loss, info = fisor.actor_loss(batch)
    share = float((batch.actions[:, 0] > 0).float().mean())
    assert float(loss) == pytest.approx(2 * share, rel=0.1)  # two actions of variance 1
    assert float(info["weight"]) == pytest.approx(share, rel=1e-5)


def test_the_diffusion_by_hand():
    steps = 5
    diffusion = Diffusion(steps, torch.device("cpu"))
    beta = 1 - np.exp(-0.1 / steps - 0.5 * 9.9 * (2 * np.arange(1, steps + 1) - 1) / steps**2)
    total = np.cumprod(1 - beta)
    actions, noise = torch.tensor([[0.5], [-0.2]]), torch.tensor([[1.0], [-2.0]])
    noised = diffusion.noised(actions, noise, torch.tensor([0, 4]))
    expected = np.sqrt(total[[0, 4]]) * [0.5, -0.2] + np.sqrt(1 - total[[0, 4]]) * [1.0, -2.0]
    assert noised[:, 0].numpy() == pytest.approx(expected, rel=1e-5)
    assert total[-1] < 0.01  # hardly anything of the action is left
    # a network that knows the action, 0.3, gives it back whatever the noise

    def known(_, x, at):
        return (x - 0.3 * diffusion.signal[at][:, None]) / diffusion.noise[at][:, None]

    drawn = diffusion.denoised(known, torch.zeros(7, 1), torch.randn(7, steps, 1))
    assert drawn[:, 0].tolist() == pytest.approx([0.3] * 7, abs=1e-5)
    # one that sees no noise: the mean of the posterior and noise of variance beta, by hand
    drawn = diffusion.denoised(lambda _, x, at: 0 * x, torch.zeros(1, 1), torch.ones(1, steps, 1))
    x = 1.0
    for t in reversed(range(steps)):
        before = total[t - 1] if t else 1.0
        action = np.clip(x / np.sqrt(total[t]), -1, 1)
        x = (np.sqrt(before) * beta[t] * action + np.sqrt(1 - beta[t]) * (1 - before) * x) / (
            1 - total[t]
        ) + np.sqrt(beta[t]) * (t > 0)
    assert float(drawn) == pytest.approx(np.clip(x, -1, 1), rel=1e-5)


def test_acting_picks_the_least_qh_of_the_samples():
    fisor = build(standardise=True)
    mean, std = fisor.problem.observation_mean, fisor.problem.observation_std + 1e-6
    observations, noise = torch.randn(6, 3), torch.randn(6, 16, 5, 2)

    def heads(_, a):
        return torch.stack([a[:, 0], 0.4 * a[:, 1] - 3 * a[:, 0]])

    fisor.targets = {"feasible_q": heads}
    chosen = fisor.act(observations, noise)
    for row in range(6):
        states = ((observations[row] - mean) / std).expand(16, 3)
        drawn = fisor.diffusion.denoised(fisor.average, states, noise[row])
        worst = np.maximum(*heads(states, drawn).detach().numpy())
        assert len(np.unique(worst)) > 8
        torch.testing.assert_close(chosen[row], drawn[worst.argmin()], atol=1e-6, rtol=0)


def test_noise_belongs_to_the_start_of_an_episode():
    def first_two(starts, seed=0):
        fisor = build(seed=seed)
        seen = []
        fisor.act = lambda _, noise: seen.append(noise)
        policy = fisor.policy(torch.arange(float(len(starts))))
        for observations in (torch.as_tensor(starts), torch.zeros(len(starts), 3)):
            policy.act(observations, torch.arange(len(starts)))
        return torch.stack(seen)

    one, other = [0.1, 0.2, 0.3], [0.1, 0.2, 0.4]
    noise = first_two([one, other, one])
    assert torch.equal(noise[:, 0], noise[:, 2])  # whatever the limit
    assert torch.equal(noise[:, 1:2], first_two([other]))
    assert abs(float(torch.corrcoef(noise[:, :2].transpose(0, 1).flatten(1))[0, 1])) < 0.2
    assert abs(float(torch.corrcoef(noise.flatten(1))[0, 1])) < 0.2  # new noise each step
    assert not torch.equal(first_two([one], seed=1), noise[:, :1])
    assert noise.std() == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("actor_steps", [1, 2])
def test_an_update_divides_its_batch_and_the_targets_follow(actor_steps):
    fisor = build(critic_share=0.25, actor_steps=actor_steps, tau=0.25, actor_tau=0.5)
    before, seen = fisor.state()["parts"], []
    for name in ("feasibility_loss", "value_loss", "actor_loss"):
        method = getattr(fisor, name)
        setattr(fisor, name, lambda batch, of=method: (seen.append(batch), of(batch))[1])
    with fisor.random():
        torch_state = torch.get_rng_state()
        losses = fisor.update()
        torch.set_rng_state(torch_state)
        drawn = fisor.sampler()
    assert torch.equal(seen[0].costs, seen[1].costs)
    assert [len(batch.costs) for batch in seen[1:]] == [8] + [24 // actor_steps] * actor_steps
    for ours, column in zip(zip(*seen[1:], strict=True), drawn, strict=True):
        assert torch.equal(torch.cat(ours), column)
    critics = fisor.critics.state_dict()
    for name, value in fisor.targets.state_dict().items():
        torch.testing.assert_close(value, before["targets"][name].lerp(critics[name], 0.25))
    for name, value in fisor.average.state_dict().items():
        whole = before["average"][name].lerp(fisor.actor.state_dict()[name], 0.5)
        assert torch.allclose(value, whole, atol=1e-7) == (actor_steps == 1)
    assert set(losses) == {
        *("feasible_q_loss", "feasible_v_loss", "reward_q_loss", "reward_v_loss"),
        *("actor_loss", "weight"),
    }


def test_the_actors_rate_falls_along_a_cosine():
    fisor = build(actor_lr=2.0, lr_decay_ratio=1.5)
    fisor.planned_updates = 100
    for fisor.updates, rate in ((0, 2.0), (75, 1.0), (100, 0.5), (200, 0.0)):
        assert fisor.learning_rate() == pytest.approx(rate)


def test_observations_and_rewards_are_as_the_options_say():
    data = synthetic_data()
    raw, scaled = build(data), build(data, standardise=True, reward_scale=0.1)
    observations = torch.as_tensor(data.observations)
    assert torch.equal(raw.scaled(observations), observations)
    changed = scaled.scaled(observations)
    torch.testing.assert_close(changed.mean(0), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(changed.std(0, correction=0), torch.ones(3), atol=1e-4, rtol=0)
    draws = []
    for fisor in (raw, scaled):
        torch.manual_seed(0)
        draws.append(fisor.sampler().rewards)
    torch.testing.assert_close(draws[0] * 0.1, draws[1])
