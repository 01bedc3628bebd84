"""`S3Store`: a destination in an S3-compatible bucket; the only module that knows boto3.

It writes with `If-None-Match: *` and never without. Credentials come from where boto3 finds them
(environment, shared files, roles); it never takes them as arguments and never tells them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NoReturn

from ate.archive.store import Entry
from ate.errors import (
    AteError,
    Disconnected,
    NotFound,
    OutOfSpace,
    StorageError,
    Throttled,
    TimedOut,
    UsageError,
)

CONNECT_TIMEOUT_S: Final = 10
READ_TIMEOUT_S: Final = 60
_CONNECTIONS: Final = 16
_TAKEN: Final = frozenset({"PreconditionFailed", "412"})
_GONE: Final = frozenset({"NoSuchKey", "404"})
_DENIED: Final = frozenset(
    {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "403"}
)
_FULL: Final = frozenset({"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "507"})
_BUSY: Final = frozenset(
    {
        "SlowDown", "Throttling", "RequestTimeout", "RequestTimeTooSkewed", "InternalError",
        "ServiceUnavailable", "OperationAborted", "ConditionalRequestConflict", "BadDigest",
    }
)  # fmt: skip


class S3Store:
    """Keeps `ObjectStore`.

    Args:
        bucket: its name.
        prefix: in front of all keys.
        endpoint: address of the server; Amazon's when empty.
        region: where boto3 finds it when empty.

    Raises:
        UsageError: the extra `s3` is not installed.
    """

    def __init__(
        self, bucket: str, prefix: str = "", *, endpoint: str = "", region: str = ""
    ) -> None:
        try:
            import boto3
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError
        except ImportError:
            raise UsageError("buckets need the package boto3", hint="install ate[s3]") from None
        self._bucket, self._prefix = bucket, f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.name = f"s3://{bucket}/{self._prefix}".rstrip("/")
        config = Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            max_pool_connections=_CONNECTIONS,
            # `Patient` asks again, with the clock and the chance that were handed in.
            retries={"total_max_attempts": 1},
            # Path style works with every server that has an address of its own.
            s3={"addressing_style": "path" if endpoint else "auto"},
            # Other servers do not know the newer checksums; our own are stronger.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        try:
            self._client: Any = boto3.session.Session().client(
                "s3", endpoint_url=endpoint or None, region_name=region or None, config=config
            )
        except (BotoCoreError, ValueError) as error:
            self._fail(error)

    def put_new(self, key: str, data: bytes) -> bool:
        try:
            self._client.put_object(
                Bucket=self._bucket, Key=self._prefix + key, Body=data, IfNoneMatch="*"
            )
        except Exception as error:
            if _code(error) in _TAKEN:
                return False
            self._fail(error)
        return True

    def get(self, key: str, limit: int) -> bytes:
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
            body = answer["Body"]
            try:
                # One byte more than allowed shows that it is too long; the rest is not fetched.
                data: bytes = body.read(limit + 1)
            finally:
                body.close()
        except Exception as error:
            if _code(error) in _GONE:
                raise NotFound(f"there is no object {key}") from None
            self._fail(error)
        return data

    def walk(self, prefix: str) -> Iterator[Entry]:
        for page in self._pages(prefix):
            for found in page.get("Contents", ()):
                yield Entry(found["Key"].removeprefix(self._prefix), found["Size"])

    def folders(self) -> list[str]:
        found = [
            one["Prefix"].removeprefix(self._prefix).rstrip("/")
            for page in self._pages("", Delimiter="/")
            for one in page.get("CommonPrefixes", ())
        ]
        return sorted(found)

    def _pages(self, prefix: str, **more: str) -> Iterator[dict[str, Any]]:
        try:
            pages = self._client.get_paginator("list_objects_v2")
            yield from pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix, **more)
        except Exception as error:
            self._fail(error)

    def delete(self, key: str) -> None:
        try:
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + key)
        except Exception as error:
            if _code(error) not in _GONE:
                self._fail(error)

    def _fail(self, error: Exception) -> NoReturn:
        """Raise what an error of boto3 means to us."""
        if isinstance(error, AteError):
            raise error
        raise _meaning(error, self.name) from None


def _code(error: Exception) -> str:
    """Return the code of a server's answer, or an empty text."""
    answer = getattr(error, "response", None)
    if not isinstance(answer, dict):
        return ""
    return str(answer.get("Error", {}).get("Code", ""))


def _status(error: Exception) -> int:
    answer = getattr(error, "response", None) or {}
    return int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _meaning(error: Exception, name: str) -> AteError:
    from botocore import exceptions as found

    code, status = _code(error), _status(error)
    if code == "NoSuchBucket":
        return StorageError(f"there is no bucket for {name}", hint="make the bucket first")
    if code in _DENIED or status in (401, 403):
        return StorageError(f"{name} denies access ({code})",
                            hint="check the credentials and what they may do")  # fmt: skip
    if code in _FULL or status == 507:
        return OutOfSpace(f"{name} is full", hint="earlier restore points are whole")
    if code in _BUSY or status in (409, 429) or status >= 500:
        return Throttled(f"{name} is busy ({code})")
    if code:
        return StorageError(f"{name} refuses the request ({code})")
    if isinstance(error, (found.ConnectTimeoutError, found.ReadTimeoutError)):
        return TimedOut(f"{name} does not answer", hint="check the endpoint and the network")
    if isinstance(error, (found.NoCredentialsError, found.PartialCredentialsError,
                          found.ProfileNotFound)):  # fmt: skip
        return StorageError(f"there are no credentials for {name}",
                            hint="set them as boto3 wants them, such as AWS_PROFILE")  # fmt: skip
    if isinstance(error, (found.ConnectionError, found.HTTPClientError, OSError)):
        return Disconnected(f"there is no way to {name}",
                            hint="check the endpoint and the network")  # fmt: skip
    return StorageError(f"{name} cannot be used: {type(error).__name__}")
