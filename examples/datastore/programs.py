"""Run: deterministic computations over the files at and below a path."""

import hashlib
import math
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

from examples.datastore.problems import unprocessable

BLOCK_BYTES = 256 * 1024
# A JSON document has to be in memory as a whole to be read.
MAX_JSON_BYTES = 8 * 1024 * 1024

Files = Iterable[tuple[str, str]]


def run_program(name: str, files: Files) -> dict[str, object]:
    """Run a program by its name."""
    program = PROGRAMS.get(name)
    if program is None:
        raise unprocessable(f"`/program` is none of {', '.join(PROGRAMS)}")
    inputs = list(files)
    return {"program": name, "files": len(inputs), "result": program(inputs)}


def sum_digests(files: Files) -> dict[str, object]:
    """Digest each file, and all of them with their paths."""
    digests = {path: _digest(location) for path, location in files}
    whole = hashlib.sha256("".join(f"{digest}  {path}\n" for path, digest in sorted(digests.items())).encode())
    return {"files": digests, "tree": whole.hexdigest()}


def count_words(files: Files) -> dict[str, object]:
    """Count lines, words and bytes as ``wc`` does."""
    lines = words = size = 0
    for _, location in files:
        in_word = False
        for block in _read_blocks(location):
            size += len(block)
            lines += block.count(b"\n")
            words += len(block.split())
            if in_word and not block[:1].isspace():
                words -= 1  # the block goes on with the word that the last one ended in
            in_word = not block[-1:].isspace()
    return {"lines": lines, "words": words, "bytes": size}


def sum_numbers(files: Files) -> dict[str, object]:
    """Add up every number in every JSON document, which is what the name of a file says it is."""
    numbers: list[float] = []
    for path, location in files:
        if not path.endswith(".json"):
            continue
        numbers.extend(_numbers_in(_load_document(path, location)))
    try:
        # Exactly rounded, so the order of the files cannot show in the result.
        total = math.fsum(numbers)
    except OverflowError:
        raise unprocessable("the sum is too large for a number") from None
    return {"numbers": len(numbers), "sum": int(total) if total.is_integer() else total}


PROGRAMS: dict[str, Callable[[Files], dict[str, object]]] = {
    "sha256": sum_digests,
    "wordcount": count_words,
    "jsonsum": sum_numbers,
}


def load_document(handle: int, what: str) -> Any:  # noqa: ANN401 - any JSON value
    """Read an open file as JSON and close it."""
    with os.fdopen(handle, "rb") as file:
        text = file.read(MAX_JSON_BYTES + 1)
    if len(text) > MAX_JSON_BYTES:
        raise unprocessable(f"`{what}` is larger than {MAX_JSON_BYTES} bytes")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        raise unprocessable(f"`{what}` is not JSON: {exc}") from None


def _load_document(path: str, location: str) -> Any:  # noqa: ANN401 - any JSON value
    return load_document(os.open(location, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), path)


def _numbers_in(value: Any) -> Iterator[float]:  # noqa: ANN401 - any JSON value
    match value:
        case bool():
            return
        case int() | float():
            yield value
        case list():
            for item in value:
                yield from _numbers_in(item)
        case dict():
            for item in value.values():
                yield from _numbers_in(item)
        case _:
            return


def _digest(location: str) -> str:
    digest = hashlib.sha256()
    for block in _read_blocks(location):
        digest.update(block)
    return digest.hexdigest()


def _read_blocks(location: str) -> Iterator[bytes]:
    handle = os.open(location, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield block
