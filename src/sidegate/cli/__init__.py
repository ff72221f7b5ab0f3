"""The `sidegate` command: arguments in, tables and exit codes out (spec 6.4)."""
