# A student on a lab machine: the plan and the time of the whole table, then a small table.
# Usage, from the top of the repository: sh examples/paths/student.sh
set -e
.venv/bin/python -m benchmarks.run --suite tight --suite loose --budget standard --data generated --seeds 0-2 --dry-run
.venv/bin/python -m benchmarks.run --suite tight --tasks BallRun --algorithms gas bc-safe --budget quick \
    --data generated --seeds 0-1 --name student
.venv/bin/python -m benchmarks.leaderboard results/student --format markdown csv latex
