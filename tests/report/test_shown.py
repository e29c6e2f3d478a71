"""Tables as a reader sees them: each figure is that of the tidy tables, in every format.

The tidy tables themselves are checked against the truth by `test_synthetic_store` and
`test_intervals`.
"""

import html
import json
import math
import re
from dataclasses import replace

import pandas as pd
import pytest

from benchmarks.commands import rebuilding
from benchmarks.common.durations import duration_text
from benchmarks.leaderboard import main
from benchmarks.report import tidy
from benchmarks.report.render import report
from benchmarks.results.load import load_results
from tests.support.known_store import METHODS, SEEDS, TASKS, make, table
from tests.support.synthetic_store import COMMIT, seconds_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = make(tmp_path_factory.mktemp("store"))
    formats = [f"--format={name}" for name in ("csv", "markdown", "html")]
    with pytest.MonkeyPatch.context() as patch:  # drawing takes seconds, and is not asked here
        patch.setattr(report, "render", lambda _, kinds: dict.fromkeys(kinds, b""))
        assert main([str(folder), *formats]) == 0
    return folder


def shown(folder):
    """Of the Markdown's sections the tables: rows of words with their marks, header first."""
    found = {}
    for section in (folder / "leaderboard.md").read_text().split("\n## ")[1:]:
        title, *lines = section.splitlines()
        rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines if line.startswith("|")]
        if rows:
            del rows[1]  # the rule
            found[title] = [[re.sub(r"\\(.)", r"\1", word.strip()) for word in r] for r in rows]
    return found


def two(value):
    return "–" if math.isnan(value) else f"{round(value, 2) + 0.0:.2f}"


def ranged(row, name, low="", high=""):
    """A figure and its interval, by their columns."""
    bounds = row[low or f"{name}_low"], row[high or f"{name}_high"]
    text = two(row[name])
    return text if math.isnan(bounds[0]) else f"{text} [{two(bounds[0])}, {two(bounds[1])}]"


def order(folder):
    return list(table(folder, "overall")["algorithm"])


def test_the_overall_table(folder):
    expected = []
    for _, row in table(folder, "overall").iterrows():
        safe = f"{ranged(row, 'safe_cells')} ({row['safe']}/{row['cells']})"
        full = row["algorithm"] != "broken"
        scores = [
            ranged(row, x) for x in ("safe_cell_reward", "reward", "iqm", "cost", "violation")
        ]
        safe += "" if full else " † (2 of 4 cells)"
        expected.append([row["algorithm"], safe, *scores, "3" if full else "2 †"])
    header, *rows = shown(folder)["Overall"]
    assert header[2:-1] == [
        *("safe cells", "reward of the safe cells", "reward", "IQM of reward", "cost", "violation")
    ]
    assert [[row[0], *row[2:]] for row in rows] == expected
    for row in rows:  # a rank lies among its places; = marks a shared one
        shared, rank, low, high = re.fullmatch(r"(=?)(\d) \[(\d), (\d)\]", row[1]).groups()
        assert 1 <= int(rank) <= int(high) <= len(rows)
        assert int(low) <= int(high)
        others = [other[1] for other in rows if other is not row]
        assert bool(shared) == any(other.lstrip("=").split()[0] == rank for other in others)


def test_the_averages_of_the_limits(folder):
    found = table(folder, "limits").set_index(["algorithm", "fraction"])
    header, *rows = shown(folder)["Average over tasks"]
    assert header == ["method", "10%", "20%"]
    assert [row[0] for row in rows] == order(folder)
    for method, *words in rows:
        for fraction, text in zip((0.1, 0.2), words, strict=True):
            one = found.loc[(method, fraction)]
            scores = f"{two(one['reward'])} / {two(one['cost'])}"
            expected = f"{scores} ({one['safe']:.0f}/{one['cells']:.0f} safe)"
            assert text == expected + " † (1 of 2 cells)" * (method == "broken")


def test_the_tables_of_the_tasks(folder):
    every = table(folder, "leaderboard").set_index(["task", "algorithm", "limit"])
    for task, limits in (("BallRun", (8.0, 16.0)), ("CarRun", (4.0, 8.0))):
        header, *rows = shown(folder)[task]
        assert header[1:] == [f"limit {limits[0]:g} (10%)", f"limit {limits[1]:g} (20%)"]
        assert [row[0] for row in rows] == order(folder)
        for method, *words in rows:
            for limit, text in zip(limits, words, strict=True):
                one = every.loc[(task, method, limit)]
                if (method, task) == ("broken", "CarRun"):
                    assert text == "failed"
                    continue
                cost = two(one["cost"])
                cost = ">1.00" if cost == "1.00" and one["cost"] > 1 else cost
                scores = f"{two(one['reward'])} ± {two(one['reward_std'])} / "
                scores += f"{cost} ± {two(one['cost_std'])}"
                safe = one["cost"] <= 1
                best = every.loc[task].xs(limit, level="limit")
                best = best[best["cost"] <= 1]["reward"].max()
                mark = "*" if not safe else "**" if one["reward"] == best else ""
                lost = " (2/3 seeds)" if method == "broken" else ""
                assert text == f"{mark}{scores} {'✓' if safe else '✗'}{lost}{mark}"


def test_the_comparison_matrix(folder):
    ranks = table(folder, "ranks")
    found = table(folder, "comparison").set_index(["algorithm", "other"])
    names = list(ranks["algorithm"])
    header, *rows = shown(folder)["Methods against each other"]
    assert header == ["method", "average rank", *names]
    assert [row[0] for row in rows] == names
    for place, (method, rank, *words) in zip(ranks.itertuples(), rows, strict=True):
        assert rank == two(place.rank) + (" †" if method == "broken" else "")
        for other, text in zip(names, words, strict=True):
            if method == other:
                assert text == "–"
                continue
            expected = ranged(found.loc[(method, other)], "probability", "low", "high")
            assert text == expected + " † (2 of 4 cells)" * ("broken" in (method, other))


def test_the_rewards_where_both_are_safe(folder):
    found = table(folder, "both-safe").set_index(["algorithm", "other"])
    names = order(folder)
    header, *rows = shown(folder)["Where both are safe"]
    assert header == ["method", *names]
    assert [row[0] for row in rows] == names
    for method, *words in rows:
        for other, text in zip(names, words, strict=True):
            one = found.loc[(method, other)]
            scores = [two(one["reward"]), two(one["other_reward"])]
            shown_scores = " / ".join(scores if method != other and one["safe"] else scores[:1])
            expected = f"{shown_scores} ({one['safe']:.0f})"
            assert text == expected + " † (2 of 4 cells)" * ("broken" in (method, other))


def test_the_costs_of_the_methods(folder):
    found = table(folder, "costs").set_index("algorithm")
    expected = []
    for method in order(folder):
        one = found.loc[method]
        expected.append(
            [
                *(method, f"{one['trainings']}" + " † (of 12)" * (method == "broken"), "1000"),
                *(duration_text(one[name]) for name in ("train_seconds", "all_limits_seconds")),
                f"{one['updates_per_second']:.4g}",
                *(duration_text(one["evaluation_seconds"]), f"{one['peak_memory_mb']:.0f} MB"),
                "cpu: some make",
            ]
        )
    header, *rows = shown(folder)["Time and memory"]
    assert header[1:6] == ["trainings", "updates", "one training", "for all limits", "updates/s"]
    assert rows == expected


def test_the_published_numbers_and_what_they_differ_by(folder):
    expected = []
    for _, row in table(folder, "published").iterrows():
        words = [row["algorithm"], row["task"], row["limits"]]
        for name in ("reward", "cost"):
            theirs = row[f"published_{name}"]
            words += [ranged(row, name), two(theirs), f"{row[name] - theirs:+.2f}"]
        expected.append([*words, "Paper, table 1"])
    _, *rows = shown(folder)["Published numbers"]
    assert rows == expected
    _, *rows = shown(folder)["Published numbers that cannot be compared"]
    assert [(row[1], row[4]) for row in rows] == [
        ("calm", "other limits: theirs 10% 30%, of which not all are run here"),
        ("broken", "other numbers of seeds: theirs 3, ours 2"),
    ]


def test_what_is_missing_and_where_all_comes_from(folder):
    found = shown(folder)
    _, *rows = found["Missing or failed"]
    assert rows == [
        ["broken", "BallRun", "8 (10%)", "2", "missing", "not run yet"],
        ["broken", "BallRun", "16 (20%)", "2", "missing", "not run yet"],
        ["broken", "CarRun", "4 (10%)", "0, 1, 2", "failed", "ArithmeticError: planted"],
        ["broken", "CarRun", "8 (20%)", "0, 1, 2", "failed", "ArithmeticError: planted"],
    ]
    ((commit, count, *_),) = found["Provenance"][1:]
    assert (commit, count) == (COMMIT[:12], "34")
    text = (folder / "leaderboard.md").read_text()
    assert "Packages: python 3.11.0, torch 2.13.0." in text
    assert "> **Attention:**" not in text
    for task, (_, low, high) in TASKS.items():
        assert f"R\\_min {low:g}, R\\_max {high:g}; sha256 of the data sum-{task}." in text


def test_packages_and_devices_are_columns_where_they_differ(folder):
    data = load_results(folder)
    trainings = data.details.trainings.copy()
    trainings.loc[trainings.index[0], "device"] = "cpu: another make"
    contents = report.contents(
        *(data.episodes, data.missing, data.title, {}),
        details=replace(data.details, trainings=trainings),
        formats=["markdown"],
    )
    provenance = contents["leaderboard.md"].decode().split("## Provenance")[1].split("\n## ")[0]
    assert "Packages: python 3.11.0, torch 2.13.0." in provenance
    assert "Device: " not in provenance
    assert "| commit | trainings | device | command |" in provenance
    assert provenance.count("cpu: another make") == 1
    assert re.findall(r"\| (\d+) \|", provenance) == ["1", "33"]


def html_tables(text):
    """Of a page's tables by the anchor of their section: rows of words, header first."""
    found = {}
    for section, body in re.findall(r'<section id="([^"]*)"[^>]*>(.*?)</section>', text, re.S):
        for one in re.findall(r"<table[^>]*>(.*?)</table>", body, re.S):
            rows = re.findall(r"<tr[^>]*>(.*?)</tr>", one, re.S)
            words = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]
            found[section] = [
                [html.unescape(re.sub(r"<[^>]*>", "", word)) for word in row] for row in words
            ]
    return found


def test_html_shows_the_same(folder):
    known = shown(folder)
    found = html_tables((folder / "leaderboard.html").read_text())
    plain = {
        title: [[word.strip("*") for word in row] for row in rows] for title, rows in known.items()
    }
    for section, title in (
        ("overall", "Overall"),
        ("recommendation", "Which method at which limit"),
        ("against", "Methods against each other"),
        ("both-safe", "Where both are safe"),
        ("section-time-and-memory", "Time and memory"),
        ("section-published-numbers", "Published numbers"),
        ("section-missing-or-failed", "Missing or failed"),
    ):
        assert found[section] == plain[title]
    # reward and cost in cells of their own
    for task in TASKS:
        _, header, *rows = found[f"section-{task.lower()}"]
        assert header == ["method", "reward", "cost", "reward", "cost"]
        for row, (method, *words) in zip(rows, plain[task][1:], strict=True):
            assert row[0] == method
            for i, word in enumerate(words):
                reward, cost = row[1 + 2 * i : 3 + 2 * i]
                if word == "failed":
                    assert (reward, cost) == ("failed", "–")
                    continue
                mark, _, rest = cost.partition(" ")
                value, _, lost = rest.partition(" (")
                whole = f"{reward} / {value} {mark}" + (f" ({lost}" if lost else "")
                assert whole == word
    over, header, *rows = found["averages"]
    assert (over, header) == (["", "10%", "20%"], ["method", *["reward", "cost", "safe"] * 2])
    for row, (method, *words) in zip(rows, plain["Average over tasks"][1:], strict=True):
        pairs = zip(row[1::3], row[2::3], row[3::3], words, strict=True)
        assert row[0] == method
        for reward, cost, safe, word in pairs:
            count, _, gap = safe.partition(" ")
            assert f"{reward} / {cost} ({count} safe)" + (f" {gap}" if gap else "") == word


def test_every_figure_that_the_page_sorts_and_filters(folder):
    text = (folder / "leaderboard.html").read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])
    for name in ("results", "jobs"):
        columns = data[name]["columns"]
        data[name] = [dict(zip(columns, row, strict=True)) for row in data[name]["rows"]]
    every = table(folder, "leaderboard")
    assert len(data["results"]) == len(every)
    by_cell = {(row["method"], row["task"], row["setting"]): row for row in data["results"]}
    order = [(row["safe"] is not True, row["safe"] is None) for row in data["results"]]
    assert order == sorted(order)  # the safe first, what is missing last
    for _, row in every.iterrows():
        shown_row = by_cell[row["algorithm"], row["task"], f"{100 * row['fraction']:g}%"]
        for name in ("seeds", "status"):
            assert shown_row[name] == row[name]
        assert shown_row["limit"] == f"{row['limit']:g} ({100 * row['fraction']:g}%)"
        assert shown_row["robot"] == row["task"].removesuffix("Run")
        for name in ("reward", "reward_std", "cost", "cost_std"):
            if math.isnan(row[name]):
                assert shown_row[name] is None
            else:
                assert shown_row[name] == pytest.approx(row[name], rel=1e-5)
        assert shown_row["safe"] == (None if pd.isna(row["safe"]) else row["cost"] <= 1)
        alike = every[(every["task"] == row["task"]) & (every["limit"] == row["limit"])]
        best = alike[alike["cost"] <= 1]["reward"].max()
        assert shown_row["best"] == (row["cost"] <= 1 and row["reward"] == best)
    # of each task and seed a training at each limit, but one for all limits where that is enough
    assert len(data["jobs"]) == len(TASKS) * len(SEEDS) * (2 * len(METHODS) - 1)
    done = [job for job in data["jobs"] if job["status"] == "finished"]
    assert len(done) == 6 + 12 + 12 + 4
    for job in done:
        seconds = seconds_of(job["method"], job["seed"])
        assert job["train_seconds"] == seconds + 5
        assert job["speed"] == pytest.approx(1000 / seconds, rel=1e-5)
        assert job["evaluation_seconds"] == 2.5 * (2 if job["method"] == "calm" else 1)
        assert (job["memory"], job["updates"]) == (500 + job["seed"], 1000)


def test_parquet_holds_the_same_frames(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(tidy, "require_parquet", lambda: None)  # it need not be installed
    monkeypatch.setattr(rebuilding, "require_parquet", lambda: None)
    monkeypatch.setattr(pd.DataFrame, "to_parquet", lambda frame, file, **_: frame.to_pickle(file))
    other = make(tmp_path)
    assert main([str(other), "--format", "parquet"]) == 0
    found = sorted(path.relative_to(other) for path in other.rglob("*.parquet"))
    same = [path.with_suffix(".csv") for path in found]
    # `missing.csv` is what the leaderboard is made of
    assert same == sorted(
        p.relative_to(folder) for p in folder.rglob("*.csv") if p.stem != "missing"
    )
    for path, csv in zip(found, same, strict=True):
        assert tidy.csv(pd.read_pickle(other / path)) == (folder / csv).read_bytes()


def test_the_terminal_shows_the_same(folder, capsys):
    capsys.readouterr()
    assert main([str(folder), "--format", "csv"]) == 0
    text = capsys.readouterr().out
    for _, row in table(folder, "overall").iterrows():
        full = row["algorithm"] != "broken"
        words = [
            f"{row['algorithm']} {row['safe']}/{row['cells']}",
            *([] if full else ["+ (2 of 4 cells)"]),
            *(ranged(row, "reward"), two(row["iqm"]), ranged(row, "cost")),
            "3" if full else "2 +",
        ]
        assert " ".join(words) in [" ".join(line.split()) for line in text.splitlines()]
    for row in table(folder, "leaderboard").dropna(subset="reward").itertuples():
        start = text.index(f"{row.task} (reward / cost)")
        (line,) = (
            x for x in text[start:].split("\n\n")[0].splitlines() if x.startswith(row.algorithm)
        )
        cost = ">1.00" if two(row.cost) == "1.00" and row.cost > 1 else two(row.cost)
        assert f"{two(row.reward)} / {cost} {'ok' if row.cost <= 1 else 'X'}" in line
    assert "Runs without a result: 2 missing, 6 failed." in text
