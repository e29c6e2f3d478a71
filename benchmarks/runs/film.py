"""A video of a trained policy: its first episode at each cost limit, beside the cost so far."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.common.errors import UserError
from benchmarks.datasets.custom_task import resolve_task
from benchmarks.runs.deployment import DeployedPolicy
from benchmarks.runs.evaluation import episode_seeds
from benchmarks.runs.jobs import Job
from benchmarks.runs.training import trained_algorithm
from benchmarks.simulators.simulator import Simulator

Picture = NDArray[np.uint8]
MOST_LIMITS = 4
_RATE, _SECONDS = 25, 20
"""Pictures a second, and the length that longer episodes are shortened to by leaving out steps."""
_WIDTH, _PLOT, _MARGIN = 352, 128, 12
"""Pixels: width of a limit's column, height of its plot, and the space around the plot's axes."""
_BLOCK = 16
"""Encoders want sizes that are multiples of this."""
_BACKGROUND, _INK, _COST, _LIMIT = "#ffffff", "#222222", "#0060a8", "#c03020"


@dataclass
class _Episode:
    """One episode that is filmed."""

    policy: DeployedPolicy
    simulator: Simulator
    observation: NDArray[np.float32]
    reward: float = 0.0
    costs: list[float] = field(default_factory=lambda: [0.0])
    """The cost so far after each step."""
    over: bool = False

    def step(self) -> None:
        """Advance one step, if it is not over."""
        if self.over:
            return
        step = self.simulator.step(self.policy.act(self.observation))
        self.policy.observe(step.reward, step.cost)
        self.observation, self.over = step.observation, step.terminated or step.truncated
        self.reward += step.reward
        self.costs.append(self.costs[-1] + step.cost)


@dataclass(frozen=True)
class Film:
    """A video to be made: where, and the job whose policy acts."""

    path: Path
    job: Job

    @staticmethod
    def of(path: Path, jobs: Sequence[Job]) -> Film:
        """The film of the only job; `UserError` for what cannot be filmed."""
        if path.suffix not in (".mp4", ".gif"):
            raise UserError(f"--video {path}: the name must end in .mp4 or .gif")
        if path.suffix == ".mp4" and importlib.util.find_spec("imageio_ffmpeg") is None:
            raise UserError(
                f"--video {path}: needs imageio-ffmpeg: pip install -e '.[video]', or name a .gif "
                "file"
            )
        if len(jobs) != 1:
            raise UserError(f"--video films one run, not {len(jobs)}: name results/runs/...")
        if len(jobs[0].limits) > MOST_LIMITS:
            raise UserError(
                f"--video shows at most {MOST_LIMITS} limits, not {len(jobs[0].limits)}"
            )
        return Film(path, jobs[0])

    def record(self) -> list[tuple[float, float]]:
        """Play the episodes and write the video; the return and cost of each."""
        import imageio

        task = resolve_task(self.job.task)
        algorithm = trained_algorithm(self.job, task)
        (seed,) = episode_seeds(self.job.training.seed, 1)
        with ExitStack() as opened:
            episodes = []
            for limit in self.job.limits:
                simulator = opened.enter_context(closing(Simulator(task, rendered=True)))
                policy = DeployedPolicy(algorithm, task, limit)
                episodes.append(_Episode(policy, simulator, simulator.reset(seed)))
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=self.path.parent, prefix=".video-") as folder:
                part = Path(folder) / self.path.name
                video: Any
                with imageio.get_writer(part, **self._timing()) as video:
                    for picture in _pictures(episodes, task.horizon):
                        video.append_data(picture)
                part.replace(self.path)
        print(f"video: {self.path}")
        return [(episode.reward, episode.costs[-1]) for episode in episodes]

    def _timing(self) -> dict[str, Any]:
        return {"duration": 1000 / _RATE} if self.path.suffix == ".gif" else {"fps": _RATE}


def _pictures(episodes: Sequence[_Episode], horizon: int) -> Iterator[Picture]:
    """Play the episodes side by side; a picture every few steps and at the end."""
    every = max(1, math.ceil(horizon / (_RATE * _SECONDS)))
    for step in tqdm(range(horizon), desc="video", unit="step", disable=None):
        if step % every == 0:
            yield np.hstack([_column(episode, horizon) for episode in episodes])
        for episode in episodes:
            episode.step()
        if all(episode.over for episode in episodes):
            break
    yield np.hstack([_column(episode, horizon) for episode in episodes])


def _column(episode: _Episode, horizon: int) -> Picture:
    """What is seen, above the plot of its cost."""
    from PIL import Image

    scene = Image.fromarray(episode.simulator.render())
    height = _BLOCK * round(scene.height * _WIDTH / scene.width / _BLOCK)
    return np.vstack([np.asarray(scene.resize((_WIDTH, height))), _plot(episode, horizon)])


def _plot(episode: _Episode, horizon: int) -> Picture:
    """The cost so far over time, and the limit as a line."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (_WIDTH, _PLOT), _BACKGROUND)
    draw = ImageDraw.Draw(image)
    limit, cost = episode.policy.limit, episode.costs[-1]
    state = "over the limit" if cost > limit else "within the limit"
    words = f"cost {cost:g} of {limit:g}, {state}; return {episode.reward:.1f}"
    draw.text((_MARGIN, 4), words, fill=_LIMIT if cost > limit else _INK)
    left, right, top, bottom = _MARGIN, _WIDTH - _MARGIN, 28, _PLOT - _MARGIN
    highest = max(1.2 * limit, 1.05 * cost, 1.0)

    def place(step: float, value: float) -> tuple[float, float]:
        return (
            left + (right - left) * step / horizon,
            bottom - (bottom - top) * value / highest,
        )

    draw.line([(left, top), (left, bottom), (right, bottom)], fill=_INK)
    draw.line([place(0, limit), place(horizon, limit)], fill=_LIMIT)
    points = [place(step, value) for step, value in enumerate(episode.costs)]
    draw.line([points[0], *points], fill=_COST, width=2)
    return np.asarray(image)
