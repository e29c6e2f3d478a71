"""What `methods`, `tasks` and `check` print."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.commands.catalogue import paper_of
from benchmarks.methods.algorithm import Config
from benchmarks.methods.names import BUILT_IN
from benchmarks.methods.options import options_of
from benchmarks.methods.registry import find_method
from benchmarks.tasks.suites import PAPER, RIVALS, SUITES
from benchmarks.tasks.tasks import ALL_TASKS, TASKS

PLUGIN = '''
"""Mine (Somebody, CONF 2099, arXiv 2099.01234)."""
from dataclasses import dataclass
from baselines.bc import BCAll, BCConfig

@dataclass(frozen=True)
class MineConfig(BCConfig):
    batch: int = 16
    hidden: int = 8  # units of a layer
    share: float | None = None
    """Part of the data,
    or all of it."""

class Mine(BCAll):
    """Clones."""
    name = "mine"
    config_class = MineConfig

class Wild(Mine):
    """Leaves [-1, 1]."""
    name = "wild"
    def policy(self, limits):
        policy = super().policy(limits)
        act = policy.act
        policy.act = lambda observations, rows: 9 + act(observations, rows)
        return policy

class Broken(Mine):
    """Fails."""
    name = "broken"
    def update(self):
        raise ZeroDivisionError("planted")
'''


@pytest.fixture
def plugin(tmp_path: Path) -> str:
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN)
    return str(path)


def rows(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Printed lines by their first word."""
    lines = capsys.readouterr().out.splitlines()
    return {line.split()[0]: line for line in lines if line.strip()}


def test_every_method_is_listed_with_its_flags_and_paper(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["methods"]) == 0
    shown = rows(capsys)
    assert set(BUILT_IN) <= set(shown)
    assert "Liu, Li, Chen and Zhang, ICLR 2026, arXiv 2602.05323" in shown["gas"]
    assert "one for all limits" in shown["gas"]
    assert "one a limit" in shown["cpq"]
    assert shown["bc-all"].endswith("–")
    assert "NeurIPS 2024, OpenReview 82Ndsr4OS6" in shown["wsac"]
    # heeds limit, seeds as one, CUDA graphs
    assert shown["gas"].split()[5:8] == ["yes", "yes", "yes"]
    assert shown["bc-all"].split()[5:8] == ["no", "yes", "yes"]


def test_the_default_methods_of_every_suite_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"--algorithms paper: {' '.join(PAPER)}" in lines
    whole = f"default of tight, loose and of limits of your own: {' '.join(RIVALS)}"
    assert whole in lines
    for name, suite in SUITES.items():
        if suite.algorithms:
            assert f"default of {name}: {' '.join(suite.algorithms)}" in lines
    assert main(["methods", "gas,cdt"]) == 0
    assert "default of" not in capsys.readouterr().out


@pytest.mark.parametrize("name", BUILT_IN)
def test_options_have_the_defaults_of_the_config(name: str) -> None:
    cls = find_method(name).cls.config_class
    found = options_of(cls)
    assert [one.name for one in found] == [field.name for field in fields(cls)]
    assert {one.name: one.default for one in found} == vars(cls())
    assert any(one.comment for one in found)


def test_a_method_is_shown_with_its_options_comments_and_budgets(
    plugin: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["methods", f"{plugin}:Mine@hidden=4"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("mine@hidden=4: Clones.\n")
    assert "paper: Somebody, CONF 2099, arXiv 2099.01234" in out
    assert "--option mine.OPTION=VALUE" in out
    assert "  hidden = 4  (int)\n      units of a layer\n" in out
    assert "  share = none  (float | None)\n      Part of the data, or all of it.\n" in out
    assert "  quick: " in out


def test_options_used_only_at_evaluation_are_marked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods", "gas"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (at,) = (i for i, line in enumerate(lines) if line.startswith("  target_factor = "))
    assert "[evaluation only]" in "".join(lines[at + 1 : at + 4])


def test_a_config_without_source_has_no_comments() -> None:
    names: dict[str, object] = {"dataclass": dataclass, "Config": Config}
    code = "@dataclass(frozen=True)\nclass Made(Config):\n    size: int = 3\n"
    exec(compile(code, "nowhere", "exec"), names)
    made = options_of(names["Made"])  # type: ignore[arg-type]
    assert (made[-1].name, made[-1].default, made[-1].comment) == ("size", 3, "")


def test_a_form_of_our_own_cites_no_paper() -> None:
    assert paper_of(find_method("gas-shield").cls) == ""


def test_tasks_are_listed_with_their_constants(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks"]) == 0
    shown = rows(capsys)
    assert set(ALL_TASKS) <= set(shown)
    ball = TASKS["BallRun"]
    assert shown["BallRun"].split()[:6] == ["BallRun", "bullet", "7", "2", "100", "80"]
    assert shown["BallRun"].endswith("in the suites")
    assert main(["tasks", "BallRun", "--all-constants"]) == 0
    assert ball.dataset_file in capsys.readouterr().out


def test_what_passes_is_told_line_by_line(plugin: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", f"{plugin}:Mine"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines[:-1]] == ["passed"] * 9
    assert lines[-1] == "mine keeps the contract"


def test_the_first_failure_ends_the_check(plugin: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", f"{plugin}:Wild"]) == 1
    *passed, failed = capsys.readouterr().out.splitlines()
    assert len(passed) == 4
    assert failed.startswith("FAILED: actions leave [-1, 1] or are not finite: clamp them")


def test_an_exception_in_a_method_is_a_line_that_names_the_place(
    plugin: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", f"{plugin}:Broken"]) == 1
    failed = capsys.readouterr().out.splitlines()[-1]
    line = PLUGIN.splitlines().index('        raise ZeroDivisionError("planted")') + 1
    assert failed.startswith("FAILED: ZeroDivisionError: planted (")
    assert failed.endswith(f"mine.py, line {line})")
