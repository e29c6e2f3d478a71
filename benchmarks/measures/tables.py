"""What the measures print: tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.measures.growth import Growth
from benchmarks.measures.schedule import Usage
from benchmarks.measures.suite import Estimate, Prediction
from benchmarks.measures.timing import Comparison
from benchmarks.report.render.markup import Table, markdown


def table(results: Sequence[Comparison], reference: str = "osrl") -> str:
    """Markdown: medians in milliseconds, the median ratio with its least and most, memory.

    `reference` names what ours stands beside.
    """
    rows = []
    for result in results:
        r = result.record()
        memory = ["" if m is None else f"{m:.0f}" for m in (r["ours_mib"], r["reference_mib"])]
        times = [f"{r['ours_ms']:.3g}", f"{r['reference_ms']:.3g}", f"{r['ratio']:.2f}"]
        spread = f"{r['ratio_least']:.2f} to {r['ratio_most']:.2f}"
        name = result.name if result.unit == "update" else f"{result.name}, {result.unit}"
        rows.append([name, *times, spread, *memory])
    heads = f"ours, ms|{reference}, ms|ratio|least to most|ours, MiB|{reference}, MiB"
    return _markdown(heads.split("|"), rows)


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return markdown(Table(["", *heads], [list(row) for row in rows]))


def _numbers(*values: float | None) -> list[str]:
    return ["" if one is None else f"{one:.3g}" for one in values]


def usage_table(usages: Sequence[Usage]) -> str:
    """Markdown: how much of the workers' time the jobs' processes took."""
    rows = [
        [one.name, *_numbers(one.jobs, one.workers, one.makespan, one.efficiency, one.overhead)]
        for one in usages
    ]
    return _markdown(["jobs", "workers", "seconds", "in use", "seconds a job beside work"], rows)


def growth_table(tables: Sequence[Growth]) -> str:
    """Markdown: a line a size, times also as multiples of the first's."""
    rows = [
        [one.name, size, f"{1e3 * spent:.3g}", f"{spent / one.seconds[0]:.2f}", memory]
        for one in tables
        for size, spent, memory in zip(
            one.sizes,
            one.seconds,
            [f"{mib:.0f}" for mib in one.mib or []] or [""] * len(one.sizes),
            strict=True,
        )
    ]
    return _markdown(["size", "ms", "times the first", "MiB"], rows)


def suite_tables(estimates: Sequence[Estimate], predictions: Sequence[Prediction]) -> str:
    """Markdown: the pieces, and core hours."""
    pieces = [
        [f"{one.name}, {one.part}", one.unit, *_numbers(one.measured, one.written)]
        for one in estimates
    ]
    sums = [
        [p.budget, *_numbers(p.jobs, *p.training.values(), p.acting, p.simulation, p.rest, p.total)]
        for p in predictions
    ]
    methods = list(predictions[0].training)
    heads = ["jobs", *methods, "acting", "simulators", "rest", "core hours"]
    return f"{_markdown(['unit', 'measured', 'planned'], pieces)}\n\n{_markdown(heads, sums)}"
