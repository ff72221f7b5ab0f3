"""Clock, tasks, structured log, metrics and loop lag."""
