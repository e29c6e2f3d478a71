"""Where a result comes from: the code, the packages, the machine and the command that made it.

Each stage of a run writes one file, `provenance-<stage>.json`, beside its result. None of it is
part of a job's identity: the same result may be made on another machine.
"""

from __future__ import annotations

import json
import platform
import shlex
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.common import hardware
from benchmarks.common.files import write_atomic

PACKAGES = (
    *("osrl-bench", "torch", "numpy", "pandas", "h5py", "gymnasium", "pybullet"),
    *("bullet-safety-gym", "mujoco", "safety-gymnasium", "osrl-lib", "dsrl"),
)
"""Distributions whose version may change a result."""
CODE = ("gas", "baselines", "benchmarks")
_ROOT = Path(__file__).resolve().parents[2]
_SECONDS = 20
"""How long git may take on a slow disk before the commit counts as unknown."""


def commit(root: Path = _ROOT) -> tuple[str, bool | None]:
    """The commit that the code at `root` lies in, and whether the code differs from it.

    ("", None) where `root` is no checkout of its own: an installed copy inside another repository
    must not be given that one's commit.
    """
    top = _git(root, "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != root.resolve():
        return "", None
    head = _git(root, "rev-parse", "HEAD")
    changed = _git(root, "status", "--porcelain", "--", *CODE)
    return (head or ""), (None if changed is None else bool(changed))


def _git(root: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def command_line(arguments: Sequence[str], program: str = "python -m benchmarks.run") -> str:
    """The command as one would type it; the home folder is written ~."""
    words = [_without_home(word) for word in arguments]
    return f"{program} {' '.join(words)}".rstrip()


def _without_home(word: str) -> str:
    home = str(Path.home())
    if len(home) > 1 and (word == home or word.startswith(f"{home}/")):
        rest = word[len(home) :]
        return "~" + (shlex.quote(rest) if rest else "")
    return shlex.quote(word)


def versions() -> dict[str, str]:
    """Versions of Python and of `PACKAGES`, those that are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def device_name(device: str) -> str:
    """The make of a device, such as "cpu" or "cuda:0"; its plain name where that is unknown."""
    if device.partition(":")[0] == "cuda":
        return torch.cuda.get_device_name(device) if torch.cuda.is_available() else device
    return f"cpu: {hardware.processor()}"


def peak_memory(device: str) -> float:
    """Most memory that this process had, in MB: of the device on a GPU, otherwise of the host."""
    if device.partition(":")[0] == "cuda" and torch.cuda.is_available():
        return torch.cuda.max_memory_allocated(device) / 1e6
    return hardware.peak_memory() / 1e6


def data_frontier(
    costs: NDArray[np.floating[Any]], returns: NDArray[np.floating[Any]]
) -> list[tuple[float, float]]:
    """The best return within each cost: (cost, return) of the trajectories that none dominates.

    Both rise along the list; the best return within a limit is that of the last cost within it.
    """
    order = np.lexsort((-returns, costs))
    best = np.maximum.accumulate(returns[order])
    leads = np.concatenate([[True], best[1:] > best[:-1]])
    chosen = order[leads]
    return [(float(costs[i]), float(returns[i])) for i in chosen]


def keep(folder: Path, stage: str, device: str, command: str, **facts: Any) -> None:
    """Write down what makes the result of `stage` in `folder`, now; `facts` are added.

    A stage taken up again keeps the facts told before and every commit that worked on it.
    """
    path = folder / f"provenance-{stage}.json"
    before = _read(path)
    head, dirty = commit()
    now = {
        "commit": head,
        "dirty": dirty,
        "versions": versions(),
        "platform": f"{platform.system()} {platform.machine()}",
        "device": device_name(device),
        "command": command,
    }
    known = [one for one in before.get("commits", []) if one != head]
    content = before | now | {"commits": [*known, head]} | facts
    write_atomic(path, json.dumps(content, indent=1))


def kept(folder: Path, stage: str) -> dict[str, Any]:
    """What `keep` wrote of `stage`; empty where it wrote nothing that can be read."""
    return _read(folder / f"provenance-{stage}.json")


def _read(path: Path) -> dict[str, Any]:
    """A record, or nothing: a damaged one must not cost a result that is there."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
