"""Grep: plain text in this process, regular expressions in one that can be stopped."""

import asyncio
import json
import sys
from collections.abc import Iterable
from pathlib import Path

from examples.datastore import scan
from examples.datastore.problems import malformed, unprocessable

# Two searches at a time and two seconds each: an expression that never ends holds up no other request.
MAX_WORKERS = 2
SEARCH_S = 2.0
MAX_PATTERN_CHARS = 500

Files = Iterable[tuple[str, str]]
Answer = dict[str, object]


class Grep:
    """Searches files by text or by regular expression."""

    def __init__(self) -> None:
        self._workers = asyncio.Semaphore(MAX_WORKERS)

    async def search(self, files: Files, pattern: str, mode: str) -> Answer:
        """Return the lines that hold *pattern*, read as ``text`` or as a ``regex``."""
        if not 0 < len(pattern) <= MAX_PATTERN_CHARS:
            raise malformed(f"`/pattern` has 1 to {MAX_PATTERN_CHARS} characters")
        if mode == "text":
            return await asyncio.to_thread(_search_text, files, pattern)
        if mode == "regex":
            return await self._search_regex(files, pattern)
        raise malformed("`/mode` is `text` or `regex`")

    async def _search_regex(self, files: Files, pattern: str) -> Answer:
        job = await asyncio.to_thread(_write_job, files, pattern)
        async with self._workers:
            output = await _run_worker(job)
        if not output:
            raise unprocessable("the search needs more time or memory than a search may have")
        answer: Answer = json.loads(output)
        if "error" in answer:
            raise malformed(f"`/pattern` is not a regular expression: {answer['error']}")
        return answer


def _search_text(files: Files, pattern: str) -> Answer:
    matches, truncated = scan.scan_files(files, lambda text: pattern in text)
    return {"matches": matches, "truncated": truncated}


def _write_job(files: Files, pattern: str) -> bytes:
    job: scan.Job = {"pattern": pattern, "files": list(files)}
    return json.dumps(job).encode()


async def _run_worker(job: bytes) -> bytes:
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-S",
        str(Path(scan.__file__)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        output, _ = await asyncio.wait_for(worker.communicate(job), SEARCH_S)
    except TimeoutError:
        return b""
    finally:
        if worker.returncode is None:
            worker.kill()
            await worker.wait()
    return output
