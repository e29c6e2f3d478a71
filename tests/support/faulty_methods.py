"""A method without a fault, and copies of it with one planted fault each."""

import random
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from benchmarks.methods.algorithm import Algorithm, Budget, Config, Policy


@dataclass(frozen=True)
class PlainConfig(Config):
    """As in the guide for authors of methods."""

    width: int = 8


class Plain(Algorithm):
    """A method without a fault: clones actions, given the cost that is left."""

    name = "plain"
    trains_per_limit = False
    heeds_limit = True
    config_class = PlainConfig

    def build(self):
        self.actor = nn.Sequential(
            nn.Linear(self.problem.observation_dim + 1, self.config.width),
            nn.Tanh(),
            nn.Dropout(0.1),
            nn.Linear(self.config.width, self.problem.action_dim),
        )
        self.optimiser = torch.optim.Adam(self.actor.parameters(), lr=0.01)
        self.average = torch.zeros(self.problem.action_dim)

    def prepare(self, data):
        self.observations = torch.as_tensor(data.observations)
        self.actions = torch.as_tensor(data.actions)
        self.left = torch.as_tensor(data.to_go(data.costs), dtype=torch.float32)

    def update(self):
        self.actor.train()
        rows = torch.randint(len(self.actions), (self.config.batch,))
        given = torch.cat([self.observations[rows], self.left[rows, None]], dim=1)
        loss = (self.actor(given) - self.actions[rows]).square().mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.average += 0.1 * (self.actions[rows].mean(0) - self.average)
        return {"actor_loss": loss.detach()}

    def policy(self, limits):
        return PlainPolicy(self, limits)

    def parts(self):
        return {**super().parts(), "average": self.average}


class PlainPolicy(Policy):
    def __init__(self, plain, limits):
        self.plain, self.left = plain, limits.clone()

    @torch.no_grad()
    def act(self, observations, env_ids):
        self.plain.actor.eval()
        given = torch.cat([observations, self.left[env_ids, None]], dim=1)
        return (self.plain.actor(given) + self.plain.average).clamp(-1.0, 1.0)

    def observe(self, rewards, costs, env_ids):
        self.left[env_ids] -= costs


def acting(change):
    """A class like `Plain` whose actions go through `change(policy, actions, env_ids)`."""

    class Changed(Plain):
        def policy(self, limits):
            policy = super().policy(limits)
            right = policy.act
            policy.act = lambda observations, ids: change(policy, right(observations, ids), ids)
            return policy

    return Changed


def without(*names):
    """A class like `Plain` that forgets parts."""

    class Forgetful(Plain):
        def parts(self):
            return {name: part for name, part in super().parts().items() if name not in names}

    return Forgetful


def updating(change):
    """A class like `Plain` whose losses go through `change(method, losses)`."""

    class Changed(Plain):
        def update(self):
            return change(self, super().update())

    return Changed


def building(change):
    """A class like `Plain` that calls `change(method)` at the end of `build`."""

    class Changed(Plain):
        def build(self):
            super().build()
            change(self)

    return Changed


def having(policy):
    """A class like `Plain` with another policy."""
    return type("Changed", (Plain,), {"policy": lambda self, limits: policy(self, limits)})


def configured(config, **attributes):
    """A class like `Plain` with another config class or other attributes."""
    return type("Changed", (Plain,), {"config_class": config, **attributes})


class Nameless(Plain):
    name = None


class TakesEveryLimit(Plain):
    def __init__(self, problem, config=None, *, limit=None, seed=0, device="cpu"):
        super().__init__(problem, config, limit=None, seed=seed, device=device)


class IgnoresTheSeed(Plain):
    def __init__(self, problem, config=None, *, limit=None, seed=0, device="cpu"):
        super().__init__(problem, config, limit=limit, seed=5, device=device)


class BuildsOutside(Plain):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.build()


class UnseededBatches(Plain):
    def prepare(self, data):
        super().prepare(data)
        order = np.random.default_rng().permutation(len(self.actions))
        self.actions = self.actions[torch.as_tensor(order)]


class OwnGenerator(Plain):
    """Draws from a generator of its own that parts() does not know."""

    def build(self):
        super().build()
        self.generator = torch.Generator().manual_seed(self.seed)

    def update(self):
        losses = super().update()
        self.average += 0.1 * torch.rand(2, generator=self.generator)
        return losses


class CountsByItself(Plain):
    """Changes something at every seventh update, by a counter that parts() does not know."""

    count = 0

    def update(self):
        self.count += 1
        if self.count % 7 == 0:
            self.average.zero_()
        return super().update()


class BatchNorm(Plain):
    def build(self):
        super().build()
        self.actor[1] = nn.BatchNorm1d(self.config.width, track_running_stats=False)


class LeavesTheActorIdle(Plain):
    """Never switches dropout on again once it has acted."""

    def build(self):
        super().build()
        train = self.actor.train
        self.actor.train = lambda mode=True: self.actor if mode else train(False)


class ReplacesAPart(Plain):
    """Binds a new tensor to the name of a part instead of changing it in place."""

    def build(self):
        super().build()
        self.first = self.average

    def parts(self):
        return {**super().parts(), "average": self.first}

    def update(self):
        self.average = self.average.clone()
        return super().update()


class StateOfObjects(Plain):
    def state(self):
        return {**super().state(), "config": self.config}


class IdsAsPositions(PlainPolicy):
    """Indexes its state by the position in the batch instead of by `env_ids`."""

    def observe(self, rewards, costs, env_ids):
        self.left[: len(env_ids)] -= costs


class OneLimitForAll(PlainPolicy):
    """Gives every episode the mean of the limits."""

    def __init__(self, plain, limits):
        super().__init__(plain, limits.mean().expand(len(limits)))


class Unfrozen(Config):
    extra: int = 3


@dataclass(frozen=True, kw_only=True)
class Demanding(Config):
    width: int


@dataclass(frozen=True)
class Listing(PlainConfig):
    widths: list[int] = field(default_factory=lambda: [8])


@dataclass(frozen=True)
class NotANumber(PlainConfig):
    rate: float = float("nan")


@dataclass(frozen=True)
class Unrelated:
    batch: int = 16
    width: int = 8


def mixing(policy, actions, env_ids):
    return (actions + 0.01 * actions.mean(0)).clamp(-1.0, 1.0)


def drawing(method, losses):
    method.average += 0.01 * torch.as_tensor(np.random.rand(2))
    return losses


FAULTS = {
    "name": (Nameless, "name None is not a single word"),
    "name-with-a-dot": (
        configured(PlainConfig, name="my.method"),
        "name 'my.method' is not a single word",
    ),
    "trains-per-limit": (
        configured(PlainConfig, trains_per_limit="yes"),
        "trains_per_limit is 'yes', not True or False",
    ),
    "heeds-limit": (
        configured(PlainConfig, heeds_limit=None),
        "heeds_limit is None, not True or False",
    ),
    "contradiction": (
        configured(PlainConfig, trains_per_limit=True, heeds_limit=False),
        "train once if the limit is ignored",
    ),
    "heeds-it-after-all": (
        configured(PlainConfig, heeds_limit=False),
        "heeds_limit is False, but actions depend on limits",
    ),
    "outdated": (
        configured(PlainConfig, conditions_on_limit=True),
        "replace conditions_on_limit by trains_per_limit .* and heeds_limit",
    ),
    "limit": (TakesEveryLimit, "a limit against trains_per_limit is accepted"),
    "config-mutable": (configured(Unfrozen), "Unfrozen is no subclass of Config that is @data"),
    "config-unrelated": (configured(Unrelated), "Unrelated is no subclass of Config"),
    "config-demanding": (configured(Demanding), "options without a default: width"),
    "config-list": (configured(Listing), "option 'widths' is a list: use int"),
    "config-nan": (configured(NotANumber), "comes back from JSON as"),
    "budget": (
        configured(PlainConfig, budgets={"quick": Budget.of(10, depth=3)}),
        "budget 'quick' sets unknown options: depth",
    ),
    "init-torch": (BuildsOutside, "constructing it changes torch's random state"),
    "init-threads": (
        building(lambda _: torch.set_num_threads(torch.get_num_threads() + 1)),
        "constructing it changes the number of threads",
    ),
    "init-dtype": (
        building(lambda _: torch.set_default_dtype(torch.float64)),
        "constructing it changes the default dtype",
    ),
    "fit-numpy": (updating(drawing), "training changes numpy's random state"),
    "fit-python": (
        updating(lambda _, losses: {**losses, "noise": random.random()}),
        "training changes Python's random state",
    ),
    "init-gradient": (
        building(lambda _: torch.set_grad_enabled(False)),
        "constructing it changes the gradient mode",
    ),
    "act-torch": (
        acting(lambda _, actions, ids: [torch.rand(1), actions][1]),
        "acting changes torch's random state",
    ),
    "act-threads": (
        acting(lambda _, a, ids: [torch.set_num_threads(torch.get_num_threads() + 1), a][1]),
        "acting changes the number of threads",
    ),
    "nan": (updating(lambda _, losses: {"actor_loss": torch.tensor(torch.nan)}), "actor_loss not"),
    "nan-once": (
        updating(lambda m, losses: {"goal_loss": torch.inf if m.updates == 1 else 0.0}),
        "goal_loss not finite at update 2: losses must be finite",
    ),
    "no-loss": (updating(lambda _, losses: {}), "update\\(\\) returns no loss"),
    "seed-ignored": (IgnoresTheSeed, "different seeds gave identical parameters"),
    "seed-of-the-clock": (UnseededBatches, "differs in two trainings with one seed"),
    "shape": (acting(lambda _, a, ids: a[:, :1]), r"actions are \(6, 1\), not \(6, 2\)"),
    "dtype": (acting(lambda _, a, ids: a.double()), "actions are torch.float64"),
    "gradient": (acting(lambda _, a, ids: a.requires_grad_()), "actions carry a gradient"),
    "bounds": (acting(lambda _, a, ids: 1.0 + a.abs()), r"actions leave \[-1, 1\]"),
    "act-nan": (acting(lambda _, a, ids: a * torch.nan), "or are not finite"),
    "random": (
        acting(lambda _, a, ids: (a + np.random.default_rng().normal()).clamp(-1, 1)),
        "acting is not deterministic",
    ),
    "batch-norm": (BatchNorm, "actions depend on which episodes run in the batch"),
    "batch-mean": (acting(mixing), "actions depend on which episodes run in the batch"),
    "other-limits": (having(OneLimitForAll), "depend on other episodes in the batch"),
    "positions": (having(IdsAsPositions), "depend on the order of env_ids in the batch"),
    "forgets-actor": (without("actor"), "a restored method acts differently"),
    "forgets-average": (without("average"), "a restored method acts differently"),
    "forgets-optimiser": (without("optimiser"), "two updates after loading, /parts/actor"),
    "forgets-generator": (OwnGenerator, "two updates after loading, /parts/average"),
    "forgets-counter": (CountsByItself, "after breaks at 1, 2, 6 of 9 updates, /parts/average"),
    "replaces-a-part": (ReplacesAPart, "a restored method acts differently"),
    "idle": (LeavesTheActorIdle, "two updates after loading, .*must not affect training"),
    "objects": (StateOfObjects, "state\\(\\) holds more than plain values and tensors"),
}
