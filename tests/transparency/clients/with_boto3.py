"""boto3 at a store of objects: ``python with_boto3.py FOLDER TOKEN``; imports nothing of this project."""

import hashlib
import sys
from collections.abc import Callable

import boto3  # type: ignore[import-not-found]
from botocore import UNSIGNED  # type: ignore[import-not-found]
from botocore.awsrequest import AWSPreparedRequest  # type: ignore[import-not-found]
from botocore.config import Config  # type: ignore[import-not-found]
from botocore.exceptions import ClientError  # type: ignore[import-not-found]

BODY = bytes(number % 251 for number in range(300_000))
_PART = 5 << 20


def main(folder: str, token: str) -> None:
    """Do it and print what came of it."""
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
    sys.stdout.write(repr(made))


if __name__ == "__main__":
    main(*sys.argv[1:])
