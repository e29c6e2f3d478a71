"""Observations at mean 0 and standard deviation 1."""

from dataclasses import replace

import torch

from benchmarks.methods.algorithm import Problem
from benchmarks.methods.conformance import synthetic_data
from benchmarks.methods.standardiser import Standardiser

CPU = torch.device("cpu")


def test_the_dataset_has_mean_0_and_deviation_1():
    data = synthetic_data()
    observations = torch.as_tensor(data.observations)
    scaled = Standardiser.of(Problem.of(data, 10), CPU)(observations)
    torch.testing.assert_close(scaled.mean(0), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(scaled.std(0, correction=0), torch.ones(3), atol=1e-4, rtol=0)


def test_a_constant_component_is_divided_by_the_floor():
    data = synthetic_data()
    constant = replace(data, observations=0.0 * data.observations + 2.0)
    scaled = Standardiser.of(Problem.of(constant, 10), CPU, floor=0.5)
    torch.testing.assert_close(scaled(torch.full((1, 3), 3.0)), torch.full((1, 3), 2.0))


def test_unused_it_changes_nothing():
    data = synthetic_data()
    observations = torch.as_tensor(data.observations)
    scaled = Standardiser.of(Problem.of(data, 10), CPU, used=False)
    assert torch.equal(scaled(observations), observations)
