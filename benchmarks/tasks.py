"""The tasks: one frozen table of every fact that belongs to a task.

Constants are those of the DSRL package (`dsrl.infos`, version 0.1.0); a test compares them
with the installed package, so this table may be read where dsrl is not installed.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.errors import unknown_name


@dataclass(frozen=True)
class Task:
    """A constrained control task and the constants that its scores are normalised with.

    Costs and returns are undiscounted sums over an episode; `horizon` counts environment steps.
    """

    name: str
    simulator: str
    """Identifier in the simulator's registry."""
    engine: str
    """Package that simulates it: "bullet" or "mujoco"."""
    observation_dim: int
    action_dim: int
    horizon: int
    max_cost: float
    """Largest episode cost in the published data; limits in percent refer to it."""
    min_return: float
    max_return: float
    """Smallest and largest return in the published data: the scale of the normalised reward."""
    dataset_file: str
    """Name of the published DSRL file."""
    steps_per_second: int
    """Of its simulator on one core, measured with random actions: for the plan's estimate only."""

    def limit(self, fraction: float) -> float:
        """Cost limit that is `fraction` of the maximum episode cost."""
        return round(fraction * self.max_cost, 9)  # 0.29 of 100 is 29


_BULLET = [
    # name, observations, actions, horizon, max cost, return range, trajectories, steps a second
    ("BallRun", 7, 2, 100, 80.0, 26.339754104614258, 1327.445556640625, 940, 9500),
    ("CarRun", 7, 2, 200, 40.0, 204.28726196289062, 574.6533203125, 651, 2500),
    ("DroneRun", 17, 4, 200, 140.0, 10.557029724121094, 682.8330078125, 1990, 5700),
    ("AntRun", 33, 8, 200, 150.0, 0.001767391717990563, 955.4818725585938, 1816, 2200),
    ("BallCircle", 8, 2, 200, 80.0, 0.38312244415283203, 881.46337890625, 886, 8900),
    ("CarCircle", 8, 2, 300, 100.0, 3.484419822692871, 534.3060913085938, 1450, 1600),
    ("DroneCircle", 18, 4, 300, 100.0, 207.794189453125, 996.38916015625, 1923, 4500),
    ("AntCircle", 34, 8, 500, 200.0, 0.0177031010389328, 460.7091979980469, 5728, 1900),
]
_MUJOCO = [
    # the number in a file's name is not always the maximum cost itself (300 for 299, 400 for 398)
    ("PointCircle1", 28, 2, 500, 200.0, 20.067626953125, 61.72819519042969, "200-1098", 5900),
    ("PointCircle2", 28, 2, 500, 299.0, 20.478347778320312, 54.02184295654297, "300-895", 5900),
    ("CarCircle1", 40, 2, 500, 250.0, 8.037073135375977, 24.94155502319336, "250-1271", 4300),
    ("CarCircle2", 40, 2, 500, 398.0, 5.113386154174805, 25.950098037719727, "400-940", 4300),
]

TASKS: dict[str, Task] = {
    name: Task(
        name,
        f"Safety{name}-v0",
        "bullet",
        observations,
        actions,
        horizon,
        max_cost,
        low,
        high,
        f"Safety{name}-v0-{max_cost:.0f}-{trajectories}.hdf5",
        speed,
    )
    for name, observations, actions, horizon, max_cost, low, high, trajectories, speed in _BULLET
} | {
    name: Task(
        name,
        f"Safety{name}-v0",
        "mujoco",
        observations,
        actions,
        horizon,
        max_cost,
        low,
        high,
        f"Safety{name}Gymnasium-v0-{suffix}.hdf5",
        speed,
    )
    for name, observations, actions, horizon, max_cost, low, high, suffix, speed in _MUJOCO
}


def find_task(name: str) -> Task:
    """The task called `name`; a `UserError` that suggests a near name where there is none."""
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    return TASKS[name]
