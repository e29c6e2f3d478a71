"""Markdown tables of the measurements."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.measures.growth import Growth
from benchmarks.measures.schedule import Usage
from benchmarks.measures.suite import Estimate, Prediction
from benchmarks.measures.timing import Comparison
from benchmarks.report.render.markup import Table, markdown


def table(results: Sequence[Comparison], reference: str = "osrl") -> str:
    """Medians in milliseconds, the median ratio with its minimum and maximum, and memory.

    `reference` names the reference in the header.
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
    return ["" if value is None else f"{value:.3g}" for value in values]


def usage_table(usages: Sequence[Usage]) -> str:
    """Utilisation of the workers by the jobs' processes."""
    rows = [
        [u.name, *_numbers(u.jobs, u.workers, u.makespan, u.efficiency, u.overhead)] for u in usages
    ]
    return _markdown(["jobs", "workers", "seconds", "in use", "seconds a job beside work"], rows)


def growth_table(tables: Sequence[Growth]) -> str:
    """One row for each size; times also as multiples of the first one."""
    rows = [
        [growth.name, size, f"{1e3 * spent:.3g}", f"{spent / growth.seconds[0]:.2f}", memory]
        for growth in tables
        for size, spent, memory in zip(
            growth.sizes,
            growth.seconds,
            [f"{mib:.0f}" for mib in growth.mib or []] or [""] * len(growth.sizes),
            strict=True,
        )
    ]
    return _markdown(["size", "ms", "times the first", "MiB"], rows)


def suite_tables(estimates: Sequence[Estimate], predictions: Sequence[Prediction]) -> str:
    """The measured parts, and the core hours."""
    parts = [
        [f"{part.name}, {part.part}", part.unit, *_numbers(part.measured, part.written)]
        for part in estimates
    ]
    sums = [
        [p.budget, *_numbers(p.jobs, *p.training.values(), p.acting, p.simulation, p.rest, p.total)]
        for p in predictions
    ]
    methods = list(predictions[0].training)
    heads = ["jobs", *methods, "acting", "simulators", "rest", "core hours"]
    return f"{_markdown(['unit', 'measured', 'planned'], parts)}\n\n{_markdown(heads, sums)}"
