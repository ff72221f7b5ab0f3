"""Files read whole, or a problem that says why not."""

from pathlib import Path

from sidegate.core.model.errors import Position, Problem


def read_file(path: Path) -> tuple[bytes, Problem | None]:
    """Return the content of *path*; empty, with the problem, if it cannot be read."""
    try:
        return path.read_bytes(), None
    except (OSError, ValueError) as exc:  # ValueError: a NUL in the name
        why = exc.strerror if isinstance(exc, OSError) else str(exc)
        what = f"cannot be read: {why or type(exc).__name__}"
        return b"", Problem(Position(str(path), 1, 1), "file", what, "name a file that this user can read")
