"""What the commands share: their options and lists, protocol files, and the work of each.

`config`, `lists`, `options` and `protocol` import nothing that takes time, so that `--help` and
mistakes are told at once.
"""
