"""`atedb.settings`: what is refused as unsafe or senseless, and what a server is called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ate.errors import UsageError
from atedb.settings import Service, Settings, rates
from atedb.throttle import Rate

SOME = Path("some")


def settings(**given: Any) -> Settings:
    return Settings(path=Path("data"), **given)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"listen": "localhost"},
        {"listen": "127.0.0.9", "no_auth": 1},
        {"listen": "::1"},
        {"listen": "0.0.0.0", "auth": "key", "wire_encryption": True},
        {"listen": "::", "clients": SOME, "tls_cert": SOME, "tls_key": SOME},
        {"listen": "host.example.org", "no_auth": 2, "no_encryption": True},
        {"services": (Service("/a", SOME), Service("/a/b", Path("other")))},
        {"topology": SOME, "url": "ws://a.example.org"},
    ],
)
def test_settings_that_are_fine(given: dict[str, Any]) -> None:
    settings(**given).check()


@pytest.mark.parametrize(
    "given, said",
    [
        ({"listen": "0.0.0.0"}, "say who may use"),
        ({"listen": "host.example.org"}, "say who may use"),
        ({"listen": "0.0.0.0", "no_auth": 1, "wire_encryption": True}, "anybody there can write"),
        ({"listen": "0.0.0.0", "no_auth": 2}, "in the clear"),
        ({"listen": "::", "auth": "key"}, "in the clear"),
        ({"auth": "key", "no_auth": 1}, "contradict"),
        ({"auth": "https://x/"}, "cannot be asked yet"),
        ({"auth": "ws://x/"}, "cannot be asked yet"),
        ({"tls_cert": SOME}, "its key"),
        ({"tls_key": SOME}, "its key"),
        ({"status_port": 1, "no_http": True}, "--no-http forbids"),
        ({"url": "http://x"}, "no scheme"),
        ({"stand_by": True, "services": (Service("/a", Path("b")),)}, "one directory"),
        ({"stand_by": True, "topology": SOME, "url": "ws://a"}, "one directory"),
        ({"stand_by": True, "cluster": "ws://a", "url": "ws://a"}, "one directory"),
        ({"topology": SOME}, "which of the servers"),
        ({"services": (Service("a", SOME),)}, "not the path"),
        ({"services": (Service("/", SOME),)}, "two services"),
        ({"services": (Service("/healthz", SOME),)}, "not the path"),
        ({"services": (Service("/a", SOME), Service("/a", Path("b")))}, "two services"),
        ({"services": (Service("/a", Path("data")),)}, "inside the directory"),
        ({"services": (Service("/a", Path("data/below")),)}, "inside the directory"),
        ({"services": (Service("/a", Path()),)}, "inside the directory"),
    ],
)
def test_settings_that_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        settings(**given).check()
    assert caught.value.hint or "inside" in said or "two" in said or "--no-http" in said


def test_the_address_is_what_clients_open() -> None:
    assert settings().address(7) == "ws://127.0.0.1:7/"
    assert settings(listen="0.0.0.0").address(7) == "ws://127.0.0.1:7/"
    assert settings(listen="::").address(7) == "ws://[::1]:7/"
    assert settings(pure_tcp=True).address(7) == "tcp://127.0.0.1:7/"
    assert settings(tls_cert=SOME).address(443) == "wss://127.0.0.1:443/"
    assert settings(url="wss://chains.example.org/").address(7) == "wss://chains.example.org:5000/"


def test_rates_are_of_a_connection_a_chain_and_all() -> None:
    assert rates("", "") == (Rate(), Rate(), Rate())
    assert rates("5", "100,200,300") == (Rate(5, 100), Rate(0, 200), Rate(0, 300))


@pytest.mark.parametrize("text", ["x", "1,2,3,4", "-1", "1.5", ",", "²"])
def test_other_rates_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no such rates"):
        rates(text, "")
