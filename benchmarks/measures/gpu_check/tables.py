"""`python -m benchmarks.measures.gpu_check.tables FOLDER`: the speed tables of a check.

Makes `gpu.md` and `gpu.json` from the files of a check's output folder, and writes them to
results/speed, for instance on another machine than the one that was checked.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.common.errors import UserError, exit_status
from benchmarks.common.files import write_atomic
from benchmarks.report.render.markup import Table, markdown

Part = Mapping[str, Any]
_RESULTS = Path(__file__).resolve().parents[3] / "results" / "speed"


def write_tables(folder: Path) -> None:
    """Write `gpu.md` and `gpu.json` into the output folder of a check."""
    measured = read_parts(folder)
    write_atomic(folder / "gpu.md", document(measured))
    write_atomic(folder / "gpu.json", json.dumps(measured, indent=1) + "\n")


def publish(folder: Path, results: Path) -> None:
    """Write the tables of a check on a GPU to the folder of committed figures."""
    measured = read_parts(folder)
    if not measured or not all("gpu" in part["machine"] for part in measured):
        raise UserError(f"{folder} holds no figures of a GPU: run gpu_check --device cuda first")
    results.mkdir(parents=True, exist_ok=True)
    write_atomic(results / "gpu.md", document(measured))
    write_atomic(results / "gpu.json", json.dumps(measured, indent=1) + "\n")


def read_parts(folder: Path) -> list[Part]:
    """The comparisons of a check."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("speed/*.json"))]
    return sorted(found, key=lambda part: (part["case"], part["seeds"], part["cuda graphs"]))


def document(measured: Sequence[Part]) -> str:
    """A Markdown page of both tables."""
    return f"# Updates a second on one device\n\n{both_tables(measured)}\n"


def both_tables(measured: Sequence[Part]) -> str:
    """Both tables in Markdown, with what they were measured on."""
    machines = sorted({_machine(part["machine"]) for part in measured})
    alone = [part for part in measured if part["result"]["unit"] == "update"]
    stacks = [part for part in measured if part["result"]["unit"] != "update"]
    return "\n\n".join(
        [
            f"Measured on {'; '.join(machines)}.",
            "One seed, beside osrl's own trainer at the same batch size (in brackets):",
            markdown(_alone(alone)),
            "Seeds trained as one, in updates of a seed a second, beside one seed of ours and "
            "beside osrl's trainer:",
            markdown(_stacks(stacks, alone)),
        ]
    )


def _machine(facts: Mapping[str, Any]) -> str:
    return f"{facts.get('gpu', 'no GPU')}, {facts['processor']}, torch {facts['torch']}"


def _alone(parts: Sequence[Part]) -> Table:
    graphs = {part["case"]: part["result"] for part in parts if part["cuda graphs"]}
    more = ["as a graph", "ratio"] if graphs else []
    heads = ["method", "osrl", "ours", "ratio", *more, "osrl, MiB", "ours, MiB"]
    rows = []
    for part in parts:
        if part["cuda graphs"]:
            continue
        own, faster = part["result"], graphs.get(part["case"])
        rows.append(
            [
                own["name"],
                *(_rate(own["reference_ms"]), _rate(own["ours_ms"]), f"{own['ratio']:.2f}"),
                *(
                    (_rate(faster["ours_ms"]), f"{faster['ratio']:.2f}")
                    if faster
                    else [""] * len(more)
                ),
                *(_mib(own["reference_mib"]), _mib(own["ours_mib"])),
            ]
        )
    return Table(heads, rows)


def _stacks(stacks: Sequence[Part], alone: Sequence[Part]) -> Table:
    heads = ["method", "seeds", "as a graph", "updates", "beside alone", "beside osrl", "MiB"]
    theirs = {part["case"]: part["result"]["reference_ms"] for part in alone}
    rows = []
    for part in stacks:
        own = part["result"]
        osrl = theirs.get(part["case"])
        rows.append(
            [
                part["case"],
                str(part["seeds"]),
                "yes" if part["cuda graphs"] else "no",
                _rate(own["ours_ms"]),
                f"{own['ratio']:.2f}",
                f"{osrl / own['ours_ms']:.2f}" if osrl else "",
                _mib(own["ours_mib"]),
            ]
        )
    return Table(heads, rows)


def _rate(milliseconds: float) -> str:
    return f"{float(f'{1e3 / max(milliseconds, 1e-9):.3g}'):g}"


def _mib(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    words = list(sys.argv[1:] if arguments is None else arguments)

    def work() -> int:
        if len(words) != 1:
            raise UserError("name one folder: the output folder of gpu_check")
        publish(Path(words[0]), _RESULTS)
        print(_RESULTS / "gpu.md")
        return 0

    return exit_status(work)


if __name__ == "__main__":
    sys.exit(main())
