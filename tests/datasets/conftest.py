"""A small data file that `verify` finds nothing in."""

import pytest

from tests.support.data_files import NAME, whole


@pytest.fixture
def path(tmp_path):
    """A good file: three episodes of four steps that cost 0, 1 and 4."""
    whole().save(tmp_path / NAME)
    return tmp_path / NAME
