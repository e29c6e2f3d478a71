"""The conformance test: passed by every method here, and able to catch what it claims to."""

import random

import numpy as np
import pytest
import torch

from benchmarks.methods.algorithm import Algorithm
from benchmarks.methods.conformance import HORIZON, check_algorithm, synthetic_data
from benchmarks.methods.names import BUILT_IN
from benchmarks.methods.registry import find_method
from tests.support.faulty_methods import FAULTS, Plain, PlainConfig
from tests.support.small_options import SMALL


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_methods_conform(name):
    cls = find_method(name).cls
    assert cls.name == name
    check_algorithm(cls, cls.config_class(**SMALL.get(name, {"batch": 16})))


@pytest.mark.parametrize(
    "options",
    [
        {"goals": False, "epsilon": 0.0},
        pytest.param({"indicator": False, "mask": False}, marks=pytest.mark.slow),
    ],
)
def test_variants_of_gas_conform(options):
    cls = find_method("gas").cls
    narrow = {"cost_relabelling": "narrow", "shortening": 0.3, "reward_target": 5.0}
    check_algorithm(cls, cls.config_class(**SMALL["gas"], **narrow, **options))


@pytest.fixture
def globals_restored():
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    yield
    torch.set_rng_state(states[0])
    np.random.set_state(states[1])
    random.setstate(states[2])
    torch.set_default_dtype(dtype)
    torch.set_num_threads(threads)
    torch.set_grad_enabled(True)


def test_a_method_without_a_fault_conforms():
    check_algorithm(Plain)
    check_algorithm(Plain, PlainConfig(batch=4, width=3))


@pytest.mark.usefixtures("globals_restored")
@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_found(fault):
    cls, complaint = FAULTS[fault]
    with pytest.raises(AssertionError, match=complaint):
        check_algorithm(cls)


def test_a_missing_condition_is_found():
    bare = type("Bare", (Algorithm,), {"name": "bare"})
    with pytest.raises(AssertionError, match="trains_per_limit is None"):
        check_algorithm(bare)


def test_synthetic_data_are_uneven_and_costly():
    data = synthetic_data()
    assert len(set(data.lengths)) > 5
    assert data.lengths.max() <= HORIZON
    assert 0 < data.costs.mean() < 1
    assert len(np.unique(data.episode_costs)) > 5
    assert 0 < data.terminals.sum() < len(data)
    assert np.array_equal(data.observations, synthetic_data().observations)
