"""Every option of every method has its range beside it; nothing outside of it is trained with."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, get_type_hints

import pytest

from benchmarks.common.errors import UserError
from benchmarks.common.ranges import Choices, Range, Share, allowed
from benchmarks.methods.algorithm import Config
from benchmarks.methods.names import BUILT_IN
from benchmarks.methods.registry import configure, find_method
from benchmarks.tasks.suites import SUITES
from benchmarks.tasks.tasks import ALL_TASKS
from tests.support.faulty_methods import Plain

REFUSED = [
    *("gas@alpha=80", "gas@alpha=-1", "gas@alpha=0", "gas@epsilon=5", "gas@shortening=7"),
    *("gas@delta=-1", "gas@target_factor=nan", "gas@margin=inf", "gas@batch=0", "gas@width=0"),
    *("gas@dropout=1", "gas@learning_rate=0", "gas@cost_relabelling=wide", "bc-all@hidden=0"),
    *("cdt@num_heads=3", "cpq@gamma=1", "cpq@tau=2", "coptidice@f_type=l2", "fisor@samples=-3"),
    *("gas@width=99999999999999999999", "bear-lag@kernel=cosine", "lspc@acting=bold"),
]


@pytest.mark.parametrize("spec", REFUSED)
def test_an_option_that_makes_no_sense_is_refused(spec: str) -> None:
    method = find_method(spec)
    with pytest.raises(UserError) as caught:
        configure(method.cls, "quick", method.options)
    said = str(caught.value)
    option = spec.partition("@")[2].partition("=")[0]
    assert option in said
    assert "\n" not in said
    assert "must be" in said or "safe, not" in said or "known are" in said or "divisible" in said


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_number_has_a_range_and_every_default_is_within(name: str) -> None:
    cls = find_method(name).cls
    declared, hints = allowed(cls.config_class), get_type_hints(cls.config_class)
    bare = [n for n, kind in hints.items() if kind in (int, float) and declared[n] is None]
    assert bare == [], "without a range: " + ", ".join(bare)
    for budget in cls.budgets:
        configure(cls, budget, {})
    for task in ALL_TASKS:
        for source in ("dsrl", "generated", "own"):
            configure(cls, "paper", {}, cls.options_on(task, source))


def test_the_variants_of_the_suites_are_within() -> None:
    for suite in SUITES.values():
        for spec in suite.algorithms:
            method = find_method(spec)
            configure(method.cls, "quick", method.options)


@dataclass(frozen=True)
class OwnConfig(Config):
    """Of an author who declares some ranges."""

    free: float = 1.0
    share: Share = 0.5
    even: Annotated[int, Range(2)] | None = None
    kind: Annotated[str, Choices(("one", "two"))] = "one"

    def __post_init__(self) -> None:
        if self.free == 13:
            raise ValueError("13 is no number")


class Own(Plain):
    name = "own"
    config_class = OwnConfig


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"free": float("nan")}, "option own.free must be finite, not nan"),
        ({"share": 1.5}, "option own.share must be from 0 to 1, not 1.5"),
        ({"even": 1}, "option own.even must be at least 2, not 1"),
        ({"kind": "on"}, "unknown own.kind 'on': did you mean one? known are one, two"),
        ({"free": 13.0}, "options of own: ValueError: 13 is no number"),
    ],
)
def test_a_plugins_options_are_checked_likewise(options: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said.replace("?", r"\?")):
        configure(Own, "quick", options)
    assert {one.name for one in fields(OwnConfig)} == allowed(OwnConfig).keys()
    configure(Own, "quick", {"even": None, "free": -1e9})


@pytest.mark.parametrize(
    ("limits", "inside", "outside", "words"),
    [
        (Range(0, 1), (0, 0.5, 1), (-0.1, 1.1, float("nan")), "from 0 to 1"),
        (Range(0, 1, below=True), (0, 0.99), (1,), "at least 0 and below 1"),
        (Range(0, above=True), (1e-9, 1e300), (0, float("inf")), "above 0"),
        (Range(1, most=10), (1, 10), (0, 11, 10**400), "at least 1"),
        (Range(), (-1e300, 0), (float("-inf"), -(10**400)), "finite"),
    ],
)
def test_ranges(
    limits: Range, inside: tuple[float, ...], outside: tuple[float, ...], words: str
) -> None:
    assert str(limits) == words
    assert all(value in limits for value in inside)
    for value in outside:
        assert value not in limits
        assert limits.refusal(value).startswith("must be ")
