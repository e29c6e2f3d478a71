"""Losses go to TensorBoard or Weights & Biases by flag, and neither is imported otherwise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks.commands.options import Parser, add_trackers
from benchmarks.common.errors import UserError
from benchmarks.runs import trackers
from benchmarks.runs.training import StoppedError
from benchmarks.runs.worker import run_job
from tests.support.jobs import make_job, stopping_after
from tests.support.small_data import SmallData


class Recorder(ModuleType):
    """Stands for wandb, and for the module of torch that writes for TensorBoard."""

    def __init__(self) -> None:
        super().__init__("recorder")
        self.said: list[Any] = []

    def init(self, **options: Any) -> Recorder:
        self.said.append(("init", options["project"], options["id"], options["resume"]))
        return self

    def log(self, values: dict[str, float], step: int) -> None:
        self.said.append((step, sorted(values)))

    def finish(self) -> None:
        self.said.append("finish")

    def SummaryWriter(self, folder: str, purge_step: int) -> Recorder:
        self.said.append((Path(folder).name, purge_step))
        return self

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.said.append((step, name))

    def close(self) -> None:
        self.said.append("close")


def arguments(*words: str) -> dict[str, Any]:
    parser = Parser()
    add_trackers(parser)
    return parser.given(words)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    made = Recorder()
    monkeypatch.setitem(sys.modules, "wandb", made)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", made)
    monkeypatch.setattr("benchmarks.runs.training.LOG_EVERY", 3)
    return made


def test_wandb_gets_the_losses_of_one_run_that_goes_on(
    recorder: Recorder, small_data: SmallData, tmp_path: Path
) -> None:
    job = make_job("bc-all", small_data, tmp_path, stage="train", trackers=("wandb:safe",))
    with pytest.raises(StoppedError):
        run_job(job, stop_requested=stopping_after(5))
    run_job(job)
    begin = ("init", "safe", job.training.key[:16], "allow")
    logged = [(step, ["loss_actor"]) for step in (3, 6, 7)]
    steps = [one[0] for one in recorder.said if one not in (begin, "finish")]
    assert recorder.said[0] == begin
    assert recorder.said.count(begin) == recorder.said.count("finish") == 2
    assert steps == [step for step, _ in logged]


def test_tensorboard_forgets_what_was_written_after_the_checkpoint(
    recorder: Recorder, small_data: SmallData, tmp_path: Path
) -> None:
    job = make_job("bc-all", small_data, tmp_path, stage="train", trackers=("tensorboard",))
    with pytest.raises(StoppedError):
        run_job(job, stop_requested=stopping_after(5))
    run_job(job)
    opened = [one for one in recorder.said if one[0] == "tensorboard"]
    assert opened[0] == ("tensorboard", 1)
    assert opened[1][1] > 3
    assert recorder.said.count("close") == 2
    assert {one[0] for one in recorder.said if isinstance(one[0], int)} == {3, 6, 7}


def test_the_flags_and_what_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    assert trackers.chosen(**arguments()) == ()
    assert trackers.chosen(**arguments("--tensorboard")) == ("tensorboard",)
    both = trackers.chosen(**arguments("--tensorboard", "--wandb", "project"))
    assert both == ("tensorboard", "wandb:project")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for words in (("--tensorboard",), ("--wandb", "x")):
        with pytest.raises(UserError, match=r"pip install -e '\.\["):
            trackers.chosen(**arguments(*words))


PROBE = """
import sys
for name in ("tensorboard", "wandb", "ray", "submitit", "pynvml"):
    sys.modules[name] = None
import benchmarks.commands.running, benchmarks.runs.worker, benchmarks.commands.evaluating
from benchmarks.scheduling import gpu_memory, ray, slurm
"""


def test_nothing_optional_is_imported_unasked() -> None:
    subprocess.run([sys.executable, "-c", PROBE], check=True)
