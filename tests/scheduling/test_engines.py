"""Options that choose machines, and what GPUs there are."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from benchmarks.commands.options import Parser, add_engine
from benchmarks.common.errors import UserError
from benchmarks.runs.jobs import Job, Training
from benchmarks.scheduling import engines
from benchmarks.scheduling.config import EngineConfig
from benchmarks.scheduling.gpu_memory import open_inventory

CORES = 12


def options(*words: str, stage: str = "both") -> EngineConfig:
    parser = Parser()
    add_engine(parser, seeds=True)
    return EngineConfig(**parser.given(words), stage=stage)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "devices", lambda choice: ["cuda:0", "cuda:1"])
    monkeypatch.setattr(engines, "available_cores", lambda: CORES)
    monkeypatch.setattr(engines, "open_inventory", lambda: None)


class FakeNvml(ModuleType):
    """Two cards, of which the second is the first by its identifier."""

    class NVMLError(Exception):
        pass

    def __init__(self, broken: bool = False) -> None:
        super().__init__("pynvml")
        self.broken = broken

    def nvmlInit(self) -> None:
        if self.broken:
            raise self.NVMLError("no driver")

    def nvmlDeviceGetHandleByIndex(self, number: int) -> int:
        if number > 1:
            raise self.NVMLError("no such card")
        return number

    def nvmlDeviceGetHandleByUUID(self, name: str) -> int:
        return {"GPU-a": 1}[name]

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:
        return SimpleNamespace(free=1000 + handle)


@pytest.mark.usefixtures("two_gpus")
def test_slots_of_gpus_and_of_the_cpu_beside_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert engines.slots(options()) == {"cuda:0": 4, "cuda:1": 4, "cpu": CORES}
    assert engines.slots(options("--workers", "3")) == {"cuda:0": 2, "cuda:1": 1, "cpu": CORES}
    assert engines.slots(options("--workers", "1"))["cuda:1"] == 0
    assert engines.slots(options(stage="evaluate")) == {"cpu": CORES}
    named = options("--device", "cuda", stage="evaluate")
    assert engines.slots(named) == {"cuda:0": 4, "cuda:1": 4, "cpu": CORES}
    monkeypatch.setattr(engines, "open_inventory", lambda: object())
    assert engines.slots(options()) == {"cuda:0": 6, "cuda:1": 6, "cpu": CORES}
    given = options("--workers", "5", "--timeout", "2")
    with engines.open_scheduler(given, Path("results")) as scheduler:
        assert scheduler.devices.count == 5
        assert scheduler.timeout == 120.0


@pytest.mark.usefixtures("two_gpus")
def test_estimates_of_gpus_lie_beside_the_results(tmp_path: Path) -> None:
    training = Training("gas", "", {"batch": 1}, "BallRun", "ab", 0, None, 1)
    job = Job(
        training=training,
        limits=(8.0,),
        episodes=1,
        method_spec="gas",
        data="",
        source="",
        results=str(tmp_path),
    )
    with engines.open_scheduler(options(), tmp_path) as scheduler:
        scheduler.devices.estimates.observe(job, 100)
    (path,) = tmp_path.rglob("*.json")
    assert path == tmp_path / "runs" / "gpu-memory.json"
    assert json.loads(path.read_text()) == {'gas {"batch": 1}': 100}
    with engines.open_scheduler(options(), tmp_path) as scheduler:
        assert scheduler.devices.estimates.of(job) == 110


def test_slots_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "devices", lambda choice: ["cpu"])
    monkeypatch.setattr(engines, "available_cores", lambda: 3)
    assert engines.slots(options()) == {"cpu": 3}
    assert engines.slots(options("--workers", "7")) == {"cpu": 7}


def test_free_memory_of_the_gpus_that_are_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml())
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    inventory = open_inventory()
    assert inventory is not None
    assert [inventory.free(f"cuda:{i}") for i in range(3)] == [1000, 1001, None]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,GPU-a,0")
    inventory = open_inventory()
    assert inventory is not None
    assert [inventory.free(f"cuda:{i}") for i in range(4)] == [1001, 1001, 1000, None]


def test_without_a_driver_or_the_library_nothing_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(broken=True))
    assert open_inventory() is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert open_inventory() is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--workers", "0"], "--workers must be at least 1"),
        (["--timeout", "0"], "--timeout must be above 0"),
        (["--timeout", "nan"], "--timeout must be above 0"),
        (["--gpu-share", "-1"], "--gpu-share must be from 0 to 8"),
        (["--slurm", "partition"], "not of the form key=value"),
    ],
)
def test_numbers_out_of_range_are_one_line(words: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        engines.check(options(*words))
