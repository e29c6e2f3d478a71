"""Quotas and memory limits of containers, of both versions of control groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.common import hardware
from benchmarks.common.cgroups import cpu_quota, free_memory

V1 = "4:cpu,cpuacct:/docker/a\n5:memory:/docker/a\n"
V2 = "0::/slice/pod\n"


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


QUOTAS = {
    "version 2": (V2, {"slice/pod/cpu.max": "150000 100000\n"}, 1.5),
    "version 2, of the group above": (
        V2,
        {"slice/cpu.max": "100000 100000", "slice/pod/cpu.max": "max 100000"},
        1.0,
    ),
    "version 2, seen from within": (V2, {"cpu.max": "50000 100000"}, 0.5),
    "version 1": (
        V1,
        {"cpu/docker/a/cpu.cfs_quota_us": "200000", "cpu/docker/a/cpu.cfs_period_us": "100000"},
        2.0,
    ),
    "version 1, seen from within": (
        V1,
        {"cpu,cpuacct/cpu.cfs_quota_us": "30000", "cpu,cpuacct/cpu.cfs_period_us": "10000"},
        3.0,
    ),
    "version 1 without a quota": (
        V1,
        {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"},
        None,
    ),
    "nonsense": (V2, {"cpu.max": "many", "slice/cpu.max": "1 0"}, None),
    "none": ("", {}, None),
}


@pytest.mark.parametrize("kind", QUOTAS)
def test_the_quota_of_processors(kind: str, tmp_path: Path) -> None:
    groups, files, quota = QUOTAS[kind]
    root = tree(tmp_path / "cgroup", files)
    (own := tmp_path / "own").write_text(groups)
    assert cpu_quota(root, own) == quota
    assert cpu_quota(root, tmp_path / "missing") in (quota, None)


@pytest.mark.parametrize(
    ("quota", "cores"), [(None, 8), (0.2, 1), (1.0, 1), (1.9, 1), (3.0, 3), (64.0, 8)]
)
def test_cores_within_the_quota(
    quota: float | None, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "cpu_quota", lambda: quota)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)))
    assert hardware.available_cores() == cores


def test_memory_that_is_free_in_a_container(tmp_path: Path) -> None:
    (own := tmp_path / "own").write_text(V2 + V1)
    stat = "active_file 5\ninactive_file 10\n"
    files = {"memory.max": "100", "memory.current": "70", "memory.stat": stat}
    assert free_memory(tree(tmp_path / "v2", files), own) == 40
    files = {"memory.limit_in_bytes": "50", "memory.usage_in_bytes": "70"}
    files = {f"memory/docker/a/{name}": content for name, content in files.items()}
    assert free_memory(tree(tmp_path / "v1", files), own) == 0
    assert free_memory(tree(tmp_path / "none", {"memory.max": "max"}), own) is None


@pytest.mark.parametrize(("limit", "workers"), [(16, 1), (64, 3), (1024, 195)])
def test_workers_within_the_limit_of_open_files(
    limit: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda what: (limit, limit))
    assert hardware.most_workers() == workers
