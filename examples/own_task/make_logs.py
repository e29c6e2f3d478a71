"""Logs of the environment Reach, as a table of transitions: `python make_logs.py logs.csv`.

They stand for the logs of a robot of your own. The scripted policy goes around the costly zone, or
more and more through it.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))
from reach import GOAL, Reach


def logs(episodes: int, seed: int = 0) -> pd.DataFrame:
    """A row for each transition of so many episodes."""
    env, rng, rows = Reach(), np.random.default_rng(seed), []
    for episode, boldness in enumerate(np.linspace(0.0, 1.0, episodes)):
        height, speed = 0.6 * (1.0 - boldness), rng.uniform(0.4, 1.0)
        place, _ = env.reset(seed=episode)
        going = True
        while going:
            targets = [(-0.5, height), (0.5, height), tuple(GOAL)]
            target = targets[int(np.sum(place[0] > [-0.6, 0.4]))]
            direction = np.array(target) - place
            action = speed * direction / (np.linalg.norm(direction) + 0.01)
            action = 2.0 * np.clip(action + rng.normal(0.0, 0.1, 2), -1.0, 1.0)
            after, reward, terminated, truncated, info = env.step(action)
            rows.append([episode, *place, *action, reward, info["cost"], terminated, *after])
            place, going = after, not (terminated or truncated)
    return pd.DataFrame(
        rows,
        columns=[
            *("episode", "observation_0", "observation_1", "action_0", "action_1"),
            *("reward", "cost", "terminated", "next_observation_0", "next_observation_1"),
        ],
    )


if __name__ == "__main__":
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "logs.csv")
    table = logs(200)
    table.to_csv(path, index=False)
    print(f"{path}: {table.episode.nunique()} episodes, {len(table)} transitions")
