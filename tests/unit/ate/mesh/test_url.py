from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ate.errors import UsageError
from ate.mesh.url import SCHEMES, URL_BYTES_MAX, Url
from atedb.settings import Settings


@pytest.mark.parametrize(
    "text,parts",
    [
        ("ws://example.com/db", ("ws", "example.com", 5000, "/db")),
        ("wss://example.com", ("wss", "example.com", 5000, "/")),
        ("tcp://example.com", ("tcp", "example.com", 5000, "/")),
        ("tcps://example.com", ("tcps", "example.com", 5000, "/")),
        ("example.com", ("ws", "example.com", 5000, "/")),
        ("example.com:5000/db", ("ws", "example.com", 5000, "/db")),
        ("localhost/a/b%20c", ("ws", "localhost", 5000, "/a/b%20c")),
        ("WSS://Example.COM.:1", ("wss", "example.com.", 1, "/")),
        ("ws://[::1]:8000/x", ("ws", "::1", 8000, "/x")),
        ("[2001:DB8::0:1]", ("ws", "2001:db8::1", 5000, "/")),
        ("tcp://10.0.0.1:65535", ("tcp", "10.0.0.1", 65535, "/")),
        ("ws://büro.example", ("ws", "xn--bro-hoa.example", 5000, "/")),
        ("my_host", ("ws", "my_host", 5000, "/")),
    ],
)
def test_addresses_have_parts(text: str, parts: tuple[str, str, int, str]) -> None:
    url = Url.parse(text)
    assert (url.scheme, url.host, url.port, url.path) == parts


@pytest.mark.parametrize(
    "text,word",
    [
        ("", "no host"),
        ("ws://", "no host"),
        (":5000", "no host"),
        ("http://example.com", "scheme"),
        ("file:///etc", "scheme"),
        ("ws://example.com:0", "port"),
        ("ws://example.com:", "port"),
        ("ws://example.com:65536", "port"),
        ("ws://example.com:8x", "port"),
        ("ws://example.com:٣", "port"),
        ("::1", "brackets"),
        ("ws://[::1", "]"),
        ("ws://[::1]x", "]"),
        ("ws://[1.2.3.4]", "IPv6"),
        ("ws://exa mple.com", "no host"),
        ("ws://-x.com", "no host"),
        ("ws://a..b", "no host"),
        ("ws://" + "a" * 300, "no host"),
        ("ws://" + "ü" * 70, "no host"),
        ("ws://h/a b", "path"),
        ("ws://h/a?b=c", "path"),
        ("ws://h/a#b", "path"),
        ("ws://h/ä", "path"),
        ("ws://h/" + "a" * URL_BYTES_MAX, "longer"),
    ],
)
def test_what_is_no_address_is_told_with_a_hint(text: str, word: str) -> None:
    with pytest.raises(UsageError, match=word) as caught:
        Url.parse(text)
    assert "ws://" in caught.value.hint


def test_the_web_is_shown_the_way() -> None:
    with pytest.raises(UsageError) as caught:
        Url.parse("https://example.com")
    assert caught.value.hint == "write wss:// instead of https://"


def test_a_password_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        Url.parse("ws://alice:tomato@example.com/db")
    assert "tomato" not in f"{caught.value} {caught.value.hint}"


def test_another_scheme_may_be_meant() -> None:
    assert Url.parse("example.com", scheme="wss").scheme == "wss"
    assert Url.parse("tcp://example.com", scheme="wss").scheme == "tcp"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_port_is_where_the_server_listens_and_is_written_out(scheme: str) -> None:
    assert str(Url.parse(f"{scheme}://h")) == f"{scheme}://h:{Settings(path=Path()).port}/"
    assert str(Url.parse(f"{scheme}://[::1]:80")) == f"{scheme}://[::1]:80/"


def test_kinds() -> None:
    kinds = {scheme: Url.parse(f"{scheme}://h") for scheme in SCHEMES}
    assert [one for one, url in kinds.items() if url.is_websocket] == ["ws", "wss"]
    assert [one for one, url in kinds.items() if url.is_secure] == ["wss", "tcps"]


@given(
    scheme=st.sampled_from(SCHEMES),
    host=st.one_of(
        st.ip_addresses().map(str), st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True)
    ),
    port=st.integers(1, 65535),
    path=st.from_regex(r"/[a-z0-9/%.]{0,20}", fullmatch=True),
)
def test_text_and_parts_are_the_same_thing(scheme: str, host: str, port: int, path: str) -> None:
    url = Url(scheme, host, port, path)
    assert Url.parse(str(url)) == url


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_a_usage_error(text: str) -> None:
    try:
        url = Url.parse(text)
    except UsageError:
        return
    assert Url.parse(str(url)) == url


def test_servers_that_stand_by_are_named_behind_commas() -> None:
    url = Url.several("ws://one:5000, ws://two:5000/")
    assert (str(url), [str(one) for one in url.others]) == ("ws://one:5000/", ["ws://two:5000/"])
    assert Url.several("ws://one") == Url.parse("ws://one")
    for text in ("ws://one,", ",ws://one", "ws://one,ftp://two", ",".join(["ws://h"] * 9)):
        with pytest.raises(UsageError):
            Url.several(text)
    with pytest.raises(UsageError):
        Url.parse("ws://one,ws://two")
