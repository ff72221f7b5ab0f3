"""boto3 against a small store of objects that speaks as much of S3 as this needs.

boto3 asks for versions of libraries that others cannot live with, and has an environment of its own in ``build/boto3``.
"""

import hashlib
import os
import re
import subprocess
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

from tests.transparency.store import Call

_XML = b"Content-Type: application/xml\r\n"
_HERE: Final = Path(__file__)
_PYTHON: Final = _HERE.parents[3] / "build" / "boto3" / "bin" / "python"


class Objects:
    """Objects in memory; begins anew with every client."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.parts: dict[int, bytes] = {}

    def serve(self, call: Call) -> bytes:
        """Answer one request."""
        target = call.head.split(b" ", 2)[1].decode()
        path, _, query = target.partition("?")
        asked = parse_qs(query, keep_blank_values=True)
        key = unquote(path.partition("/bucket")[2].removeprefix("/"))
        body = call.payload
        match call.method:
            case b"PUT" if "partNumber" in asked:
                self.parts[int(asked["partNumber"][0])] = body
                return _answer(b"200 OK", _tag(body))
            case b"PUT":
                source = unquote(call.value(b"x-amz-copy-source").decode())
                self.kept[key] = self.kept[source.partition("/")[2]] if source else body
                told = f"<CopyObjectResult><ETag>{_md5(body)}</ETag></CopyObjectResult>" if source else ""
                return _answer(b"200 OK", _tag(self.kept[key]) + (_XML if source else b""), told.encode())
            case b"POST" if "uploads" in asked:
                return _xml("<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>")
            case b"POST" if "uploadId" in asked:
                self.kept[key] = b"".join(self.parts[number] for number in sorted(self.parts))
                return _xml("<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>")
            case b"POST":
                for name in re.findall(rb"<Key>(.*?)</Key>", body):
                    self.kept.pop(name.decode(), None)
                return _xml("<DeleteResult/>")
            case b"DELETE":
                self.kept.pop(key, None)
                return b"HTTP/1.1 204 No Content\r\n\r\n"
            case _:
                return self._read(call, key)

    def _read(self, call: Call, key: str) -> bytes:
        if not key:
            listed = "".join(
                f"<Contents><Key>{escape(name)}</Key><Size>{len(body)}</Size></Contents>"
                for name, body in sorted(self.kept.items())
            )
            return _xml(f"<ListBucketResult><KeyCount>{len(self.kept)}</KeyCount>{listed}</ListBucketResult>")
        body = self.kept.get(key)
        if body is None:
            answer = _xml("<Error><Code>NoSuchKey</Code><Message>none</Message></Error>", b"404 Not Found")
        elif wanted := call.value(b"range").decode():
            first, last = (int(number) for number in wanted.removeprefix("bytes=").split("-"))
            placed = b"Content-Range: bytes %d-%d/%d\r\n" % (first, last, len(body))
            answer = _answer(b"206 Partial Content", _tag(body) + placed, body[first : last + 1])
        else:
            answer = _answer(b"200 OK", _tag(body) + b"x-amz-meta-a: b\r\n", body)
        return answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if call.method == b"HEAD" else answer


def _md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def _tag(body: bytes) -> bytes:
    return f'ETag: "{_md5(body)}"\r\n'.encode()


def _answer(status: bytes, lines: bytes, body: bytes = b"") -> bytes:
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, lines, len(body), body)


def _xml(text: str, status: bytes = b"200 OK") -> bytes:
    return _answer(status, _XML, text.encode())


def use(folder: str, token: str) -> str:
    """Put, get, list, copy, delete, in one piece and in parts."""
    command = [str(_PYTHON), str(_HERE.with_name("with_boto3.py")), folder, token]
    # It lists features in the order of a set.
    seeded = {"PATH": os.environ["PATH"], "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, env=seeded, capture_output=True, text=True, timeout=120, check=False)
    return f"{done.returncode} {done.stderr}\n{done.stdout}"
