"""The same jobs on Ray and Slurm: the same results, also when a node is lost."""

from __future__ import annotations

import importlib
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.run import main
from benchmarks.runs.jobs import ExitStatus
from benchmarks.runs.store import Run
from benchmarks.runs.worker import run_job
from benchmarks.scheduling.node import (
    Node,
    SharedStorageProbe,
    read_run_files,
    with_absolute_paths,
    write_run_files,
)
from tests.support.here import worker_here
from tests.support.jobs import make_job, same
from tests.support.runs import FAILING, command, evaluations, start, wait_for
from tests.support.small_data import SmallData


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of two cores on this machine."""
    pytest.importorskip("ray")
    made = importlib.import_module("ray.cluster_utils").Cluster(
        initialize_head=True, head_node_args={"num_cpus": 2}
    )
    made.second = made.add_node(num_cpus=2)
    yield made
    made.shutdown()


def test_a_node_that_shares_the_store_works_in_it(
    small_data: SmallData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.scheduling.node.WorkerProcess", worker_here())
    job = make_job("bc-all", small_data, tmp_path, stage="train")
    mark = SharedStorageProbe(tmp_path)
    outcome = Node().work(job.to_json(), str(mark.path), {})
    assert outcome.exited.status == ExitStatus.DONE, outcome
    assert outcome.files is None
    assert Run.of(job).trained
    mark.remove()
    assert not mark.path.exists()


def test_a_node_without_the_store_returns_the_run_by_value(
    small_data: SmallData, tmp_path: Path
) -> None:
    job = make_job("bc-all", small_data, tmp_path / "ours")
    run_job(replace(job, stage="train"))
    run = Run.of(job)
    far = replace(job, results=str(tmp_path / "nowhere"), data=str(tmp_path / "nothing"))
    fetch = Path(job.data).read_bytes
    outcome = Node().work(far.to_json(), str(tmp_path / "no mark"), read_run_files(run), fetch)
    assert outcome.exited.status == ExitStatus.DONE, outcome
    assert outcome.files is not None
    assert not (tmp_path / "nowhere").exists()
    write_run_files(run, outcome.files)
    whole = make_job("bc-all", small_data, tmp_path / "whole")
    run_job(whole)
    for limit in job.limits:
        assert run.episodes(limit, 2) == Run.of(whole).episodes(limit, 2)
    assert same(run.checkpoint(), Run.of(whole).checkpoint())


def test_a_node_writes_nothing_beside_the_run(small_data: SmallData, tmp_path: Path) -> None:
    run = Run.of(make_job("bc-all", small_data, tmp_path))
    names = ("../../up", "/tmp/up", "a/b", "lock", ".hidden", "training.json")
    write_run_files(run, dict.fromkeys(names, b"{}"))
    assert sorted(path.name for path in run.folder.iterdir()) == ["lock", "training.json"]
    assert (run.folder / "lock").read_bytes() == b""


def test_a_node_finds_what_was_named_from_another_folder(
    small_data: SmallData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    job = with_absolute_paths(make_job("bc-all", small_data, Path("here"), data="data.hdf5"))
    assert job.results == str(tmp_path / "here")
    assert job.data == str(tmp_path / "data.hdf5")
    assert with_absolute_paths(replace(job, data="")).data == ""


def test_what_says_done_is_stored_last(
    small_data: SmallData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    monkeypatch.setattr(
        "benchmarks.scheduling.node.write_atomic", lambda path, _: order.append(path.name)
    )
    files = dict.fromkeys(("training.json", "evaluation-8x2.json", "losses.csv", "checkpoint.pt"))
    write_run_files(Run.of(make_job("bc-all", small_data, tmp_path)), files)
    assert order == ["checkpoint.pt", "losses.csv", "evaluation-8x2.json", "training.json"]


@pytest.mark.slow
@pytest.mark.parametrize("shared", [True, False])
def test_ray_on_two_nodes_gives_what_local_gives(
    shared: bool,
    cluster: Any,
    small_data: SmallData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not shared:  # no node sees the mark: results return by value
        unseen = tmp_path / "unseen"
        monkeypatch.setattr(
            SharedStorageProbe, "__init__", lambda mark, results: setattr(mark, "path", unseen)
        )
    methods = ("--algorithms", "bc-all", "gas", "--limits", "60")
    arguments = command(small_data, tmp_path / "ray", *methods)[2:]
    assert main([*arguments, "--engine", "ray", "--address", cluster.address]) == 0
    assert main(command(small_data, tmp_path / "local", *methods)[2:]) == 0
    assert evaluations(tmp_path / "ray") == evaluations(tmp_path / "local")
    assert len(evaluations(tmp_path / "ray")) == 4
    assert not list(tmp_path.glob("ray/runs/.shared*"))


@pytest.mark.slow
def test_the_loss_of_a_node_is_survived(
    cluster: Any, small_data: SmallData, tmp_path: Path
) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(FAILING)
    options = ("--algorithms", f"{plugin}:Slow", "--limits", "60", "--seeds", "0", "1")
    options = (*options, "--updates", "200", "--checkpoint-seconds", "0.5")
    arguments = command(small_data, tmp_path / "ray", *options)[2:]
    runner = start([*arguments, "--engine", "ray", "--address", cluster.address])
    wait_for(lambda: len(list(tmp_path.glob("ray/runs/*/resume.pt"))) == 4, 300)
    cluster.remove_node(cluster.second, allow_graceful=False)
    output, _ = runner.communicate(timeout=500)
    assert runner.returncode == 0, output
    assert "will be retried" in output
    assert main(command(small_data, tmp_path / "local", *options)[2:]) == 0
    assert evaluations(tmp_path / "ray") == evaluations(tmp_path / "local")


@pytest.mark.slow
def test_slurm_jobs_give_what_local_gives(small_data: SmallData, tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    # submitit's own executor where there is no Slurm: the same calls, processes of this machine
    engine = [
        "--engine",
        "slurm",
        *([] if shutil.which("sbatch") else ["--slurm", "cluster=local"]),
    ]
    methods = ("--algorithms", "bc-all", "--limits", "60")
    assert main([*command(small_data, tmp_path / "slurm", *methods)[2:], *engine]) == 0
    assert main(command(small_data, tmp_path / "local", *methods)[2:]) == 0
    assert evaluations(tmp_path / "slurm") == evaluations(tmp_path / "local")
    assert len(evaluations(tmp_path / "slurm")) == 2


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("sbatch") is None, reason="there is no Slurm here")
@pytest.mark.parametrize("sudden", [False, True])
def test_a_cancelled_slurm_job_goes_on_in_another(
    sudden: bool, small_data: SmallData, tmp_path: Path
) -> None:
    pytest.importorskip("submitit")
    plugin = tmp_path / "plugin.py"
    plugin.write_text(FAILING)
    options = ("--algorithms", f"{plugin}:Slow", "--limits", "60", "--updates", "200")
    options = (*options, "--checkpoint-seconds", "0.5", "--tasks", "BallRun")
    arguments = command(small_data, tmp_path / "slurm", *options)[2:]
    runner = start([*arguments, "--engine", "slurm"])
    wait_for(lambda: list(tmp_path.glob("slurm/runs/*/resume.pt")), 300)
    kind = ["--signal", "KILL"] if sudden else []
    subprocess.run(["scancel", *kind, "--name", "BallRun-slow"], check=True)
    output, _ = runner.communicate(timeout=500)
    assert runner.returncode == 0, output
    assert "will be retried" in output
    assert main(command(small_data, tmp_path / "local", *options)[2:]) == 0
    assert evaluations(tmp_path / "slurm") == evaluations(tmp_path / "local")


def test_an_engine_that_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for engine, package in (("ray", "ray"), ("slurm", "submitit")):
        arguments = ["--suite", "tight", "--engine", engine, "--results", str(tmp_path / "no")]
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert f"needs the package {package}: pip install -e '.[{engine}]'" in error
        assert error.count("\n") == 1
