"""Sockets, files and services are read from their written form, or refused with what to write."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from sidegate.config.places import (
    DirectorySource,
    FilePath,
    FileSource,
    Outside,
    RedisSource,
    TcpEndpoint,
    UnixEndpoint,
    UpstreamUrl,
    UrlSource,
    WrittenEndpoint,
    WrittenFile,
    WrittenJwks,
    WrittenPolicySource,
    WrittenRedis,
    WrittenUpstream,
    masked_url,
)

FOLDER = Path("/etc/sidegate")


def read(form: Any, text: object) -> Any:
    """Read *text* as it would stand in a file in /etc/sidegate."""
    return TypeAdapter(form).validate_python(text, context=FOLDER)


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        pytest.param(WrittenEndpoint, "127.0.0.1:8080", TcpEndpoint("127.0.0.1", 8080), id="ipv4"),
        pytest.param(WrittenEndpoint, "[::1]:0", TcpEndpoint("::1", 0), id="ipv6-any-port"),
        pytest.param(WrittenEndpoint, "[2001:DB8::1]:1", TcpEndpoint("2001:db8::1", 1), id="ipv6-canonical"),
        pytest.param(WrittenEndpoint, "my-host.local:65535", TcpEndpoint("my-host.local", 65535), id="name"),
        pytest.param(WrittenEndpoint, "unix:/run/s", UnixEndpoint(Path("/run/s")), id="unix"),
        pytest.param(WrittenEndpoint, "unix:s", UnixEndpoint(FOLDER / "s"), id="unix-relative"),
        pytest.param(WrittenUpstream, "http://h", UpstreamUrl("http", TcpEndpoint("h", 80)), id="http"),
        pytest.param(WrittenUpstream, "https://h/", UpstreamUrl("https", TcpEndpoint("h", 443)), id="https"),
        pytest.param(WrittenUpstream, "http://[::1]", UpstreamUrl("http", TcpEndpoint("::1", 80)), id="http-ipv6"),
        pytest.param(
            WrittenUpstream, "http://[::1]:9", UpstreamUrl("http", TcpEndpoint("::1", 9)), id="http-ipv6-port"
        ),
        pytest.param(WrittenUpstream, "unix:/r", UpstreamUrl("http", UnixEndpoint(Path("/r"))), id="upstream-unix"),
        pytest.param(FilePath, "a/b", FOLDER / "a/b", id="path"),
        pytest.param(FilePath, "/a", Path("/a"), id="absolute-path"),
        pytest.param(FilePath, Path("default"), FOLDER / "default", id="default-path"),
        pytest.param(WrittenFile, "file:k.pem", FileSource(FOLDER / "k.pem"), id="file"),
        pytest.param(WrittenJwks, "file:/j", FileSource(Path("/j")), id="jwks-file"),
        pytest.param(WrittenJwks, "https://i/j?k=v", UrlSource("https://i/j?k=v"), id="jwks-https"),
        pytest.param(WrittenJwks, "http://127.0.0.1:1/j", UrlSource("http://127.0.0.1:1/j"), id="jwks-loopback"),
        pytest.param(WrittenJwks, "http://localhost/j", UrlSource("http://localhost/j"), id="jwks-localhost"),
        pytest.param(WrittenJwks, "http://[::1]/j", UrlSource("http://[::1]/j"), id="jwks-loopback-ipv6"),
        pytest.param(WrittenPolicySource, "dir:p/", DirectorySource(FOLDER / "p"), id="folder"),
        pytest.param(WrittenPolicySource, "redis+cluster://h", RedisSource("redis+cluster://h"), id="cluster"),
        pytest.param(WrittenRedis, "rediss://h:1/0", RedisSource("rediss://h:1/0"), id="redis"),
    ],
)
def test_read(form: Any, text: object, expected: object) -> None:
    """Each form is read into one value; what is relative belongs to the file's folder."""
    assert expected == read(form, text)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        pytest.param(WrittenEndpoint, "8080", id="port-only"),
        pytest.param(WrittenEndpoint, ":8080", id="no-host"),
        pytest.param(WrittenEndpoint, "h", id="no-port"),
        pytest.param(WrittenEndpoint, "h:65536", id="port-too-large"),
        pytest.param(WrittenEndpoint, "h:-1", id="negative-port"),
        pytest.param(WrittenEndpoint, "h:\u0661", id="digit-of-another-script"),
        pytest.param(WrittenEndpoint, "::1:80", id="ipv6-without-brackets"),
        pytest.param(WrittenEndpoint, "[::g]:80", id="no-ipv6"),
        pytest.param(WrittenEndpoint, "a b:80", id="blank"),
        pytest.param(WrittenEndpoint, "unix:", id="unix-without-path"),
        pytest.param(WrittenEndpoint, "unix:/" + "x" * 107, id="unix-path-too-long"),
        pytest.param(WrittenEndpoint, 8080, id="number"),
        pytest.param(WrittenUpstream, "h:80", id="no-scheme"),
        pytest.param(WrittenUpstream, "ftp://h", id="other-scheme"),
        pytest.param(WrittenUpstream, "http://h/path", id="path"),
        pytest.param(WrittenUpstream, "http://h?q", id="query"),
        pytest.param(WrittenUpstream, "http://u:p@h", id="user-information"),
        pytest.param(WrittenUpstream, "http://h:", id="empty-port"),
        pytest.param(WrittenUpstream, "http://h:99999", id="upstream-port"),
        pytest.param(WrittenUpstream, "unix:", id="upstream-unix"),
        pytest.param(FilePath, "", id="empty-path"),
        pytest.param(FilePath, "a\x00b", id="nul"),
        pytest.param(WrittenFile, "k.pem", id="no-file-prefix"),
        pytest.param(WrittenFile, "file:", id="file-without-path"),
        pytest.param(WrittenJwks, "http://issuer/j", id="jwks-over-plain-http"),
        pytest.param(WrittenJwks, "http://127.0.0.1.evil/j", id="looks-like-loopback"),
        pytest.param(WrittenJwks, "https://u:p@i/j", id="jwks-user-information"),
        pytest.param(WrittenJwks, "https:///j", id="jwks-without-host"),
        pytest.param(WrittenJwks, "https://i/j#f", id="jwks-fragment"),
        pytest.param(WrittenJwks, "https://[i/j", id="jwks-no-url"),
        pytest.param(WrittenJwks, "j.json", id="jwks-no-prefix"),
        pytest.param(WrittenPolicySource, "policy/", id="no-dir-prefix"),
        pytest.param(WrittenPolicySource, "dir:", id="dir-without-path"),
        pytest.param(WrittenPolicySource, "mysql://h", id="other-source"),
        pytest.param(WrittenRedis, "http://h", id="no-redis"),
    ],
)
def test_refused(form: Any, text: object) -> None:
    """Anything else is refused."""
    with pytest.raises(ValidationError):
        read(form, text)


def test_outside_of_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A relative path of a variable starts in the working directory."""
    monkeypatch.chdir(tmp_path)
    assert read(FilePath, Outside("a")) == tmp_path / "a"
    assert read(WrittenFile, Outside("file:a")) == FileSource(tmp_path / "a")


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (TcpEndpoint("::1", 1), "[::1]:1"),
        (UnixEndpoint(Path("/a")), "unix:/a"),
        (UpstreamUrl("http", TcpEndpoint("h", 80)), "http://h:80"),
        (UpstreamUrl("http", UnixEndpoint(Path("/a"))), "unix:/a"),
        (FileSource(Path("a")), "file:a"),
        (UrlSource("https://i"), "https://i"),
        (DirectorySource(Path("a")), "dir:a"),
        (RedisSource("redis://u:p@h/0"), "redis://***@h/0"),
    ],
)
def test_written_form(place: object, expected: str) -> None:
    """A place is shown as it would be written, without secrets."""
    assert expected == str(place)


@pytest.mark.parametrize(
    ("url", "expected"), [("redis://h", "redis://h"), ("x://a:b@h", "x://***@h"), ("x://h/a@b", "x://h/a@b")]
)
def test_masked_url(url: str, expected: str) -> None:
    """What stands before the @ of a URL is a credential."""
    assert expected == masked_url(url)
