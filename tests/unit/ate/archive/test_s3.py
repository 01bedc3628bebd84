"""The bucket as a destination; `tests/conformance` runs the whole contract against real servers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from botocore import exceptions
from tests.buckets import Bucket

from ate.archive.s3 import S3Store, _meaning
from ate.errors import (
    AteError,
    Disconnected,
    NotFound,
    OutOfSpace,
    StorageError,
    Throttled,
    TimedOut,
)


def test_keys_stand_below_the_prefix(bucket: Bucket) -> None:
    store = S3Store(bucket.name, "/pre/fix/", endpoint=bucket.endpoint, region="us-east-1")
    assert store.name == f"s3://{bucket.name}/pre/fix"
    assert store.put_new("a/b", b"x")
    assert not store.put_new("a/b", b"y")
    listed = bucket.client().list_objects_v2(Bucket=bucket.name)["Contents"]
    assert [one["Key"] for one in listed] == ["pre/fix/a/b"]
    assert store.get("a/b", 5) == b"x"
    assert [*store.walk("a/")] == [("a/b", 1)]
    assert store.folders() == ["a"]
    store.delete("a/b")
    with pytest.raises(NotFound):
        store.get("a/b", 5)


def test_a_bucket_that_is_not_there(bucket: Bucket) -> None:
    store = S3Store("no-such-bucket-here", endpoint=bucket.endpoint, region="us-east-1")
    for call in (
        lambda: store.put_new("a", b""),
        lambda: store.get("a", 1),
        lambda: [*store.walk("")],
        store.folders,
        lambda: store.delete("a"),
    ):
        with pytest.raises(StorageError, match="there is no bucket"):
            call()


class Answer(BaseHTTPRequestHandler):
    """Answers every request with the status that the server was told."""

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    made = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.mark.parametrize(
    "status, error",
    [
        (503, Throttled),
        (500, Throttled),
        (429, Throttled),
        (409, Throttled),
        (403, StorageError),
        (507, OutOfSpace),
        (400, StorageError),
    ],
)
def test_what_a_server_says(
    server: ThreadingHTTPServer,
    status: int,
    error: type[AteError],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
    server.status = status  # type: ignore[attr-defined]
    store = S3Store("b-b", endpoint=f"http://127.0.0.1:{server.server_port}", region="r")
    with pytest.raises(error) as caught:
        store.put_new("a", b"")
    assert type(caught.value) is error
    assert "a-secret" not in str(caught.value)


def test_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    store = S3Store("b-b", endpoint="http://127.0.0.1:1", region="r")
    with pytest.raises(Disconnected):
        store.get("a", 1)


def test_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    store = S3Store("b-b", endpoint="http://127.0.0.1:1", region="r")
    with pytest.raises(StorageError, match="no credentials"):
        store.get("a", 1)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(StorageError, match="no credentials"):
        S3Store("b-b", endpoint="http://127.0.0.1:1", region="r")


def test_other_errors_have_a_meaning_too() -> None:
    timed = exceptions.ReadTimeoutError(endpoint_url="x", error="y")
    assert isinstance(_meaning(timed, "n"), TimedOut)
    assert isinstance(_meaning(ConnectionResetError(), "n"), Disconnected)
    assert _meaning(RuntimeError("secret"), "n").message == "n cannot be used: RuntimeError"
    with pytest.raises(StorageError, match="cannot be used"):
        S3Store("b-b", endpoint="http://[", region="r")
