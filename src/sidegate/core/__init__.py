"""The pure part: data in, data out. No I/O, clock, task, log, metric or environment."""
