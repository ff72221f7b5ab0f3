"""curl: heads and bodies as it shows them, redirects followed, cookies kept, uploads of all kinds."""

import subprocess
from typing import Final

from tests.integration.waiting import DEADLINE_S
from tests.transparency.comparing import FRAMING
from tests.transparency.store import BODY, NAMES, TAG

_TIMES: Final = ("-w", "%{http_code} %{num_redirects} %{size_download} %{http_version}")

_TRAILER: Final = "X-Sum: 1\r\n"
"""curl shows trailers, which Sidegate drops."""


def use(folder: str, token: str) -> list[str]:
    """Ask for everything below *folder*; return what curl said and how it ended."""
    made = []
    common = ["curl", "-q", "-sS", "-i", "-m", str(DEADLINE_S), "-H", f"Authorization: Bearer {token}", *_TIMES]
    for options in (
        *([f"{folder}/{name}"] for name in NAMES),
        [f"{folder}/data.json", f"{folder}/missing", f"{folder}/big"],
        ["--compressed", f"{folder}/packed"],
        ["-L", f"{folder}/elsewhere"],
        ["-I", f"{folder}/big"],
        ["-r", "100-199", f"{folder}/big"],
        ["-H", f"If-None-Match: {TAG.decode()}", f"{folder}/data.json"],
        ["-b", "a=b", f"{folder}/login", f"{folder}/data.json"],
        ["-T", "-", f"{folder}/put-in-chunks"],
        ["-X", "PUT", "--data-binary", "@-", "-H", "Expect: 100-continue", f"{folder}/put"],
        ["-X", "PUT", "--data-binary", "@-", "-H", "Expect:", f"{folder}/put"],
        ["-d", "a=1&b=%20", "--data-urlencode", "c=ü", f"{folder}/form"],
        ["-X", "DELETE", f"{folder}/gone"],
        ["-X", "PROPFIND", "-H", "Depth: 1", f"{folder}/data.json"],
        ["-0", f"{folder}/data.json"],
        ["-G", "-d", "q=x%20y", f"{folder}/data.json"],
    ):
        done = subprocess.run([*common, *options], input=BODY, capture_output=True, timeout=60, check=False)
        lines = done.stdout.decode("latin-1").split("\r\n")
        # What belongs to one connection, and the 100 that says nothing.
        kept = [line for line in lines if line.partition(":")[0].lower() not in FRAMING]
        shown = "\r\n".join(kept).replace("HTTP/1.1 100 Continue\r\n\r\n", "").replace(_TRAILER, "")
        made.append(f"{options[0].replace(folder, '')}: {done.returncode} {done.stderr.decode()}\n{shown}")
    return made
