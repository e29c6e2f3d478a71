"""A task of one's own: the example's files and data for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.own_task import episodes, example


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data file that the example's task file names."""
    path = tmp_path_factory.mktemp("data") / "reach.hdf5"
    made = episodes(40)
    assert made.episode_costs.min() == 0
    assert made.episode_costs.max() > 5
    assert made.lengths.max() <= 30
    made.save(path)
    return path


@pytest.fixture
def toml(tmp_path: Path, data: Path) -> Path:
    return example(tmp_path / "mine", data)
