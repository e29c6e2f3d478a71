"""Stored policies at new limits, and what is not loaded because no one named it."""

from __future__ import annotations

import json
import pickle
import shutil
import sys
from dataclasses import asdict, replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from benchmarks.common.errors import UserError
from benchmarks.evaluate import main
from benchmarks.methods.registry import find_method
from benchmarks.runs.jobs import ExitStatus, Training
from benchmarks.runs.store import Run
from benchmarks.runs.worker import run_job
from benchmarks.scheduling.protocol import ProcessExit, WorkItem
from tests.support.here import worker_here
from tests.support.jobs import make_job
from tests.support.small_data import SmallData

PLUGIN = "from baselines.bc import BCAll\n\nclass Mine(BCAll):\n    name = 'mine'\n"


pytestmark = pytest.mark.usefixtures("workers_here")


@pytest.fixture
def trained(small_data: SmallData, tmp_path: Path) -> Run:
    job = make_job("bc-all", small_data, tmp_path, stage="train")
    run_job(job)
    return Run(tmp_path, job.training)


def refused(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1


def test_a_stored_policy_is_evaluated_at_new_limits(
    trained: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = (trained.folder / "checkpoint.pt").stat().st_mtime_ns
    arguments = [str(trained.folder), "--limits", "50%", "25", "--episodes", "2"]
    assert main(arguments) == 0
    assert trained.evaluated(40.0, 2)
    assert trained.evaluated(25.0, 2)
    assert not trained.evaluated(8.0, 2)
    shown = capsys.readouterr().out
    assert "BallRun bc-all seed 0" in shown
    assert "limit 25: return" in shown
    before = {path: path.stat().st_mtime_ns for path in trained.folder.iterdir()}
    assert main(arguments) == 0
    assert {path: path.stat().st_mtime_ns for path in trained.folder.iterdir()} == before
    assert (trained.folder / "checkpoint.pt").stat().st_mtime_ns == checkpoint


def test_it_gives_what_a_run_at_these_limits_gives(
    trained: Run, small_data: SmallData, tmp_path: Path
) -> None:
    assert main([str(tmp_path), "--limits", "10%", "50%", "--episodes", "2"]) == 0
    whole = make_job("bc-all", small_data, tmp_path / "whole")
    run_job(whole)
    other = Run(tmp_path / "whole", whole.training)
    for limit in (8.0, 40.0):
        assert trained.episodes(limit, 2) == other.episodes(limit, 2)


def test_a_policy_for_one_limit_may_be_tried_at_another(
    small_data: SmallData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = make_job("bc-safe", small_data, tmp_path, stage="train")
    run_job(job)
    assert main([str(tmp_path), "--limits", "8", "--episodes", "1"]) == 0
    assert "trained for 40" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        (ExitStatus.FAILED, "1 jobs failed: see failure.json in {folder}; the same command runs"),
        (
            ExitStatus.NO_SPACE,
            "no more jobs were started (the disk cannot be written): repair that",
        ),
    ],
)
def test_what_went_wrong_is_told_and_done_by_the_same_command(
    ending: ExitStatus,
    said: str,
    trained: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Failing:
        def __init__(self, item: WorkItem, on_message, **_: object) -> None:
            on_message(ProcessExit(ending, ""))

    arguments = [str(tmp_path), "--limits", "8", "--episodes", "1"]
    with monkeypatch.context() as patch:
        patch.setattr("benchmarks.scheduling.engines.WorkerProcess", Failing)
        assert main(arguments) == 1
    shown = capsys.readouterr()
    assert said.format(folder=trained.folder) in shown.err
    assert "--retry-failed" not in shown.err
    assert "limit 8: not evaluated" in shown.out
    assert main(arguments) == 0
    assert trained.evaluated(8.0, 1)


def test_policies_act_on_the_gpu_that_is_named(
    trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    class Looking:
        def __init__(self, item: WorkItem, on_message, **_: object) -> None:
            seen.append((item.device, item.worker_job.device))
            run_job(replace(item.worker_job, device="cpu"))  # there may be no GPU here
            on_message(ProcessExit(0, ""))

    monkeypatch.setattr("benchmarks.scheduling.engines.WorkerProcess", Looking)
    monkeypatch.setattr(
        "benchmarks.scheduling.engines.devices",
        lambda choice: [choice] if choice.startswith("cuda") else ["cuda:0"],
    )
    arguments = [str(tmp_path), "--episodes", "1", "--limits"]
    assert main([*arguments, "8"]) == 0
    assert main([*arguments, "9", "--device", "cuda:1"]) == 0
    assert seen == [("cpu", "cpu"), ("cuda:1", "cuda")]


class FakeSubmitit(ModuleType):
    """Slurm jobs that run at once, in this process."""

    def __init__(self) -> None:
        super().__init__("submitit")
        self.__spec__ = ModuleSpec("submitit", None)
        self.AutoExecutor = lambda folder, cluster: SimpleNamespace(
            cluster="slurm", update_parameters=lambda **_: None, submit=self.submit
        )

    @staticmethod
    def submit(work, *arguments):
        outcome = work(*arguments)
        return SimpleNamespace(job_id="1", done=lambda: True, result=lambda: outcome)


class FakeRay(ModuleType):
    """A cluster of one core, in this process."""

    exceptions = SimpleNamespace(RayError=KeyError)

    def __init__(self) -> None:
        super().__init__("ray")
        self.__spec__ = ModuleSpec("ray", None)
        self.init = self.kill = self.shutdown = lambda *_, **__: None
        self.cluster_resources = lambda: {"CPU": 1.0}
        self.get = lambda outcome: outcome

    @staticmethod
    def remote(cls):
        work = SimpleNamespace(remote=cls().work)
        return SimpleNamespace(
            options=lambda **_: SimpleNamespace(remote=lambda: SimpleNamespace(work=work))
        )


@pytest.mark.parametrize("engine", [FakeRay(), FakeSubmitit()], ids=["ray", "slurm"])
def test_an_engine_evaluates_where_the_runs_are_stored(
    engine: ModuleType,
    trained: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, engine.__name__, engine)
    monkeypatch.setattr("benchmarks.scheduling.node.WorkerProcess", worker_here())
    name = {"ray": "ray", "submitit": "slurm"}[engine.__name__]
    options = ["--limits", "8", "--episodes", "1", "--engine", name]
    assert main([str(tmp_path), *options]) == 0
    assert trained.evaluated(8.0, 1)
    assert "limit 8: return" in capsys.readouterr().out
    shutil.copytree(tmp_path / "runs", tmp_path / "other" / "runs")
    refused([str(tmp_path), str(tmp_path / "other"), *options], "one results folder", capsys)


def test_a_plugin_is_loaded_only_where_it_is_named(
    small_data: SmallData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(PLUGIN)
    spec = f"{plugin}:Mine"
    base = make_job("bc-all", small_data, tmp_path, stage="train", method_spec=spec)
    training = replace(base.training, algorithm="mine", code=find_method(spec).code)
    run_job(replace(base, training=training))
    folder = str(Run(tmp_path, training).folder)
    refused([folder, "--limits", "8"], "--algorithms FILE.py:CLASS", capsys)
    arguments = [folder, "--limits", "8", "--episodes", "1", "--algorithms", spec]
    assert main(arguments) == 0
    plugin.write_text(PLUGIN + "# changed\n")
    refused(arguments, "have changed since the training", capsys)


@pytest.mark.parametrize("name", ["{plugin}:Mine", "os:system", "../../x"])
def test_no_name_in_a_stored_run_loads_a_file(
    name: str, trained: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(f"{PLUGIN}\nopen({str(tmp_path / 'loaded')!r}, 'w')\n")
    training = replace(trained.training, algorithm=name.format(plugin=plugin))
    run = Run(tmp_path, training)
    assert run.folder.parent == tmp_path / "runs", "no name leaves the folder"
    trained.folder.rename(run.folder)
    run.begin_attempt()
    refused([str(run.folder), "--limits", "8"], "is from a plugin", capsys)
    assert not (tmp_path / "loaded").exists()


def test_what_is_no_trained_run_is_said(
    trained: Run, small_data: SmallData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(trained.folder)
    refused([str(tmp_path / "nowhere"), "--limits", "8"], "is not a run", capsys)
    refused([folder, "--limits", "ten"], "neither a percentage", capsys)
    refused([folder, "--limits", "8", "--episodes", "0"], "--episodes", capsys)
    (trained.folder / "training.json").unlink()
    refused([folder, "--limits", "8"], "is not trained yet", capsys)
    stored = json.loads((trained.folder / "job.json").read_text())
    for change, words in [
        ({"seed": 7}, "its job.json belongs to"),
        ({"seed": "7"}, "seed of the wrong type"),
        ({"limit": [1]}, "limit of the wrong type"),
    ]:
        (trained.folder / "job.json").write_text(json.dumps(stored | change))
        refused([folder, "--limits", "8"], words, capsys)
    training = replace(trained.training, config={**trained.training.config, "removed": 1})
    renamed = trained.folder.rename(Run(tmp_path, training).folder)
    (renamed / "job.json").write_text(json.dumps(asdict(training)))
    (renamed / "training.json").write_text("{}")
    refused([str(renamed), "--limits", "8"], "has other options now: train again", capsys)
    renamed.rename(trained.folder)
    (trained.folder / "job.json").write_text("[]")
    refused([folder, "--limits", "8"], "cannot be read", capsys)


class Harmful:
    """An object that runs code when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_checkpoint_with_code_is_not_run(
    trained: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for save in (torch.save, lambda what, path: path.write_bytes(pickle.dumps(what))):
        save({"problem": Harmful(tmp_path / "harm")}, trained.folder / "checkpoint.pt")
        with pytest.raises(UserError, match="cannot be read"):
            trained.checkpoint()
        save({"algorithm": Harmful(tmp_path / "harm")}, trained.folder / "resume.pt")
        assert trained.saved_progress() is None
    assert not (tmp_path / "harm").exists()


def test_names_from_data_stay_in_the_results_folder(tmp_path: Path) -> None:
    for name in ("../../up", "/etc/passwd", "..", ".", "a/b", "nul\0", "üñ", "", "x" * 9):
        training = Training(name, "", {}, name, "", 0, None, 1)
        folder = Run(tmp_path, training).folder
        assert folder.resolve().parent == (tmp_path / "runs").resolve()
        assert folder.name not in ("", ".", "..")
