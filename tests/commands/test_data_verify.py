"""What `data verify` prints, and its exit status."""

import numpy as np
import pytest

from benchmarks import data as command
from benchmarks.datasets.source import choose
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.tasks.tasks import TASKS
from tests.support.data_files import change, setting, whole

BALL = TASKS["BallRun"]


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A file under a published name: two whole episodes that cost 0 and 80."""
    monkeypatch.setenv("OSRL_BENCH_CACHE", str(tmp_path / "cache"))
    path = tmp_path / BALL.dataset_file
    whole(BALL, (0, 80)).save(path)
    return path


def run(capsys, *arguments):
    """Exit status, lines of output and of errors."""
    status = command.main(["verify", *map(str, arguments)])
    printed = capsys.readouterr()
    return status, printed.out.splitlines(), printed.err.splitlines()


def test_verify_sums_up_a_whole_file(published, capsys):
    path = published.rename(published.with_name("mine.hdf5"))
    status, (line,), errors = run(capsys, path, "--task", "BallRun")
    assert (status, errors) == (0, [])
    assert line.startswith(f"{path}: a whole data set. BallRun: 2 episodes, 200 transitions; ")
    assert line.endswith(f"; sha256 {Trajectories.load(path, '').checksum}")


def test_verify_tells_warnings_and_that_the_file_is_whole(published, capsys):
    status, (warning, line), errors = run(capsys, published)
    assert (status, errors) == (0, [])
    assert warning == f"{published}: warning: there are 2 episodes where the name says 940"
    assert line.startswith(f"{published}: a whole data set. ")


def test_verify_tells_a_fault_a_line_and_fails(published, capsys):
    change(published, "costs", setting(0, -2))
    change(published, "rewards", setting(0, np.nan))
    change(published, "actions", setting(0, 2))
    assert run(capsys, published) == (
        1,
        [
            f"{published}: fault: rewards holds NaN or infinity in 1 rows, first in row 0",
            f"{published}: fault: costs are negative, down to -2",
            f"{published}: warning: actions reach 2, outside [-1, 1]",
        ],
        [],
    )


@pytest.mark.parametrize("content", [b"", b"<html>502</html>", None])
def test_verify_of_what_is_no_data_file_fails_in_one_line(published, capsys, content):
    published.write_bytes(published.read_bytes()[:-9] if content is None else content)
    status, (line,), errors = run(capsys, published)
    assert (status, errors) == (1, [])
    assert line.startswith(f"{published}: fault: it is damaged or not HDF5 (")


def test_what_verify_calls_whole_can_be_loaded(published, capsys):
    change(published, "rewards", lambda column: np.full(column.shape, 1e39))
    status, (line,), errors = run(capsys, published)
    assert (status, errors) == (1, [])
    assert "rewards holds NaN or infinity" in line


def test_verify_knows_a_generated_file_by_its_name(published, capsys):
    (made,) = choose("generated", [BALL])
    made.path.parent.mkdir(parents=True)
    published.rename(made.path)
    status, (line,), errors = run(capsys, made.path)
    assert (status, errors) == (0, [])
    assert line.startswith(f"{made.path}: a whole data set. BallRun: 2 episodes")


def test_verify_takes_the_named_task_rather_than_the_files(published, capsys):
    status, lines, errors = run(capsys, published, "--task", "BallCircle")
    assert (status, errors) == (1, [])
    assert [line.split(" instead")[0] for line in lines] == [
        f"{published}: fault: observations has shape (200, 7)",
        f"{published}: fault: next_observations has shape (200, 7)",
    ]


def test_verify_refuses_in_one_line_what_it_cannot_examine(published, capsys, tmp_path):
    other = tmp_path / "other.hdf5"
    asked = {
        (other,): "error: other.hdf5 is not the name of a task's file: say which by --task",
        (other, "--task", "BallRun"): f"error: {other}: no such data file",
        (tmp_path, "--task", "BallRun"): f"error: {tmp_path}: no such data file",
        (tmp_path / "none" / BALL.dataset_file,): (
            f"error: {tmp_path / 'none' / BALL.dataset_file}: no such data file"
        ),
    }
    for arguments, expected in asked.items():
        assert run(capsys, *arguments) == (2, [], [expected])
    status, lines, (error,) = run(capsys, published, "--task", "BalRun")
    assert (status, lines) == (2, [])
    assert error.startswith("error: unknown task 'BalRun': did you mean BallRun? ")
