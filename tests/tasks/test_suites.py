"""Cost limits as people write them."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.common.errors import UserError
from benchmarks.methods.names import BUILT_IN
from benchmarks.methods.registry import configure, find_method
from benchmarks.tasks.suites import PAPER, RIVALS, SUITES, Limit, find_suite, parse_limit
from benchmarks.tasks.tasks import TASKS

quick = settings(deadline=None, max_examples=50)  # a busy machine is no failure
numbers = st.floats(min_value=0.0, max_value=1e6)


@quick
@given(numbers)
def test_a_percentage_is_a_fraction_of_the_maximum_cost(number):
    limit = parse_limit(f"{number!r}%")
    assert limit.relative
    assert limit.value == limit.fraction == number / 100
    assert limit.of(TASKS["CarRun"]) == pytest.approx(0.4 * number, abs=1e-9)


@quick
@given(numbers)
def test_a_number_is_an_episode_cost_on_every_task(number):
    limit = parse_limit(repr(number))
    assert not limit.relative
    assert math.isnan(limit.fraction)
    assert {limit.of(task) for task in TASKS.values()} == {number}


@quick
@given(st.integers(0, 999), st.sampled_from(["", "%"]))
def test_a_limit_is_shown_as_it_was_written(number, unit):
    assert str(parse_limit(f"{number}{unit}")) == f"{number}{unit}"


def test_zero_has_no_sign():
    assert str(parse_limit("-0")) == "0"
    assert str(parse_limit("-0.0%")) == "0%"


@pytest.mark.parametrize(
    "text", ["-1", "-5%", "nan", "nan%", "inf", "1e999", "abc", "%", "", "5%%", "%5", "5 percent"]
)
def test_what_is_no_limit_is_refused_in_one_line(text):
    with pytest.raises(UserError) as caught:
        parse_limit(text)
    assert repr(text) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "percents"), [("tight", ("10%", "20%", "30%")), ("loose", ("70%", "80%", "90%"))]
)
def test_a_suite_holds_the_limits_that_one_could_write(name, percents):
    assert find_suite(name) is SUITES[name]
    assert SUITES[name].limits == tuple(map(parse_limit, percents))


@pytest.mark.parametrize("name", SUITES)
def test_what_a_suite_names_exists(name):
    suite = SUITES[name]
    methods = [find_method(spec) for spec in suite.algorithms]
    for method in methods:
        configure(method.cls, "quick", method.options)
    assert len({method.label for method in methods}) == len(methods)
    assert set(suite.tasks) <= set(TASKS)
    assert suite.limits


def test_the_papers_methods_are_nine_and_the_default_ones_exist():
    assert len(PAPER) == 9
    assert {*PAPER, *RIVALS} <= set(BUILT_IN)
    assert {"fisor", "gas-shield"} <= set(RIVALS)


def test_an_unknown_suite_is_met_with_a_near_one():
    with pytest.raises(UserError, match=r"^unknown suite 'tigth': did you mean tight\?"):
        find_suite("tigth")


def test_relative_and_absolute_limits_differ():
    assert Limit(0.1, True) != Limit(0.1, False)
