"""
Search the lines of files.

Run as a program it takes one job on its standard input and searches by regular expression: Python's can take
exponential time, and a process is the only thing that can be stopped half-way. It imports nothing but the standard
library, so that the interpreter starts in some 15 ms (``-I -S``).
"""

import json
import os
import re
import resource
import sys
from collections.abc import Callable, Iterable
from typing import TypedDict

MAX_MATCHES = 1000
MAX_TEXT_CHARS = 500
# A line longer than this is searched in pieces.
MAX_LINE_BYTES = 64 * 1024
WORKER_CPU_S = 4
WORKER_MEMORY_BYTES = 512 * 1024 * 1024


class Match(TypedDict):
    """One line that was found."""

    path: str
    line: int
    text: str


class Job(TypedDict):
    """What the program is asked: a regular expression, and the files as (path to report, location)."""

    pattern: str
    files: list[tuple[str, str]]


def scan_files(files: Iterable[tuple[str, str]], test: Callable[[str], object]) -> tuple[list[Match], bool]:
    """Return the lines for which *test* holds, and whether there may be more than were returned."""
    matches: list[Match] = []
    for path, location in files:
        for number, text in _read_lines(location):
            if not test(text):
                continue
            if len(matches) == MAX_MATCHES:
                return matches, True
            matches.append({"path": path, "line": number, "text": text[:MAX_TEXT_CHARS]})
    return matches, False


def _read_lines(location: str) -> Iterable[tuple[int, str]]:
    try:
        handle = os.open(location, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # deleted since it was listed
    with os.fdopen(handle, "rb") as file:
        number = 1
        while line := file.readline(MAX_LINE_BYTES):
            if b"\0" in line:
                return  # not text
            yield number, line.decode("utf-8", "replace").rstrip("\r\n")
            number += line.endswith(b"\n")


def _answer(job: Job) -> dict[str, object]:
    try:
        expression = re.compile(job["pattern"])
    except (re.error, RecursionError, OverflowError) as exc:
        return {"error": str(exc)}
    matches, truncated = scan_files(job["files"], expression.search)
    return {"matches": matches, "truncated": truncated}


def _main() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (WORKER_CPU_S, WORKER_CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (WORKER_MEMORY_BYTES, WORKER_MEMORY_BYTES))
    json.dump(_answer(json.load(sys.stdin)), sys.stdout)


if __name__ == "__main__":
    _main()
