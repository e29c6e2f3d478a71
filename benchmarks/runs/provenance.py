"""Provenance of a result: the code, the packages, the machine and the command that made it.

Each stage of a run writes one file, `provenance-<stage>.json`, beside its result. Provenance is not
part of a job's identity, as another machine may make the same result.
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
_GIT_TIMEOUT = 20
"""Seconds after which git is given up, on a slow disk, and the commit counts as unknown."""


def commit(root: Path = _ROOT) -> tuple[str, bool | None]:
    """The commit of the code at `root`, and whether the code differs from it.

    ("", None) if `root` is not the top of a checkout: an installed copy inside another repository
    must not be recorded with that repository's commit.
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
            ["git", "-C", str(root), *words], capture_output=True, text=True, timeout=_GIT_TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def command_line(arguments: Sequence[str], program: str = "python -m benchmarks.run") -> str:
    """The command as a user would type it, with ~ for the home folder.

    `--results` is left out: where results lie is a path of one machine and changes none of them.
    """
    words = [_without_home(word) for word in _without_place(arguments)]
    return f"{program} {' '.join(words)}".rstrip()


def _without_place(arguments: Sequence[str]) -> list[str]:
    """The arguments without the option `--results`."""
    words, left = list[str](), iter(arguments)
    for word in left:
        if word == "--results":
            next(left, None)
        elif not word.startswith("--results="):
            words.append(word)
    return words


def _without_home(word: str) -> str:
    try:
        home = str(Path.home())
    except RuntimeError:  # a container's user without one
        home = ""
    if len(home) > 1 and (word == home or word.startswith(f"{home}/")):
        rest = word[len(home) :]
        return "~" + (shlex.quote(rest) if rest else "")
    return shlex.quote(word)


def versions() -> dict[str, str]:
    """Versions of Python and of the installed ones of `PACKAGES`."""
    installed = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            continue
    return installed


def device_name(device: str) -> str:
    """The model of a device such as "cpu" or "cuda:0"; its plain name if the model is unknown."""
    if device.partition(":")[0] == "cuda":
        return torch.cuda.get_device_name(device) if torch.cuda.is_available() else device
    return f"cpu: {hardware.processor()}"


def peak_memory(device: str) -> float:
    """Peak memory of this process in MB: GPU memory on a GPU, otherwise host memory."""
    if device.partition(":")[0] == "cuda" and torch.cuda.is_available():
        return torch.cuda.max_memory_allocated(device) / 1e6
    return hardware.peak_memory() / 1e6


def data_frontier(
    costs: NDArray[np.floating[Any]], returns: NDArray[np.floating[Any]]
) -> list[tuple[float, float]]:
    """The Pareto frontier of the trajectories, as (cost, return) with both rising.

    The best return within a limit is that of the last point whose cost is within the limit.
    """
    order = np.lexsort((-returns, costs))
    best = np.maximum.accumulate(returns[order])
    improves = np.concatenate([[True], best[1:] > best[:-1]])
    return [(float(costs[i]), float(returns[i])) for i in order[improves]]


def record(folder: Path, stage: str, device: str, command: str, **facts: Any) -> None:
    """Record a stage's provenance in `folder`, with `facts`, merging earlier attempts.

    A resumed stage keeps the facts of earlier attempts and every commit that worked on it.
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
    earlier = [commit for commit in before.get("commits", []) if commit != head]
    content = before | now | {"commits": [*earlier, head]} | facts
    write_atomic(path, json.dumps(content, indent=1))


def read_record(folder: Path, stage: str) -> dict[str, Any]:
    """The record of `stage`; empty if it is missing or damaged."""
    return _read(folder / f"provenance-{stage}.json")


def _read(path: Path) -> dict[str, Any]:
    """A record; empty if it is missing or damaged, so that the result stays usable."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
