"""Where jobs run: the same jobs, different machines.

`scheduler` decides what runs when, and what an ended process means; `devices` where there is room.
`local`, `ray` and `slurm` start the processes.
"""
