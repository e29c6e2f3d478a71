"""Files with anything in them: accepted means trainable and as written, refused means one line."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from baselines.bc import BCAll
from benchmarks.common.errors import UserError
from benchmarks.datasets.trajectories import COLUMNS, Trajectories
from benchmarks.datasets.verify import examine
from benchmarks.methods.algorithm import Problem
from benchmarks.tasks.tasks import TASKS
from tests.support.odd_files import columns, layouts, write

TASK = replace(TASKS["BallRun"], horizon=8)
CONFIG = BCAll.config_class(batch=4, hidden=4)
FUZZ = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)


def check(path: Path, made: dict[str, Any], layout: dict[str, Any], order: list[str]) -> bool:
    """Whether the file is accepted; the law holds for it."""
    write(str(path), made, layout, order)
    faults, warnings, _ = examine(path, TASK)
    for line in (*faults, *warnings):
        assert "\n" not in line
        assert line
    if faults:
        with suppress(UserError):  # what is refused may be read, as by the examination of others
            Trajectories.load(path, "own")
        return False
    data = Trajectories.load(path, "own")
    for key in COLUMNS[:-1]:
        written = np.asarray(made[key]).reshape(getattr(data, key).shape)
        assert np.array_equal(getattr(data, key), written.astype(getattr(data, key).dtype))
    ends = np.asarray(made["terminals"], bool).ravel() | np.asarray(made["timeouts"], bool).ravel()
    ends[-1] = True
    assert np.array_equal(data.starts[1:] - 1, np.flatnonzero(ends))
    method = BCAll(Problem.of(data, TASK.horizon, TASK.max_cost), CONFIG)
    list(method.fit(data, 1))  # raises for a loss that is not finite
    return True


@settings(FUZZ, max_examples=80)
@given(columns(), layouts(), st.permutations(COLUMNS))
def test_any_file(tmp_path_factory, made, layout, order) -> None:
    check(tmp_path_factory.getbasetemp() / "fuzzed.hdf5", made, layout, order)


@pytest.mark.slow
@settings(FUZZ, max_examples=10_000)
@given(columns(), layouts(), st.permutations(COLUMNS))
def test_any_file_at_length(tmp_path_factory, made, layout, order) -> None:
    check(tmp_path_factory.getbasetemp() / "fuzzed.hdf5", made, layout, order)


@settings(FUZZ, max_examples=30)
@given(columns(), st.data())
def test_any_damage(tmp_path_factory, made, data) -> None:
    """Bytes that are cut off or changed: no other exception than a refusal."""
    path = tmp_path_factory.getbasetemp() / "damaged.hdf5"
    write(str(path), made, {"fletcher32": True}, [])
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    for line in examine(path, TASK).faults:
        assert "\n" not in line
