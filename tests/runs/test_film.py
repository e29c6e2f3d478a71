"""Videos of trained policies: the evaluated episodes, played again beside their costs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.common.errors import UserError
from benchmarks.runs import film
from benchmarks.runs.evaluation import evaluate
from benchmarks.runs.film import Film
from benchmarks.runs.jobs import Job
from benchmarks.runs.store import Run
from benchmarks.runs.training import find_class
from benchmarks.runs.worker import run_job
from benchmarks.simulators.simulator import Simulator
from benchmarks.tasks.tasks import TASKS, Task
from tests.support.jobs import make_job
from tests.support.marks import mostly_slow
from tests.support.small_data import SmallData

SHORT = replace(TASKS["BallRun"], horizon=3)


@pytest.fixture
def job(small_data: SmallData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A trained run, in episodes of three steps and at two limits."""
    made = make_job("gas", small_data, tmp_path, stage="train", limits=(8.0, 40.0))
    run_job(made)
    monkeypatch.setattr(film, "resolve_task", lambda spec: SHORT)
    return made


def test_the_first_evaluated_episode_at_each_limit_is_filmed(job: Job, tmp_path: Path) -> None:
    video = tmp_path / "made" / "episodes.gif"
    played = Film.of(video, [job]).record()
    algorithm = find_class(job, SHORT).from_state(Run.of(job).checkpoint())
    expected = evaluate(algorithm, SHORT, job.limits, 2, seed=job.training.seed)
    first = [(e.episode_return, e.episode_cost) for e in expected if e.episode == 0]
    np.testing.assert_allclose(played, first, rtol=1e-5)
    assert [path.name for path in video.parent.iterdir()] == ["episodes.gif"]
    with Image.open(video) as pictures:
        assert pictures.width == 2 * film._WIDTH
        assert pictures.n_frames == SHORT.horizon + 1
        seen = [np.asarray(pictures.convert("RGB"))]
        pictures.seek(pictures.n_frames - 1)
        seen.append(np.asarray(pictures.convert("RGB")))
    assert len(np.unique(seen[0].reshape(-1, 3), axis=0)) > 50  # a scene, not a blank page
    assert (seen[0] != seen[1]).any()


def test_long_episodes_are_shortened_by_leaving_out_steps(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(film, "_SECONDS", 2 / film._RATE)
    Film.of(tmp_path / "short.gif", [job]).record()
    with Image.open(tmp_path / "short.gif") as pictures:
        assert pictures.n_frames == 3  # before steps 1 and 3, and at the end


def test_the_plot_shows_when_a_limit_is_broken(job: Job) -> None:
    policy = film.DeployedPolicy(
        find_class(job, SHORT).from_state(Run.of(job).checkpoint()), SHORT, 2.0
    )
    kept, broken = (
        film._Episode(policy, Simulator(SHORT), np.zeros(SHORT.observation_dim), costs=costs)
        for costs in ([0.0, 1.0], [0.0, 3.0])
    )
    reds = [film._plot(one, 3).astype(int) @ [1, 0, -1] > 80 for one in (kept, broken)]
    assert [red[:24].any() for red in reds] == [False, True]  # the words
    assert all(red[24:].any() for red in reds)  # the line of the limit


@pytest.mark.parametrize(
    "name", mostly_slow(["BallRun", "DroneCircle", "PointCircle1"], "DroneCircle")
)
def test_a_rendered_episode_is_the_same_episode(name: str) -> None:
    task: Task = TASKS[name]
    plain, rendered = Simulator(task), Simulator(task, rendered=True)
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (6, task.action_dim)).astype(np.float32)
    np.testing.assert_array_equal(plain.reset(4), rendered.reset(4))
    for action in actions:
        one, other = plain.step(action), rendered.step(action)
        np.testing.assert_array_equal(one.observation, other.observation)
        assert one[1:] == other[1:]
        if task.engine == "bullet":  # a machine may lack what MuJoCo draws with
            assert rendered.render().ndim == 3
    plain.close()
    rendered.close()


@pytest.mark.parametrize(
    ("name", "jobs", "words"),
    [
        ("a.avi", 1, "the name must end in .mp4 or .gif"),
        ("a.mp4", 1, "needs imageio-ffmpeg: pip install -e '.[video]', or name a .gif file"),
        ("a.gif", 2, "--video films one run, not 2"),
    ],
)
def test_what_cannot_be_filmed_is_told(
    name: str, jobs: int, words: str, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(film.importlib.util, "find_spec", lambda module: None)
    with pytest.raises(UserError) as caught:
        Film.of(Path(name), [job] * jobs)
    assert words in str(caught.value)


def test_at_most_four_limits_are_shown(job: Job) -> None:
    with pytest.raises(UserError, match="at most 4 limits, not 5"):
        Film.of(Path("a.gif"), [replace(job, limits=(1.0, 2.0, 3.0, 4.0, 5.0))])


def test_a_simulator_without_pictures_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    simulator = Simulator(SHORT, rendered=True)
    simulator.reset(0)
    for returned in (None, np.zeros(3)):
        monkeypatch.setattr(simulator._env, "render", lambda value=returned, **_: value)
        with pytest.raises(UserError, match="must return a picture"):
            simulator.render()
