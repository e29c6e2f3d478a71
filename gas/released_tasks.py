"""What the authors' first release of GAS sets for each task, as options of `gas-released`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def _of(
    cost_weights: tuple[float, float], subsets: str, reward_target: str, **more: Any
) -> dict[str, Any]:
    """Options of a task: cs_w and advc_w, floors and costs of its subsets, targets by limit."""
    step, segment = cost_weights
    return {
        "step_cost_weight": step,
        "segment_cost_weight": segment,
        "subsets": subsets,
        "reward_target": reward_target,
        **more,
    }


TASK_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "BallRun": _of(
        (0.0, 1.0),
        "400:49-72 350:25-48 300:0-24",
        "8:420 16:430 24:480 32:580 40:720 48:820 56:920 64:1100 72:1200",
    ),
    "CarRun": _of(
        (0.0, 1.0), "550:25-36 550:13-24 550:0-12", "4:570 8:570 12:570 28:570 32:570 36:570"
    ),
    "DroneRun": _of(
        (0.0, 0.0),
        "500:85-126 400:43-84 350:0-42",
        "14:400 28:420 42:450 56:480 70:520 84:550 98:600 112:620 126:640",
    ),
    "AntRun": _of(
        (0.1, 0.1),
        "600:91-135 550:16-90 400:0-15",
        "15:600 30:650 45:690 105:750 120:800 135:820",
        embedding=64,
        narrowness=0.2,
    ),
    "BallCircle": _of(
        (0.0, 1.0), "600:49-72 500:25-48 400:0-24", "8:500 16:600 24:690 56:800 64:810 72:820"
    ),
    "CarCircle": _of(
        (0.0, 0.0), "400:61-90 350:31-60 200:0-30", "10:360 20:370 30:410 70:480 80:480 90:480"
    ),
    "DroneCircle": _of(
        (0.0, 1.0),
        "700:61-90 600:31-60 550:0-30",
        "10:600 20:650 30:700 40:750 50:790 60:830 70:830 80:850 90:870",
    ),
    "AntCircle": _of(
        (0.1, 0.1),
        "250:121-180 200:21-120 100:0-20",
        "20:200 40:200 60:240 140:320 160:350 180:400",
        embedding=64,
    ),
    "PointCircle2": _of(
        (0.0, 0.0),
        "40:201-300 40:101-200 30:0-100",
        "28:36 55:41 90:42 110:43 140:43 170:44 200:45 240:47 270:48",
        embedding=256,
        width=512,
        dropout=0.0,
    ),
}
