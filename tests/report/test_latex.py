"""LaTeX: what is written compiles, and prints every name as it is."""

import re
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.common.errors import UserError
from benchmarks.report.render.latex import PREVIEW
from benchmarks.report.render.latex_markup import latex, tex
from benchmarks.report.render.markup import Entry, Table, name
from benchmarks.results import leaderboard
from tests.support.leaderboard_cases import (
    episodes_of,
    missing_of,
    run,
    two_methods,
    two_methods_lost,
)

pytestmark = pytest.mark.usefixtures("blank_pictures")

COMPILERS = ("pdflatex", "tectonic")
COMPILER = next(filter(None, map(shutil.which, COMPILERS)), None)
compiles = pytest.mark.skipif(
    COMPILER is None, reason=f"no LaTeX here: none of {', '.join(COMPILERS)} is installed"
)
NASTY = [r"a\b{c}$d$", "50% & #1_2^3~", '<x> | "y"', "[opt] − ≤ é ß 漢 🙂", "\\input{/etc/x}"]


def build(folder):
    """Compile the preview of all tables in `folder`."""
    options = [] if "tectonic" in str(COMPILER) else ["-interaction=nonstopmode", "-halt-on-error"]
    done = subprocess.run(
        [str(COMPILER), *options, PREVIEW],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
    )
    log = done.stdout.decode("latin-1")
    assert done.returncode == 0, log[-3000:]
    assert (folder / PREVIEW).with_suffix(".pdf").stat().st_size > 10_000


def written(folder, frame, missing=None, methods=()):
    """The text of each LaTeX file by its name."""
    leaderboard.write(
        *(frame, missing_of() if missing is None else missing, folder, "t", {}),
        formats=["latex"],
        methods=methods,
    )
    return {path.stem: path.read_text() for path in (folder / "latex").glob("*.tex")}


@compiles
def test_the_tables_compile_whatever_things_are_called(tmp_path):
    frame = episodes_of(
        *(run(n, NASTY[i % 2], 1.0, s, [(0.1 * i, s)]) for i, n in enumerate(NASTY) for s in (0, 1))
    )
    written(tmp_path, frame)
    build(tmp_path / "latex")


def settings_of(*scores):
    """Runs at 10%, 20% and 80% of two tasks: method, task and (reward, cost) at each limit."""
    return episodes_of(
        *(
            run(
                method,
                task,
                100 * fraction,
                0,
                [(reward, 100 * fraction * cost)],
                fraction=fraction,
            )
            for method, task, pairs in scores
            for fraction, (reward, cost) in zip((0.1, 0.2, 0.8), pairs, strict=True)
        )
    )


GROUPS = settings_of(
    ("gas", "A_1", [(0.2, 0.5), (0.4, 1.0), (0.9, 0.5)]),
    ("gas", "B", [(0.4, 0.2), (0.4, 0.2), (0.7, 0.7)]),
    ("bc-safe", "A_1", [(0.1, 0.2), (0.1, 0.2), (0.1, 0.2)]),
    ("bc-safe", "B", [(0.9, 2.0), (0.9, 2.0), (0.3, 0.2)]),
)


def test_rows_are_tasks_and_columns_methods_with_averages_by_group(tmp_path):
    texts = written(tmp_path, GROUPS)
    assert set(texts) == {"overall", "all", "tight", "preview"}  # one loose limit is no group
    tight = texts["tight"].splitlines()
    for line in (
        r"\label{tab:osrl-tight}",
        r"\begin{tabular}{lrrrr}",
        r"& \multicolumn{2}{c}{GAS} & \multicolumn{2}{c}{BC-Safe} \\",
        r"A\_1 & \textbf{0.30} & \textbf{0.75} & 0.10 & 0.20 \\",
        r"B & \textbf{0.40} & \textbf{0.20} & \textcolor{gray}{0.90} & \textcolor{gray}{2.00} \\",
        r"average & \textbf{0.35} & \textbf{0.47} & \textcolor{gray}{0.50} "
        r"& \textcolor{gray}{1.10} \\",
    ):
        assert line in tight
    both = texts["all"].splitlines()
    assert [line.split(" & ")[0] for line in both if line.startswith("average")] == [
        *("average, all limits", "average, tight"),
    ]
    for table in ("overall", "all", "tight"):
        assert texts[table].count(r"\begin{tabular}") == texts[table].count(r"\label") == 1
        assert rf"\input{{{table}}}" in texts["preview"]
        for rule in ("toprule", "midrule", "bottomrule"):
            assert f"\\{rule}" in texts[table]
        assert "sum-" not in texts[table]


def test_methods_are_chosen_and_ordered(tmp_path):
    texts = written(tmp_path, GROUPS, methods=["bc-safe", "gas"])
    assert r"& \multicolumn{2}{c}{BC-Safe} & \multicolumn{2}{c}{GAS} \\" in texts["tight"]
    texts = written(tmp_path, GROUPS, methods=["bc-safe"])
    assert "GAS" not in texts["tight"] + texts["overall"]
    with pytest.raises(UserError, match=r"'bcsafe'.*bc-safe"):
        written(tmp_path / "new", GROUPS, methods=["bcsafe"])
    assert not (tmp_path / "new").exists()


def test_missing_runs_are_marked(tmp_path):
    texts = written(tmp_path, two_methods(), two_methods_lost())
    assert r"Beta$^\dagger$ & " in texts["overall"]
    assert "some runs are missing" in texts["all"]
    assert r"AntRun & \textcolor{gray}{0.55} & \textcolor{gray}{2.00}" in texts["all"]


def test_a_table_as_latex():
    table = Table(
        ["method", "a [b]"], [[name("x_y"), Entry("0.5 ± 0.1 ✓", "best")], [name("z"), "–"]]
    )
    lines = latex(table, "50% of it").splitlines()
    assert r"\caption{50\% of it}" in lines
    assert r"\begin{tabular}{lr}" in lines
    assert r"method & a {[}b{]} \\" in lines
    assert r"x\_y & \textbf{0.5 $\pm$ 0.1} \\" in lines
    assert r"z & -- \\" in lines


@given(st.text())
def test_no_text_is_a_command(text):
    shown = tex(text)
    assert shown.isascii()
    assert "\n" not in shown
    # every command left is one of ours, every brace has its partner
    known = (
        r"textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar|texttt|char"
        r"|dagger|dots|pm|leq|times|cdot|varepsilon|lfloor|rfloor|rightarrow"
    )
    assert not re.sub(rf"\\(?:{known})(?![a-zA-Z])|\\[&%$#_{{}}]", "", shown).count("\\")
    bare = re.sub(r"\\[{}]", "", shown)
    assert bare.count("{") == bare.count("}")
