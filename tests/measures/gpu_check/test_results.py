"""What the stages measure and train: kept by parts, shown as tables, evaluated elsewhere."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from benchmarks.common.errors import UserError
from benchmarks.evaluate import main as evaluate
from benchmarks.measures.gpu_check import speed, training, waits
from benchmarks.measures.gpu_check.pack import pack
from benchmarks.measures.gpu_check.setting import Setting
from benchmarks.measures.gpu_check.speed import REHEARSAL, Part
from benchmarks.measures.gpu_check.tables import publish
from benchmarks.measures.timing import Comparison
from benchmarks.run import main as run


@pytest.fixture
def asked(tmp_path: Path) -> Setting:
    return Setting("cpu", "", tmp_path)


@pytest.fixture
def few_parts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Three parts, the second of which fails once; what was measured."""
    measured = list[str]()

    def measure(part: Part, *_: object) -> Comparison:
        measured.append(part.file)
        if measured.count("gas-5.json") == 1 and part.seeds == 5:
            raise ArithmeticError("planted")
        unit = "update" if part.seeds == 1 else "a seed's update"
        return Comparison(part.case, [0.001], [0.004], unit=unit)

    parts = [Part("gas"), Part("gas", 5), Part("gas", 1, True)]
    monkeypatch.setattr(speed, "parts", lambda sizes: iter(parts))
    monkeypatch.setattr(Part, "measure", measure)
    return measured


def test_a_part_that_fails_costs_no_other_and_is_measured_again(
    asked: Setting, few_parts: list[str]
) -> None:
    assert speed.measure(asked, REHEARSAL) == ["gas-5.json: ArithmeticError: planted"]
    assert speed.measure(asked, REHEARSAL) == []
    assert few_parts == ["gas-1.json", "gas-5.json", "gas-1-graph.json", "gas-5.json"]
    table = (asked.out / "gpu.md").read_text()
    assert "| gas | 250 | 1000 | 4.00 | 1000 | 4.00 |  |  |" in table
    assert "| gas | 5 | no | 1000 | 4.00 | 4.00 |  |" in table


def test_figures_of_a_cpu_are_not_published(asked: Setting, few_parts: list[str]) -> None:
    speed.measure(asked, REHEARSAL)
    with pytest.raises(UserError, match="holds no figures of a GPU"):
        publish(asked.out, asked.out / "results")


def test_figures_of_a_gpu_are_published(asked: Setting, few_parts: list[str]) -> None:
    speed.measure(asked, REHEARSAL)
    for path in (asked.out / "speed").glob("*.json"):
        content = json.loads(path.read_text())
        content["machine"]["gpu"] = "Some GPU"
        path.write_text(json.dumps(content))
    publish(asked.out, asked.out / "results")
    assert "Measured on Some GPU" in (asked.out / "results" / "gpu.md").read_text()
    assert len(json.loads((asked.out / "results" / "gpu.json").read_text())) == 2


def test_waits_are_counted_once(asked: Setting, capsys: pytest.CaptureFixture[str]) -> None:
    assert waits.measure(asked, ["gas"]) == []
    record = json.loads((asked.out / "waits" / "gas.json").read_text())
    assert record == {"name": "gas", "updates": 5, "waits": {}}
    assert (asked.out / "waits" / "gas-trace.json.gz").stat().st_size > 1000
    (asked.out / "waits" / "gas.json").write_text(json.dumps(record | {"waits": {"x": 3}}))
    assert waits.measure(asked, ["gas"]) == []
    assert "gas: 3 x in 5 updates" in capsys.readouterr().out


@pytest.mark.usefixtures("workers_here")
def test_trainings_come_back_in_pieces_and_are_evaluated(
    asked: Setting, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "machine.json").write_text("{}")
    words = training.command(asked)
    assert words[:2] == ["-m", "benchmarks.run"]
    assert training.command(asked) == words
    assert run([*words[2:], "--option", "gas.width=16"]) == 0
    packed = pack(tmp_path, tmp_path / "packed", piece=100_000)
    assert {path.name.partition(".")[0] for path in packed} == {"results", "BallRun", "CarRun"}
    assert max(path.stat().st_size for path in packed[1:]) <= 100_000
    pieces = sorted((tmp_path / "packed").glob("BallRun.tar.*"))
    whole = tmp_path / "whole.tar"
    whole.write_bytes(b"".join(path.read_bytes() for path in pieces))
    with tarfile.open(whole) as archive:
        archive.extractall(tmp_path / "back", filter="data")
    saved = list(tmp_path.glob("training/runs/BallRun-*/checkpoint.pt"))
    back = list(tmp_path.glob("back/runs/BallRun-*/checkpoint.pt"))
    assert len(back) == len(saved) == 3
    assert back[0].stat().st_size < 0.6 * saved[0].stat().st_size
    capsys.readouterr()
    for folder in ("training", "back"):
        runs = map(str, sorted(tmp_path.glob(f"{folder}/runs/BallRun-*")))
        assert evaluate([*runs, "--limits", "10%", "--episodes", "1", "--workers", "1"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "limit" in line]
    assert len(lines) == 3 + 3
    assert lines[3:] == lines[:3]


def test_an_incomplete_folder_is_not_packed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no results of gpu_check"):
        pack(tmp_path, tmp_path / "packed")
