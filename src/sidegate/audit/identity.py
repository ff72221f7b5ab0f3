"""The name of a sidecar, the same after a restart (spec 5.7: the chain goes on under it)."""

import contextlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from sidegate.audit.layout import FILE_MODE, FOLDER_MODE
from sidegate.core.model.errors import ConfigError, Problem
from sidegate.core.trail.chain import is_sidecar_name

_NAME: Final = "sidecar.id"
_UNFIT: Final = re.compile(r"[^A-Za-z0-9.-]+")
_HOST_CHARS: Final = 64
_RANDOM_BYTES: Final = 4


def load_sidecar_name(root: Path, host: str, part: str, random_bytes: Callable[[int], bytes] = os.urandom) -> str:
    """Return the name that the process called *part* of this spool goes by, e.g. ``web-1-5f0c9a3e-w0``.

    What comes before the part is made once from the host's name and kept in *root*: a container whose host name changes
    with each start goes on with its chain as long as it keeps its spool; two hosts of one name never share one.

    Raises:
        ConfigError: The name that is kept there cannot be read, or is no name.
        OSError: None can be kept there.
    """
    path = root / _NAME
    if not path.exists():
        root.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        draft = root / f".{_NAME}.{os.getpid()}"
        name = f"{_UNFIT.sub('-', host)[:_HOST_CHARS].strip('.-') or 'sidecar'}-{random_bytes(_RANDOM_BYTES).hex()}"
        draft.write_text(f"{name}\n", encoding="ascii")
        draft.chmod(FILE_MODE)
        try:
            # A link never replaces what another worker has just made.
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
        finally:
            draft.unlink()
    name = path.read_text(encoding="ascii", errors="replace").strip()
    if not is_sidecar_name(f"{name}-{part}"):
        problem = Problem(
            None, "audit.spool", f"`{path}` holds no name", "restore the file, or remove it to begin anew"
        )
        raise ConfigError((problem,))
    return f"{name}-{part}"
