"""`python -m benchmarks.measures.gpu_check.pack FOLDER TARGET`: a check's results as small files.

Records, tables and logs become `results.tar.gz`. The finished trainings of each task become
`<task>.tar.00`, `.01` and so on, without the states of optimisers, which acting does not need:
`cat <task>.tar.* | tar -x` restores a results folder that `python -m benchmarks.evaluate` reads.
"""

from __future__ import annotations

import io
import json
import sys
import tarfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.common.errors import UserError, exit_status

PIECE = 14 * 2**20
"""Bytes of a file at most."""
_LEFT_OUT = {"site", "training"}
_LARGE = {"checkpoint.pt", "resume.pt", "lock"}


def pack(folder: Path, target: Path, piece: int = PIECE) -> list[Path]:
    """Write the files; their paths."""
    if not (folder / "machine.json").is_file():
        raise UserError(f"{folder} holds no results of gpu_check: name its output folder")
    target.mkdir(parents=True, exist_ok=True)
    results = target / "results.tar.gz"
    with tarfile.open(results, "w:gz") as archive:
        for path in sorted(folder.iterdir()):
            if path.name not in _LEFT_OUT:
                archive.add(path, path.name)
        if (folder / "training" / "plan.json").is_file():
            archive.add(folder / "training" / "plan.json", "training/plan.json")
    written = [results]
    by_task = defaultdict[str, list[Path]](list)
    for done in sorted(folder.glob("training/runs/*/training.json")):
        task = json.loads((done.parent / "job.json").read_text())["task"]
        by_task[task].append(done.parent)
    for task, runs in by_task.items():
        content = _archive(runs)
        for number, start in enumerate(range(0, len(content), piece)):
            written.append(target / f"{task}.tar.{number:02d}")
            written[-1].write_bytes(content[start : start + piece])
    return written


def _archive(runs: Sequence[Path]) -> bytes:
    """The folders of trainings, with checkpoints that act but do not go on training."""
    with tarfile.open(fileobj=(buffer := io.BytesIO()), mode="w") as archive:
        for run in runs:
            for path in sorted(run.iterdir()):
                if path.name not in _LARGE:
                    archive.add(path, f"runs/{run.name}/{path.name}")
            content = _acting_only(run / "checkpoint.pt")
            entry = tarfile.TarInfo(f"runs/{run.name}/checkpoint.pt")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _acting_only(checkpoint: Path) -> bytes:
    """A checkpoint without the states of its optimisers."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    for part in state["parts"].values():
        if isinstance(part, dict) and {"state", "param_groups"} == part.keys():
            part["state"] = {}
    torch.save(state, buffer := io.BytesIO())
    return buffer.getvalue()


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    words = list(sys.argv[1:] if arguments is None else arguments)

    def work() -> int:
        if len(words) != 2:
            raise UserError("name two folders: the output folder of gpu_check, and the target")
        for path in pack(Path(words[0]), Path(words[1])):
            print(f"{path}: {path.stat().st_size / 2**20:.1f} MiB")
        return 0

    return exit_status(work)


if __name__ == "__main__":
    sys.exit(main())
