"""Where and when jobs run: on this machine, on a Ray cluster or on a Slurm cluster.

`scheduler` decides what runs when and what the exit of a process means. `devices` decides where
there is room. `local`, `ray` and `slurm` start the processes.
"""
