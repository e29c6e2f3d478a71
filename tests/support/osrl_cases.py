"""The algorithms and trainers of osrl, built from its published options."""

import torch

from baselines.osrl.adapter import import_osrl
from tests.support.baseline_cases import HORIZON, LIMIT, build, small_data

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


def osrl_coptidice_perstep():
    model, trainer = osrl_coptidice()
    model.qc_thres = LIMIT / HORIZON
    return model, trainer


def osrl_bcql(limit=LIMIT):
    osrl = import_osrl("algorithms.bcql")
    model = osrl.BCQL(
        3, 2, 1.0, **BOTH | {"cost_limit": limit}, vae_hidden_sizes=16, sample_action_num=10,
        gamma=0.99, tau=0.005, phi=0.05, lmbda=0.75, beta=0.5, PID=[0.1, 0.003, 0.001], num_q=2,
        num_qc=2,
    )  # fmt: skip
    rates = {"actor_lr": 1e-3, "critic_lr": 1e-3, "vae_lr": 1e-3}
    return model, osrl.BCQLTrainer(model, None, Log(), **rates, reward_scale=0.1)


def osrl_bearl(limit=LIMIT, **options):
    osrl = import_osrl("algorithms.bearl")
    published = {"start_update_policy_step": 0, "kernel": "gaussian"}
    model = osrl.BEARL(
        3, 2, 1.0, **BOTH | {"cost_limit": limit}, vae_hidden_sizes=16, sample_action_num=10,
        gamma=0.99, tau=0.005, beta=0.5, lmbda=0.75, mmd_sigma=50, target_mmd_thresh=0.05,
        num_samples_mmd_match=10, PID=[0.1, 0.003, 0.001], num_q=2, num_qc=2,
        **published | options,
    )  # fmt: skip
    rates = {"actor_lr": 1e-3, "critic_lr": 1e-3, "vae_lr": 1e-3}  # alpha's: the trainer's own
    return model, osrl.BEARLTrainer(model, None, Log(), **rates, reward_scale=0.1)


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


def twins(cls, osrl, given=None, **options):
    """A method and osrl's own model and trainer, from the same weights.

    `options` are the method's alone, `given` those of both.
    """
    torch.manual_seed(3)  # build's seed: osrl draws its weights in the same order
    model, trainer = osrl(**given or {})
    algorithm = build(cls, **given or {}, **options)
    assert all(
        torch.equal(ours, theirs)
        for ours, theirs in zip(
            algorithm.model.state_dict().values(), model.state_dict().values(), strict=True
        )
    )
    return algorithm, model, trainer


def torchs_mask(shape, share, like):
    """A mask of dropout drawn as osrl's layers do; CDT's own are cut from random words."""
    return torch.empty(shape).bernoulli_(1 - share).div_(1 - share)
