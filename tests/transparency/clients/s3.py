"""boto3 against a small store of objects that speaks as much of S3 as this needs."""

import hashlib
import re
from collections.abc import Callable
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

import boto3  # type: ignore[import-untyped]
from botocore import UNSIGNED  # type: ignore[import-untyped]
from botocore.awsrequest import AWSPreparedRequest  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import ClientError  # type: ignore[import-untyped]
from tests.transparency.store import BODY, Call

_XML = b"Content-Type: application/xml\r\n"
_PART = 5 << 20


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


def use(folder: str, token: str) -> list[object]:
    """Put, get, list, copy, delete, in one piece and in parts."""
    config = Config(signature_version=UNSIGNED, s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
    store = boto3.client("s3", endpoint_url=folder, region_name="eu-central-1", config=config)

    def before(request: AWSPreparedRequest, **_: object) -> None:
        request.headers["Authorization"] = f"Bearer {token}"
        request.headers["amz-sdk-invocation-id"] = "the same each time"

    store.meta.events.register("before-send.s3", before)
    made: list[object] = []

    def take(call: Callable[..., dict[str, object]], **options: object) -> dict[str, object]:
        try:
            answer = call(Bucket="bucket", **options)
        except ClientError as error:
            answer = error.response
        metadata = answer.pop("ResponseMetadata")
        assert isinstance(metadata, dict)
        made.append((metadata["HTTPStatusCode"], metadata["HTTPHeaders"], str(sorted(answer))))
        return answer

    take(store.put_object, Key="a.bin", Body=BODY, Metadata={"a": "b"}, ContentType="x/y")
    take(store.put_object, Key="folder/grüße €.txt", Body=b"")
    for key in ("a.bin", "folder/grüße €.txt", "none"):
        answer = take(store.get_object, Key=key)
        made.append(answer["Body"].read() if "Body" in answer else None)  # type: ignore[attr-defined]
        take(store.head_object, Key=key)
    answer = take(store.get_object, Key="a.bin", Range="bytes=10-19")
    made.append(answer["Body"].read())  # type: ignore[attr-defined]
    take(store.list_objects_v2, Prefix="folder/", MaxKeys=5)
    take(store.copy_object, Key="b.bin", CopySource="bucket/a.bin")
    take(store.create_multipart_upload, Key="large")
    parts = []
    for number in (1, 2):
        part = take(
            store.upload_part, Key="large", UploadId="u1", PartNumber=number, Body=BODY[:1000] * (_PART // 1000)
        )
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    take(store.complete_multipart_upload, Key="large", UploadId="u1", MultipartUpload={"Parts": parts})
    made.append(hashlib.sha256(store.get_object(Bucket="bucket", Key="large")["Body"].read()).hexdigest())
    take(store.delete_objects, Delete={"Objects": [{"Key": "a.bin"}]})
    take(store.delete_object, Key="large")
    take(store.list_objects_v2)
    store.close()
    return made
