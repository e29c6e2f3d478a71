"""LaTeX: what is written compiles, and prints every name as it is."""

import re
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.report.render.markup import PREAMBLE, Entry, Table, latex, name, tex
from benchmarks.results import leaderboard
from tests.support.leaderboard_cases import episodes_of, run, two_methods, two_methods_lost

COMPILERS = ("pdflatex", "tectonic")
COMPILER = next(filter(None, map(shutil.which, COMPILERS)), None)
compiles = pytest.mark.skipif(
    COMPILER is None, reason=f"no LaTeX here: none of {', '.join(COMPILERS)} is installed"
)
NASTY = [r"a\b{c}$d$", "50% & #1_2^3~", '<x> | "y"', "[opt] − ≤ é ß 漢 🙂", "\\input{/etc/x}"]


def build(folder):
    """Compile leaderboard.tex in `folder`; the log."""
    options = [] if "tectonic" in str(COMPILER) else ["-interaction=nonstopmode", "-halt-on-error"]
    done = subprocess.run(
        [str(COMPILER), *options, "leaderboard.tex"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
    )
    log = done.stdout.decode("latin-1")
    assert done.returncode == 0, log[-3000:]
    assert (folder / "leaderboard.pdf").stat().st_size > 10_000
    return log


@compiles
def test_the_report_compiles_whatever_things_are_called(tmp_path):
    frame = episodes_of(
        *(run(n, NASTY[i % 2], 1.0, s, [(0.1 * i, s)]) for i, n in enumerate(NASTY) for s in (0, 1))
    )
    written = leaderboard.write(
        *(frame, two_methods_lost().iloc[:0], tmp_path, " ".join(NASTY), {n: n for n in NASTY}),
        formats=["latex"],
    )
    assert {path.name for path in written} >= {"leaderboard.tex", "frontier.pdf", "matrix.pdf"}
    assert not list(tmp_path.rglob("*.png"))
    build(tmp_path)


def test_tables_have_booktabs_rules_and_the_marks_of_the_field(tmp_path):
    leaderboard.write(two_methods(), two_methods_lost(), tmp_path, "t", {}, formats=["latex"])
    text = (tmp_path / "leaderboard.tex").read_text()
    for rule in ("toprule", "midrule", "bottomrule"):
        assert text.count(f"\\{rule}") == text.count(r"\begin{tabular}") == 6
    for line in (
        r"method & limit 0 & limit 10 \\",
        r"Alpha & \textbf{0.35 $\pm$ 0.07 / 1.00 $\pm$ 0.00}"
        r" & 0.70 $\pm$ 0.14 / 0.80 $\pm$ 0.28 \\",
        r"Beta & failed & \textbf{0.90 / 1.00 (1/2 seeds)} \\",
        r"Beta & \textcolor{gray}{1.00 / 4.00} \\",
    ):
        assert line in text.splitlines()


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
    assert "booktabs" in PREAMBLE


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
