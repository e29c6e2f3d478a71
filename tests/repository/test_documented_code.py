"""The code in the documents works: commands are accepted, Python runs, protocols are read."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from benchmarks import data
from benchmarks.__main__ import COMMANDS
from benchmarks.commands.options import Parser
from benchmarks.run import configure, main, parser
from benchmarks.runs.store import Run
from benchmarks.runs.worker import run_job
from benchmarks.tasks.tasks import TASKS
from tests.support.jobs import make_job
from tests.support.small_data import SmallData
from tests.support.small_options import SMALL
from tools.documents import ROOT, code, documents

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
ELSEWHERE = re.compile(r"\.py:|path/to|\.toml|--engine|--data (?!generated)")
"""A run that needs files, data or a cluster that are not here."""

SMALL_GAS = ", ".join(f"{name}={value}" for name, value in SMALL["gas"].items())


def commands() -> Iterator[tuple[str, str]]:
    """Each command line of the documents with the document that has it."""
    for path in documents():
        for block in code(path.read_text(encoding="utf-8"), "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                if line.strip() and not line.strip().startswith("#"):
                    yield str(path.relative_to(ROOT)), line


def words_of(line: str) -> list[str]:
    """The words of a command line without what the shell leaves out, in a checkout."""
    return shlex.split(re.sub(r"(^|\s)\.venv/bin/", r"\1", line), comments=True)


@pytest.mark.parametrize(("path", "line"), list(commands()))
def test_a_command_is_accepted(path: str, line: str) -> None:
    match words_of(line):
        case ["python", "-m", module, *rest] if module.startswith("benchmarks."):
            accept(module.removeprefix("benchmarks."), rest)
        case ["osrl-bench", name, *rest]:
            accept(COMMANDS[name][0], rest)
        case ["python", script, *_] if script.endswith(".py"):
            assert (ROOT / script).is_file()
        case ["make", *rest]:
            assert {word for word in rest if "=" not in word} <= TARGETS
        case ["pip" | "uv", "install", "-e", extra]:
            assert extra.strip(".[]") in PYPROJECT["project"]["optional-dependencies"]
        case ["python", "-m", "pip", "install", *rest]:
            assert all((ROOT / word).exists() for word in rest if not word.startswith("-"))
        case ["python3.11", "-m", "venv", _] | ["eval" | "cat" | "tar" | "mkdir" | "cp", *_]:
            pass
        case other:
            pytest.fail(f"{path}: no test knows {other}")


def accept(module: str, words: list[str]) -> None:
    """Fail unless a command accepts these arguments; a run is planned, too."""
    if module == "run" and not ELSEWHERE.search(" ".join(words)):
        assert main([*words, "--dry-run", "--data", "generated", "--device", "cpu"]) == 0
    elif module == "run":
        configure(words)
    else:
        made = Parser(prog=module)
        importlib.import_module(f"benchmarks.{module}").add_arguments(made)
        made.parse_args(words)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder that has the committed results."""
    (tmp_path / "results").symlink_to(ROOT / "results")
    monkeypatch.chdir(tmp_path)
    return tmp_path


PAGES = [path for path in documents() if code(path.read_text(encoding="utf-8"), "python")]


@pytest.fixture(scope="module")
def trained(small_data: SmallData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of GAS on BallRun; only the page that loads a policy asks for it."""
    job = make_job("gas", small_data, tmp_path_factory.mktemp("results"))
    run_job(job)
    return Run.of(job).folder


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_python_runs_from_the_top_of_a_page_to_its_end(
    path: Path, folder: Path, request: pytest.FixtureRequest
) -> None:
    blocks = code(path.read_text(encoding="utf-8"), "python")
    task = TASKS["BallRun"]
    names: dict[str, object] = {
        "__name__": "document",
        # what the simulator of one's own program gives
        "observation": np.zeros(task.observation_dim, dtype=np.float32),
        "reward": 1.0,
        "cost": 0.0,
    }
    for block in blocks:
        for run in re.findall(r"results/runs/[\w-]+", block):
            block = block.replace(run, str(request.getfixturevalue("trained")))
        short = block.replace("updates=6_000", "updates=20").replace("batch=512", SMALL_GAS)
        exec(compile(short, str(path), "exec", dont_inherit=True), names)


def test_the_dataset_of_ones_own_task_is_valid(folder: Path) -> None:
    page = (ROOT / "docs" / "own-task.md").read_text(encoding="utf-8")
    (block,) = code(page, "python")
    exec(compile(block, "own-task.md", "exec", dont_inherit=True), {})
    for file in (ROOT / "examples" / "own_task").glob("reach.*"):
        shutil.copy(file, folder)
    lines = [line for text in code(page, "sh") for line in text.splitlines() if " reach." in line]
    assert lines
    for line in lines:
        assert data.main(words_of(line)[3:]) == 0
    assert (folder / "reach.png").exists()


@pytest.mark.usefixtures("workers_here", "blank_boards")
def test_the_protocol_in_the_documents_is_read(tmp_path: Path) -> None:
    (block,) = code((ROOT / "docs" / "command-line.md").read_text(encoding="utf-8"), "toml")
    path = tmp_path / "protocol.toml"
    path.write_text(block)
    config = configure(["--config", str(path)])
    assert set(tomllib.loads(block)) <= {action.dest for action in parser()._actions} | {
        "suite",
        "option",
    }
    assert config.seeds == (0, 1, 2)


def test_the_task_file_in_the_documents_is_the_tested_one() -> None:
    (block,) = code((ROOT / "docs" / "own-task.md").read_text(encoding="utf-8"), "toml")
    assert block == (ROOT / "examples" / "own_task" / "reach.toml").read_text()


def test_the_workflow_and_the_image_call_what_exists() -> None:
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert "run: .ci/run" in workflow
    assert set(re.findall(r"run: make ([\w-]+)", workflow)) <= TARGETS
    dockerfile = (ROOT / "Dockerfile").read_text()
    for words in re.findall(r"^COPY (.*)$", dockerfile, re.M):
        assert all((ROOT / word).exists() for word in words.split()[:-1]), words
    assert set(re.findall(r"make ([\w-]+)$", dockerfile, re.M)) <= TARGETS


def test_issue_forms_ask_for_something_and_name_each_field_once() -> None:
    forms = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    assert {form.stem for form in forms} == {"bug", "config", "new-method", "result"}
    for form in forms:
        content = yaml.safe_load(form.read_text(encoding="utf-8"))
        if form.stem == "config":
            continue
        assert {"name", "description", "body"} <= set(content)
        fields = [field for field in content["body"] if field["type"] != "markdown"]
        assert len({field["id"] for field in fields}) == len(fields) > 0
        assert any(field.get("validations", {}).get("required") for field in fields)
