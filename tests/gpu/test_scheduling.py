"""The scheduler on a real GPU: which GPUs it sees, memory that runs out, and jobs side by side."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from benchmarks.common.os_env import import_path
from benchmarks.measures.synthetic import trajectories
from benchmarks.scheduling.gpu_memory import open_inventory
from benchmarks.tasks.tasks import find_task

METHODS = """
import time
from pathlib import Path

import torch

from benchmarks.methods.algorithm import Budget
from gas import GAS

FOLDER = Path(__file__).parent


class Greedy(GAS):
    name = "greedy"

    def update(self):
        if not (FOLDER / "tried").exists():
            (FOLDER / "tried").touch()
            torch.empty(2**50, device=self.device)
        return super().update()


class Sociable(GAS):
    name = "sociable"

    def update(self):
        me, other = self.seed, 1 - self.seed
        if not self.updates:
            (FOLDER / f"began-{me}").touch()
            end = time.monotonic() + float((FOLDER / "patience").read_text())
            while not (FOLDER / f"began-{other}").exists() and time.monotonic() < end:
                time.sleep(0.01)
            alone = not (FOLDER / f"began-{other}").exists() or (FOLDER / f"ended-{other}").exists()
            (FOLDER / f"{'alone' if alone else 'met'}-{me}").touch()
        info = super().update()
        if self.updates == self.planned_updates - 1:
            (FOLDER / f"ended-{me}").touch()
        return info
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with methods and data of its own."""
    (tmp_path / "methods.py").write_text(METHODS)
    task = find_task("BallRun")
    trajectories(task, 10).save(tmp_path / task.dataset_file)
    return tmp_path


def train(folder: Path, method: str, device: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Train seeds 0 and 1 of a method in a process each."""
    command = [
        *(sys.executable, "-m", "benchmarks.run", "--suite", "tight", "--tasks", "BallRun"),
        *("--algorithms", f"{folder / 'methods.py'}:{method}", "--stage", "train"),
        *("--budget", "quick", "--updates", "5", "--data", str(folder), "--device", device),
        *("--results", str(folder / "results"), "--workers", "2", "--seeds-per-job", "1"),
        *("--seeds", "0", "1", *more),
    ]
    return subprocess.run(
        command, env={**os.environ, **import_path()}, capture_output=True, text=True, timeout=300
    )


def memory_file(folder: Path) -> Path:
    return folder / "results" / "runs" / "gpu-memory.json"


def train_sociable(folder: Path, device: str, patience: float) -> list[bool]:
    """Whether each of two trainings met the other, for which it waits some seconds."""
    for path in folder.glob("*-[01]"):
        path.unlink()
    (folder / "patience").write_text(str(patience))
    done = train(folder, "Sociable", device, "--checkpoint-seconds", "0")
    assert done.returncode == 0, done.stdout + done.stderr
    return [(folder / f"met-{seed}").exists() for seed in (0, 1)]


def seen(visible: str) -> list[str]:
    """The devices that a process with CUDA_VISIBLE_DEVICES sees."""
    code = "from benchmarks.common.hardware import devices; print(*devices('auto'))"
    environment = {**os.environ, **import_path(), "CUDA_VISIBLE_DEVICES": visible}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_no_gpu_is_visible_if_none_is_named(device: str) -> None:
    assert seen("") == ["cpu"]


def test_a_gpu_is_named_by_its_index_or_its_uuid(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_gpu = device == "cuda"
    uuid = f"GPU-{torch.cuda.get_device_properties(0).uuid}" if on_gpu else "GPU-0"
    for name in ("0", uuid):
        assert seen(name) == (["cuda:0"] if on_gpu else ["cpu"])
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", name)
        if on_gpu and find_spec("pynvml") and (inventory := open_inventory()):
            free, total = inventory.free("cuda:0"), torch.cuda.mem_get_info(0)[1]
            assert free is not None
            assert 0 < free <= total


def test_memory_that_runs_out_is_tried_again(folder: Path, device: str) -> None:
    done = train(folder, "Greedy", device)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "tried").exists()
    assert "out of memory" in done.stdout or "can't allocate memory" in done.stdout
    assert len(list((folder / "results" / "runs").glob("*/training.json"))) == 2


def test_two_jobs_share_a_gpu_if_it_has_the_memory_that_they_are_expected_to_take(
    folder: Path, device: str
) -> None:
    """The CPU's slots know no memory; neither do a GPU's whose driver cannot be asked."""
    assert train_sociable(folder, device, patience=120.0) == [True, True]
    known = device == "cuda" and open_inventory() is not None
    if device == "cuda":
        observed = json.loads(memory_file(folder).read_text())
        assert all(2**28 < memory < 2**33 for memory in observed.values())
        memory_file(folder).write_text(json.dumps(dict.fromkeys(observed, 2**50)))
    for finished in (folder / "results" / "runs").glob("*/training.json"):
        finished.unlink()
    met = train_sociable(folder, device, patience=3.0 if known else 120.0)
    assert met == [not known] * 2
