"""The figures that the documents quote are those of the results committed beside them."""

import re
from pathlib import Path

import pytest

from tests.support.known_store import table

ROOT = Path(__file__).parents[2]
METHODS = (ROOT / "docs" / "methods.md").read_text()


def two(value):
    """.67, 1.05: as the documents write figures."""
    return f"{value:.2f}".removeprefix("0")


def quoted(name):
    """The first table of docs/methods.md after its link to a results folder: rows by method."""
    _, _, rest = METHODS.partition(f"(../results/{name}/leaderboard.md)")
    rows = re.search(r"(?:^\|.*\n)+", rest, re.MULTILINE)[0].splitlines()[2:]
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]
    return {row[0].strip("`"): row[1:] for row in cells}


def tables(name):
    folder = ROOT / "results" / name
    overall = table(folder, "overall").set_index("algorithm")
    return overall, table(folder, "both-safe").set_index(["algorithm", "other"])


@pytest.mark.parametrize("name", ["gas-quick", "gas-standard"])
def test_a_table_of_the_methods_is_that_of_its_results(name):
    overall, pairs = tables(name)
    rows = quoted(name)
    assert set(rows) == set(overall.index)
    for method, (cells, runs, reward, cost, both) in rows.items():
        row = overall.loc[method]
        assert (int(cells), int(runs)) == (row["safe"], row["safe_runs"]), method
        for shown, score in ((reward, "reward"), (cost, "cost")):
            low, high = row[f"{score}_low"], row[f"{score}_high"]
            assert shown == f"{two(row[score])} [{two(low)}, {two(high)}]", (method, score)
        if both:
            anchor = "cdt" if name == "gas-quick" else "gas-levels"
            pair = pairs.loc[method, anchor]
            expected = f"{pair['safe']:.0f}, {two(pair['reward'])}, {two(pair['other_reward'])}"
            assert both == expected, method


def test_what_is_said_of_the_best_form_of_gas_holds_in_the_committed_table():
    """Safe in as many cells as any other, and no worse than CDT where both are safe."""
    overall, pairs = tables("gas-standard")
    assert set(overall["fewest_seeds"]) == {3}
    assert set(overall["cells"]) == {48}
    assert overall.loc["gas-levels", "safe"] == overall["safe"].max()
    pair = pairs.loc["gas-levels", "cdt"]
    assert pair["safe"] > 0
    assert pair["reward"] >= pair["other_reward"]


def test_what_the_readme_says_of_the_budget_standard_is_in_its_table():
    overall, pairs = tables("gas-standard")
    readme = " ".join((ROOT / "README.md").read_text().split())
    for method, words in {
        "gas-levels": "it is safe in {} of these 48 cells at a mean reward of {}",
        "gas": "the paper's form in {} at {}",
        "cdt": "CDT in {} at {}",
        "bc-safe": "BC-Safe is safe in as many, {}, at {}",
        "fisor": "trained for no cost at all, is safe in {} at {}",
        "cpq": "CPQ in {} at {}",
        "coptidice": "COptiDICE in {} at {}",
    }.items():
        row = overall.loc[method]
        assert words.format(int(row["safe"]), two(row["reward"])) in readme
    pair = pairs.loc["gas-levels", "cdt"]
    words = "in the {} cells where it and CDT are both safe it gets {} and CDT {}"
    rewards = two(pair["reward"]), two(pair["other_reward"])
    assert words.format(int(pair["safe"]), *rewards) in readme
