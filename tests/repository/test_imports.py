"""Importing the packages needs no simulator and leaves the process as it was."""

from __future__ import annotations

import subprocess
import sys

PROBE = """
import sys
BLOCKED = ("gymnasium", "pybullet", "bullet_safety_gym", "mujoco", "safety_gymnasium", "osrl",
           "dsrl", "fsrl", "wandb", "tensorboard", "ray", "submitit", "pynvml")
for name in BLOCKED:
    sys.modules[name] = None

import os, random, threading, warnings
import numpy as np, torch
def world():
    return (
        torch.get_default_dtype(), torch.get_num_threads(), torch.get_rng_state().tolist(),
        torch.get_float32_matmul_precision(), torch.are_deterministic_algorithms_enabled(),
        str(np.random.get_state()), random.getstate(), dict(os.environ), os.getcwd(),
        threading.active_count(), list(warnings.filters), sys.stdout, sys.stderr,
        np.get_printoptions(),
    )
import matplotlib, pandas, h5py, tqdm
before, settings = world(), dict(matplotlib.rcParams)
import gas, baselines, benchmarks
import importlib, pkgutil
for package in (gas, baselines, benchmarks):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
assert world() == before
assert dict(matplotlib.rcParams) == settings
assert all(sys.modules[name] is None for name in BLOCKED)
"""


def test_every_module_imports_without_simulators_and_changes_nothing() -> None:
    result = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout == result.stderr == ""
