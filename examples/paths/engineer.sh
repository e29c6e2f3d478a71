# An engineer: from logs to the method for a limit, and its policy at other limits.
# Usage, from the top of the repository: sh examples/paths/engineer.sh
set -e
.venv/bin/python examples/own_task/make_logs.py logs.csv
.venv/bin/python -m benchmarks.data convert logs.csv examples/own_task/reach.hdf5 --action-low -2 --action-high 2
.venv/bin/python -m benchmarks.data verify examples/own_task/reach.hdf5 --task examples/own_task/reach.toml
.venv/bin/python -m benchmarks.run --tasks examples/own_task/reach.toml --limits 10% 50% --algorithms gas bc-safe \
    --budget quick --seeds 0-1 --name engineer
.venv/bin/osrl-bench recommend results/engineer --limit 50% --confidence 0.5
.venv/bin/osrl-bench evaluate results --limits 30% --tasks examples/own_task/reach.toml
