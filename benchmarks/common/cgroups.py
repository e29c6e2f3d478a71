"""What the container of this process allows, by Linux's control groups of version 1 and 2."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def cpu_quota(root: Path = _ROOT, own: Path = _OWN) -> float | None:
    """Processors that this process may use, e.g. 1.5; None without a quota."""
    quotas = []
    for folder in _folders("cpu", root, own):
        with suppress(OSError, ValueError, IndexError, ZeroDivisionError):  # "max", or no such file
            most, period = (folder / "cpu.max").read_text().split()[:2]
            quotas.append(int(most) / int(period))
        with suppress(OSError, ValueError, ZeroDivisionError):
            most = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
            quotas.append(int(most) / int(period))
    return min((quota for quota in quotas if quota > 0), default=None)


def free_memory(root: Path = _ROOT, own: Path = _OWN) -> int | None:
    """Bytes that the processes of the container can still take; None without a limit."""
    free = []
    for folder in _folders("memory", root, own):
        for limit, used, cached in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            with suppress(OSError, ValueError):  # "max", or no such file
                most = int((folder / limit).read_text())
                taken = int((folder / used).read_text())
                free.append(most - taken + _entry(folder / "memory.stat", cached))
    return max(min(free), 0) if free else None


def _entry(path: Path, name: str) -> int:
    with suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return 0


def _folders(controller: str, root: Path, own: Path) -> Iterator[Path]:
    """The groups that this process is in, with those above, whose limits hold as well."""
    lines = []
    with suppress(OSError):
        lines = own.read_text().splitlines()
    paths = {"": "/", controller: "/"}
    for line in lines:
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            if name in paths:
                paths[name] = path
    roots = {
        root: paths[""],
        root / "unified": paths[""],
        root / controller: paths[controller],
        root / "cpu,cpuacct": paths[controller],
    }
    for top, path in roots.items():
        folder = top / path.lstrip("/")
        while True:
            if folder.is_dir():
                yield folder
            if folder == top or top not in folder.parents:
                break
            folder = folder.parent
