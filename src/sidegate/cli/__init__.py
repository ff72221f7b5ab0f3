"""The `sidegate` command: arguments in, tables and exit codes out (spec 6.4).

``main`` knows every command by name and one line; a command's module is imported when it is called. Commands read
arguments, call the part that does the work, and say what came of it; the work itself is done elsewhere.
"""
