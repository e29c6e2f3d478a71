"""Jobs on GPUs, all made up: which goes where, and what is expected of their memory."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.scheduling.devices import GIB, DevicePool, MemoryEstimates
from benchmarks.scheduling.local import WorkerProcess, visible_gpu
from benchmarks.scheduling.protocol import WorkItem
from benchmarks.scheduling.scheduler import Scheduler
from tests.support.fake_jobs import Gpus, ends, launch, make_job, tries

# GPUs, simulated


def test_training_goes_to_gpus_and_evaluation_to_the_cpu_beside_it(tmp_path: Path) -> None:
    jobs = [make_job(tmp_path, i, "sleep 0.1") for i in range(4)]
    overlaps: list[set[str]] = []

    def watching(item: WorkItem, on_message) -> WorkerProcess:
        overlaps.append({one.device for one in scheduler._running} | {item.device})
        return launch(item, on_message)

    scheduler = Scheduler(DevicePool({"cuda:0": 1, "cuda:1": 1, "cpu": 1}), watching)
    events = ends(scheduler.run(jobs))
    assert [event.phase for event in events] == ["done"] * 4
    for job in jobs:
        trained, evaluated = tries(job)
        assert trained in ("train cuda 0", "train cuda 1")
        assert evaluated == "evaluate cpu cpu"
    assert {"cuda:0", "cpu"} <= set.union(*overlaps)
    assert any("cpu" in places and len(places) > 1 for places in overlaps)


def test_out_of_memory_is_retried_until_it_fits(tmp_path: Path) -> None:
    # five gigabytes each of a made-up card of twelve, and an estimate of one
    jobs = [make_job(tmp_path, i, "memory 5 12") for i in range(6)]
    places = DevicePool({"cuda:0": 6, "cpu": 2}, None, MemoryEstimates(1))
    events = ends(Scheduler(places, launch).run(jobs))
    phases = [event.phase for event in events]
    assert phases.count("done") == 6
    assert set(phases) <= {"done", "retry"}


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=12),
    st.integers(1, 4),
    st.integers(4, 16),
    st.integers(1, 8),
)
def test_promised_memory_never_exceeds_what_a_gpu_has(
    needs: list[int], cards: int, size: int, slots: int
) -> None:
    names = [f"cuda:{i}" for i in range(cards)]
    running: list[WorkItem] = []
    places = DevicePool(
        {**dict.fromkeys(names, slots), "cpu": 1},
        Gpus(dict.fromkeys(names, size * GIB), lambda: running),
        MemoryEstimates(3 * GIB),
    )
    waiting = [WorkItem(make_job(Path("x"), i), "train", True) for i in range(len(needs))]
    for i, item in enumerate(waiting):  # a method each, some of them seen before
        training = replace(item.job.training, config={"batch": i})
        item.job = replace(item.job, training=training)
        if i % 2:
            places.estimates.observe(item.job, needs[i] * GIB)
    clock = itertools.count()
    while waiting or running:
        for item in list(waiting):
            place = places.choose(item, running)
            if place is None:
                continue
            item.device = place
            waiting.remove(item)
            running.append(item)
        for name in names:
            there = [item for item in running if item.device == name]
            assert len(there) <= slots
            if len(there) > 1:
                assert sum(places.estimates.of(one.job) for one in there) <= size * GIB
        assert running, "with nothing running there is room for one more, whatever it takes"
        running.pop(next(clock) % len(running))


def test_estimates_follow_what_was_seen() -> None:
    job = make_job(Path("x"))
    estimates = MemoryEstimates(1000)
    assert estimates.of(job) == 1000
    estimates.observe(job, 100)
    assert estimates.of(job) == 110
    estimates.observe(job, 50)
    assert estimates.of(job) == 110
    estimates.raise_after_failure(job)
    assert estimates.of(job) > 150
    other = replace(job, training=replace(job.training, config={"batch": 2}))
    assert estimates.of(other) == 1000
    assert estimates.of(replace(job, training=replace(job.training, seed=9))) > 150


def test_what_was_seen_is_known_to_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "gpu-memory.json"

    def together(results: Path) -> int:
        """Most jobs at a time that take five of a made-up card of twelve."""
        beside: list[int] = []

        def watching(item: WorkItem, on_message) -> WorkerProcess:
            if item.device == "cuda:0":  # evaluations run beside it, on the CPU
                beside.append(sum(one.device == "cuda:0" for one in scheduler._running))
            return launch(item, on_message)

        gpus = Gpus({"cuda:0": 12}, lambda: scheduler._running)
        places = DevicePool({"cuda:0": 6, "cpu": 2}, gpus, MemoryEstimates(1, path))
        scheduler = Scheduler(places, watching)
        jobs = [make_job(results, i, "memory 5 12") for i in range(6)]
        assert [e.phase for e in ends(scheduler.run(jobs)) if e.phase != "retry"] == ["done"] * 6
        return 1 + max(beside)

    assert together(tmp_path / "first") == 6, "a guess of one fills all slots"
    assert together(tmp_path / "second") == 2
    assert list(json.loads(path.read_text()).values()) == [5], "what was seen, and no expectation"


def test_runners_that_share_estimates_lose_none(tmp_path: Path) -> None:
    path, job = tmp_path / "seen", make_job(Path("x"))
    kinds = [replace(job, training=replace(job.training, config={"batch": i})) for i in range(3)]
    one, other = MemoryEstimates(1, path), MemoryEstimates(1, path)
    one.observe(kinds[0], 100)
    other.observe(kinds[1], 200)
    other.observe(kinds[0], 50)
    one.observe(kinds[2], 300)
    assert one.of(kinds[1]) == 220, "it learns from the other"
    assert [MemoryEstimates(1, path).of(kind) for kind in kinds] == [110, 220, 330]
    assert [file.name for file in tmp_path.iterdir()] == ["seen"]


def test_an_expectation_ends_with_its_run(tmp_path: Path) -> None:
    job = make_job(Path("x"))
    estimates = MemoryEstimates(1000, tmp_path / "seen")
    estimates.observe(job, 100)
    estimates.raise_after_failure(job)
    assert estimates.of(job) == 165
    assert MemoryEstimates(1000, tmp_path / "seen").of(job) == 110


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[1]", b"\xff", b'{"%s": 1.5}', b'{"%s": -9}', b'{"%s": true}']
)
def test_damaged_estimates_are_guessed_anew(damage: bytes, tmp_path: Path) -> None:
    path, job = tmp_path / "seen", make_job(Path("x"))
    kind = json.dumps(MemoryEstimates._key(job))[1:-1]
    path.write_bytes(damage.replace(b"%s", kind.encode()))
    estimates = MemoryEstimates(1000, path)
    assert estimates.of(job) == 1000
    estimates.observe(job, 100)
    assert MemoryEstimates(1000, path).of(job) == 110


def test_estimates_that_cannot_be_kept_are_used_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    estimates = MemoryEstimates(1000, tmp_path / "file" / "seen")
    estimates.observe(make_job(Path("x")), 100)
    assert estimates.of(make_job(Path("x"))) == 110


def test_a_gpu_is_shown_to_one_process_as_its_only_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_gpu("cuda:1") == {"CUDA_VISIBLE_DEVICES": "1"}
    assert visible_gpu("cpu") == {"CUDA_VISIBLE_DEVICES": ""}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5, GPU-1a2b")
    assert visible_gpu("cuda:0") == {"CUDA_VISIBLE_DEVICES": "5"}
    assert visible_gpu("cuda:1") == {"CUDA_VISIBLE_DEVICES": "GPU-1a2b"}
