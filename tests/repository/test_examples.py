"""The notebooks run from their first cell to their last."""

import json
import re

import matplotlib as mpl
import pandas as pd
import pytest

from tests.support.small_data import SmallData
from tools.documents import ROOT

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder that has the committed results, and no screen."""
    (tmp_path / "results").symlink_to(ROOT / "results")
    monkeypatch.chdir(tmp_path)
    backend = mpl.get_backend()
    mpl.use("agg")
    yield tmp_path
    mpl.use(backend)


@pytest.mark.usefixtures("workers_here", "blank_boards")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, folder, small_data: SmallData):
    names = {"__name__": "notebook"}
    cells = json.loads(path.read_text())["cells"]
    for cell in (cell for cell in cells if cell["cell_type"] == "code"):
        assert not cell["outputs"], "clear the outputs before you commit"
        text = "".join(cell["source"])
        # A short training on small data, in place of the notebook's.
        text = text.replace("--data generated", f"--data {small_data.folder} --episodes 1")
        text = re.sub(r'"--updates", "\d+"', '"--updates", "20"', text)
        exec(compile(text, path.name, "exec", dont_inherit=True), names)
    if path.stem == "results":
        assert isinstance(names["table"], pd.DataFrame)
    else:
        assert (folder / "notebook-results" / "policy.pt").is_file()


def test_there_are_notebooks():
    assert {path.stem for path in NOTEBOOKS} == {"policy", "results"}
