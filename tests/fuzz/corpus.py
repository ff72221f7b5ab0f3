"""Seeds of each target: the files of ``tests/corpus``, and what other tests and the examples have already."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
CORPUS: Final = ROOT / "tests" / "corpus"
TARGET_NAMES: Final = (
    "path", "path-refused", "headers", "cookie", "bearer", "token", "claims", "jwks", "key", "policy", "routes",
    "record", "chain", "frames", "chunks", "response", "body", "query",
    "proxy-header", "http2-connection", "http2-section", "http2-compression", "admission-review",
)  # fmt: skip
# Of targets that read the same bytes, or files that are there anyway.
_SHARED: Final = {"path-refused": ("path",), "chain": ("record",)}
_EXAMPLES: Final = {
    "policy": "config/policy/*.yaml",
    "routes": "config/routes.yaml",
    "jwks": "config/jwks.json",
    "admission-review": "tests/unit/injector/reviews/*.json",
}


def files_of(name: str) -> list[Path]:
    """Return the files of one target's corpus."""
    folders = [CORPUS / one for one in (name, *_SHARED.get(name, ()))]
    found = [path for folder in folders if folder.is_dir() for path in folder.iterdir() if path.is_file()]
    return sorted(found + list(ROOT.glob(_EXAMPLES[name]) if name in _EXAMPLES else []))


def seeds_of(name: str) -> list[bytes]:
    """Return the seeds of one target; at least the empty one."""
    return [path.read_bytes() for path in files_of(name)] or [b""]
