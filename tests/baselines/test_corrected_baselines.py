"""The corrected variants: where osrl's constraint has no grip, theirs has."""

import numpy as np
import pytest
import torch

from baselines.coptidice import COptiDICE, COptiDICEPerStep
from baselines.cpq import CPQ, CPQPenalised
from tests.support.baseline_cases import HORIZON, build, small_data
from tests.support.osrl_cases import osrl_cpq, transitions, twins


def cost_gradients(model):
    return [p.grad.clone() for p in model.cost_critic.parameters()]


def penalised_and_osrls():
    """Gradients of the cost critics in the first update: of CPQ-penalised, and of osrl's CPQ."""
    algorithm, model, trainer = twins(CPQPenalised, osrl_cpq)
    batch = algorithm.sampler()
    algorithm.sampler = lambda: batch
    torch.manual_seed(0)
    algorithm.update()
    torch.manual_seed(0)
    trainer.train_one_step(*transitions(batch))
    return algorithm, model, batch


def test_the_penalty_of_cpq_penalised_has_a_gradient():
    algorithm, model, _ = penalised_and_osrls()
    ours, theirs = cost_gradients(algorithm.model), cost_gradients(model)
    # Raising both critics by one raises the mean over a quarter of the actions by a quarter, and
    # alpha is 1 at the start: so much less is the loss.
    last = [name for name, _ in model.cost_critic.named_parameters() if name.endswith("4.bias")]
    names = [name for name, _ in model.cost_critic.named_parameters()]
    assert len(last) == 2
    difference = sum(float(ours[names.index(n)] - theirs[names.index(n)]) for n in last)
    assert difference == pytest.approx(-0.25, abs=1e-6)


def test_the_penalty_of_cpq_has_none():
    _, model, batch = penalised_and_osrls()
    algorithm = build(CPQ)
    torch.manual_seed(0)
    algorithm.model.vae_loss(batch.observations, batch.actions)
    b = batch
    algorithm.model.critic_loss(b.observations, b.next_observations, b.actions, b.rewards, b.done)
    algorithm.cost_critic_loss(batch)[0].backward()  # the temporal difference alone
    for ours, theirs in zip(cost_gradients(algorithm.model), cost_gradients(model), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


def test_the_penalty_raises_the_cost_of_unseen_actions_towards_its_threshold():
    def trained(cls, **options):
        algorithm = build(cls, limit=0.5, critic_lr=1e-2, alpha_lr=0.1, **options)
        with algorithm.random():
            for _ in range(60):
                algorithm.update()
        torch.manual_seed(0)
        observations = torch.as_tensor(small_data().observations)
        value = CPQPenalised.out_of_distribution_qc(algorithm, observations)
        return algorithm.model.qc_thres, value.item()

    threshold, penalised = trained(CPQPenalised)
    _, plain = trained(CPQ, skip_inert_penalty=False)
    assert threshold == pytest.approx(1.5 * 0.5 * (1 - 0.99**HORIZON) / (1 - 0.99) / HORIZON)
    assert plain < 0.3 * threshold
    assert penalised > 0.5 * threshold


def bound_by_hand(model, batch):
    """The bound of the mean cost a step under the best policy's distribution, from osrl's terms."""

    def value(network, states):
        return np.min([v.detach().numpy() for v in network(states)], axis=0).astype(np.float64)

    b = type(batch)(*(column.numpy().astype(np.float64) for column in batch))
    price = np.log1p(np.exp(model.lmbda.item()))
    nu, following = (
        value(model.nu_network, s) for s in (batch.observations, batch.next_observations)
    )
    advantage = (b.rewards - price * b.costs + 0.99 * (1 - b.done) * following - nu) / 0.5
    ratio = np.where(advantage < 0, np.exp(np.minimum(advantage, 0)), advantage + 1)
    chi, following = (
        value(model.chi_network, s) for s in (batch.observations, batch.next_observations)
    )
    ell = 0.01 * chi * b.initial / model.init_state_propotion
    ell += ratio * (b.costs + 0.99 * (1 - b.done) * following - chi)
    weights = np.exp(ell / np.log1p(np.exp(model.tau.item())))
    return price, np.mean(weights / weights.mean() * ratio * b.costs)


@pytest.mark.parametrize("limit", [1.0, 9.0, 30.0])
def test_thresholds_by_hand(limit):
    for cls, threshold in (
        (COptiDICEPerStep, limit / HORIZON),
        (COptiDICE, limit / HORIZON * (1 - 0.99**HORIZON) / 0.01),
    ):
        algorithm = build(cls, limit=limit, batch=64)
        batch = algorithm.sampler()
        algorithm.sampler = lambda batch=batch: batch
        price, bound = bound_by_hand(algorithm.model, batch)
        assert 0.02 < bound < 0.5
        loss = float(algorithm.update()["lmbda_loss"])
        assert loss == pytest.approx(price * (threshold - bound), abs=1e-5)


def test_lambda_answers_to_the_limit_only_with_the_threshold_of_a_step():
    def price(cls, limit):
        algorithm = build(cls, limit=limit, scalar_lr=0.02)
        with algorithm.random():
            for _ in range(40):
                losses = algorithm.update()
        return float(losses["lmbda"])

    start = float(torch.nn.functional.softplus(torch.ones(())))
    tight, loose = 0.01 * HORIZON, 0.5 * HORIZON  # the bound lies between them
    assert price(COptiDICEPerStep, tight) > start + 0.2
    assert price(COptiDICEPerStep, loose) < start - 0.2
    assert max(price(COptiDICE, tight), price(COptiDICE, loose)) < start - 0.2
