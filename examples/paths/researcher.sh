# A researcher: a new method beside GAS, with the tables for a paper.
# Usage, from the top of the repository: sh examples/paths/researcher.sh
set -e
.venv/bin/osrl-bench check examples/top_bc.py:TopBC
.venv/bin/python -m benchmarks.run --suite tight --tasks BallRun --algorithms gas bc-safe examples/top_bc.py:TopBC \
    --budget quick --data generated --seeds 0-1 --name researcher
.venv/bin/python -m benchmarks.leaderboard results/researcher --format latex --methods gas top-bc
