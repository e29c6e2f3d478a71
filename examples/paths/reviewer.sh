# A reviewer with two minutes: the report from the stored episodes, the answer that it gives, what a method is.
# Usage, from the top of the repository: sh examples/paths/reviewer.sh
set -e
.venv/bin/python -m benchmarks.leaderboard results/quickstart
.venv/bin/osrl-bench recommend results/gas --limit 20% --confidence 0.9
.venv/bin/osrl-bench methods gas
.venv/bin/osrl-bench tasks
