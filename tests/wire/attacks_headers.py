"""Attacks by header fields: identities, `Connection`, cookies, upgrades, `Expect`."""

from collections.abc import Iterator

from tests.wire.attack import ALLOW, GET, POST, Attack, M
from tests.wire.kinds import Kind


def identity() -> Iterator[Attack]:
    names = (
        b"X-Sidegate-Account", b"x-sidegate-account", b"X_Sidegate_Account", b"X.Sidegate.Account",
        b"X-Sidegate_Account", b"XSidegateAccount", b"X-Sidegate--Account", b"X-Sidegate-Account~",
        b"X!Sidegate'Account",
        b"X-Sidegate-Decision", b"X-Sidegate-Anything", b"X_SIDEGATE_TARGET", b"X-Sidegate-Chain",
        b"X-Forwarded-For", b"X_Forwarded_For", b"X-Forwarded.Host", b"X-Forwarded-User", b"X-Forwarded-Uri",
        b"X-Forwarded-Prefix", b"X-Forwarded-Method", b"Forwarded", b"For_warded", b"X-Real-IP", b"X_Real_IP",
        b"X-Original-URL", b"X-Original-Uri", b"X_Original_URL", b"X-Rewrite-URL", b"X.Rewrite.Url",
        b"X-HTTP-Method-Override", b"X-HTTP-Method", b"X-Method-Override", b"x_http_method_override",
        b"X-Envoy-Original-Path", b"X-Envoy-External-Address", b"X_Envoy_Peer_Metadata", b"X-Middleware-Subrequest",
        b"Auth_orization", b"Coo_kie", b"Content.Type", b"Te_", b"Up.grade",
    )  # fmt: skip
    for name in names:
        data = GET + name + b": sentinel-7f3a\r\n\r\n"
        yield Attack(f"header-{name.decode()}", Kind.IDENTITY, data, (ALLOW,), (b"sentinel-7f3a",))
    both = GET + b"X-Sidegate-Account: user:root\r\nX_Sidegate_Account: user:root\r\nX-Sidegate-Account: x\r\n\r\n"
    yield Attack("header-many-at-once", Kind.IDENTITY, both, (ALLOW,), (b"user:root",))
    public = (
        b"GET /healthz HTTP/1.1\r\nHost: h\r\n{V}X-Sidegate-Account: user:root\r\nAuthorization: Basic eA==\r\n\r\n"
    )
    yield Attack("header-on-a-public-route", Kind.IDENTITY, public, (ALLOW,), (b"user:root", b"eA=="))


def nominated() -> Iterator[Attack]:
    for token in (
        b"Host", b"Cookie", b"Authorization", b"Content-Length", b"Transfer-Encoding", b"X-Forwarded-For",
        b"X-Forwarded-Host", b"X-Real-IP", b"Forwarded", b"X-Sidegate-Account", b"X-Sidegate-Decision",
        b"X_Sidegate_Account", b"x-sidegate-target", b"X-API-Key", b"x_api_key", b"traceparent", b"Content_Length",
        b"X-Request-Id",
    ):  # fmt: skip
        for form in (b"Connection: " + token, b"Connection: close, " + token, b"CONNECTION:keep-alive ,\t" + token):
            name = f"nominates-{token.decode()}-{len(form) - len(token)}"
            yield Attack(name, Kind.NOMINATED, GET + form + b"\r\n\r\n{N}", (M,))
    two = GET + b"Connection: keep-alive\r\nConnection: Cookie\r\n\r\n{N}"
    yield Attack("nominates-in-a-second-line", Kind.NOMINATED, two, (M,))
    for name, value in {
        "quoted": b'"Cookie"',
        "empty-element": b"close,,Cookie",
        "semicolon": b"close; Cookie",
        "control-free-junk": b"@",
        "leading-comma": b", close",
    }.items():
        yield Attack(f"connection-{name}", Kind.NOMINATED, GET + b"Connection: " + value + b"\r\n\r\n{N}", (M,))
    other = GET + b"Connection: X-Custom\r\nX-Custom: sentinel-7f3a\r\nx-custom: sentinel-7f3a\r\n\r\n"
    yield Attack("nominates-another", Kind.NOMINATED, other, (ALLOW,), (b"sentinel-7f3a",))
    for header in (b"Keep-Alive", b"Proxy-Connection", b"TE", b"Trailer", b"Proxy-Authorization", b"HTTP2-Settings"):
        data = GET + header + b": sentinel-7f3a\r\n\r\n"
        yield Attack(f"hop-by-hop-{header.decode()}", Kind.NOMINATED, data, (ALLOW,), (b"sentinel-7f3a",))


def cookies() -> Iterator[Attack]:
    line = b"GET {P} HTTP/1.1\r\nHost: h\r\n"
    twice = "401 ambiguous_credential"
    for name, cookie, verdict in (
        ("twice", b"__session={vera}; __session={vera}", twice),
        ("twice-differ", b"__session={vera}; __session={ana}", twice),
        ("twice-first-empty", b"__session=; __session={vera}", twice),
        ("twice-in-quotes", b'a="; __session={ana}"; __session={vera}', twice),
        ("twice-blank-name", b"__session ={ana}; __session={vera}", twice),
        ("twice-tab", b"\t__session={ana};__session={vera}", twice),
        ("quoted-value", b'__session="{vera}"', "401 invalid_credential"),
        ("quoted-escape", b'__session="\\137{vera}"', "401 invalid_credential"),
        ("trailing-comma", b"__session={vera}, a=b", "401 invalid_credential"),
        ("empty", b"__session=", "401 invalid_credential"),
        ("nameless", b"={vera}", "401 no_credential"),
        ("nameless-session", b"=__session={vera}", "401 no_credential"),
        ("no-equals", b"__session", "401 no_credential"),
        ("case", b"__Session={vera}", "401 no_credential"),
        ("host-prefix", b"__Host-__session={vera}", "401 no_credential"),
        ("php-name", b"..session={vera}", "401 no_credential"),
        ("escaped-name", b"%5F_session={vera}", "401 no_credential"),
        ("comma-separated", b"a=b, __session={vera}", "401 no_credential"),
        ("in-a-value", b"a=__session={vera}", "401 no_credential"),
    ):
        data = line + b"Cookie: " + cookie + b"\r\n\r\n{N}"
        follows = () if verdict == twice else (ALLOW,)
        yield Attack(f"cookie-{name}", Kind.COOKIES, data, (verdict, *follows))
    for name, lines, verdict in (
        ("two-lines", b"{V}{V}", twice),
        ("two-lines-differ", b"{V}{A}", twice),
        ("two-authorizations", b"Authorization: Bearer {vera}\r\nAuthorization: Bearer {vera}\r\n", twice),
        ("basic-and-bearer", b"Authorization: Basic eA==\r\nAuthorization: Bearer {vera}\r\n", twice),
        ("bearer-differs", b"{V}Authorization: Bearer {ana}\r\n", twice),
        ("bearer-broken", b"{V}Authorization: Bearer \r\n", twice),
        ("key-broken", b"{V}X-API-Key: sg_x\r\n", twice),
    ):
        yield Attack(f"credential-{name}", Kind.COOKIES, line + lines + b"\r\n{N}", (verdict,))
    for name, cookie, left in (
        ("first", b"__session={vera}; a=1", b"Cookie: a=1\r\n"),
        ("last", b"a=1; __session={vera}", b"Cookie: a=1\r\n"),
        ("middle", b'a="q;  b=\xff; __session={vera} ;c', b'Cookie: a="q;  b=\xff;c\r\n'),
        ("version", b"$Version=1; __session={vera}; $Path=/", b"Cookie: $Version=1; $Path=/\r\n"),
        ("other-case", b"__Session=z; __session={vera}", b"Cookie: __Session=z\r\n"),
        ("empty-pairs", b";; __session={vera};;", b"Cookie: ;;;\r\n"),
        ("nameless", b"=z; __session={vera}", b"Cookie: =z\r\n"),
    ):
        data = line + b"Cookie: " + cookie + b"\r\n\r\n"
        yield Attack(f"cookie-ok-{name}", Kind.COOKIES, data, (ALLOW,), (b"__session=",), (left,))
    same = line + b"{V}Authorization: Bearer {vera}\r\n\r\n"
    yield Attack("credential-same-twice", Kind.COOKIES, same, (ALLOW,), (b"Authorization", b"__session"))
    query = b"GET {P}?api_key=sg_x&access_token={vera} HTTP/1.1\r\nHost: h\r\n\r\n{N}"
    yield Attack("credential-in-the-query", Kind.COOKIES, query, ("401 no_credential", ALLOW))
    # RFC 9110 section 11.1: the scheme in any case, then blanks; anything else is not quietly another scheme.
    for name, value in {"tab": b"Bearer\t{vera}", "two": b"Bearer {vera} x", "comma": b"Bearer {vera},x"}.items():
        data = line + b"Authorization: " + value + b"\r\n\r\n{N}"
        yield Attack(f"bearer-{name}", Kind.COOKIES, data, ("401 invalid_credential", ALLOW))


def upgrades() -> Iterator[Attack]:
    key = b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    version = b"Sec-WebSocket-Version: 13\r\n"
    for name, head in {
        "post": b"POST {P} HTTP/1.1\r\nHost: h\r\n{A}" + upgrade + version + key,
        "http-1.0": b"GET {P} HTTP/1.0\r\nHost: h\r\n{V}" + upgrade + version + key,
        "version-8": GET + upgrade + b"Sec-WebSocket-Version: 8\r\n" + key,
        "version-777": GET + upgrade + b"Sec-WebSocket-Version: 777\r\n" + key,
        "no-version": GET + upgrade + key,
        "two-versions": GET + upgrade + version + version + key,
        "no-key": GET + upgrade + version,
        "short-key": GET + upgrade + version + b"Sec-WebSocket-Key: AAAA\r\n",
        "loose-key": GET + upgrade + version + b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAB==\r\n",
        "two-keys": GET + upgrade + version + key + key,
        "with-length": GET + upgrade + version + key + b"Content-Length: 5\r\n",
        "with-chunks": GET + upgrade + version + key + b"Transfer-Encoding: chunked\r\n",
    }.items():
        yield Attack(f"upgrade-{name}", Kind.UPGRADES, head + b"\r\n{N}", (M,))
    for name, lines in {
        "h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "h2c-no-settings": b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
        "tls": b"Connection: Upgrade\r\nUpgrade: TLS/1.2\r\n",
        "list": upgrade.replace(b"websocket", b"websocket, h2c") + version + key,
        "two-lines": upgrade + b"Upgrade: h2c\r\n" + version + key,
        "not-nominated": b"Upgrade: websocket\r\n" + version + key,
        "alias": b"Connection: Upgrade\r\nUp-grade: websocket\r\n" + version + key,
    }.items():
        # Served as a plain request, and what follows as another one: no tunnel, nothing of the upgrade upstream.
        absent = (b"Upgrade: ", b"HTTP2-Settings", b"h2c", b"Connection: ")
        yield Attack(f"upgrade-dropped-{name}", Kind.UPGRADES, GET + lines + b"\r\n{N}", (ALLOW, ALLOW), absent)
    early = GET + upgrade + version + key + b"\r\n{N}"
    yield Attack("upgrade-early-bytes", Kind.UPGRADES, early, (ALLOW,), (b"next.json",))


def expect() -> Iterator[Attack]:
    bad = "417 expectation_failed"
    for name, value in {
        "unknown": b"the-worst",
        "list": b"100-continue, x",
        "twice-in-one": b"100-continue, 100-continue",
        "parameter": b"100-continue;q=1",
        "quoted": b'"100-continue"',
        "y": b"y 100-continue",
        "empty": b"",
        "cut": b"100-continu",
        "longer": b"100-continue1",
    }.items():
        data = POST + b"Expect: " + value + b"\r\nContent-Length: 5\r\n\r\nhello{N}"
        yield Attack(f"expect-{name}", Kind.EXPECT, data, (bad,))
    two = POST + b"Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello{N}"
    yield Attack("expect-two", Kind.EXPECT, two, (M,))
    for name, line in {
        "plain": b"Expect: 100-continue",
        "case": b"eXpect:\t100-CONTINUE ",
        "alias": b"Ex_pect: x",
    }.items():
        data = POST + line + b"\r\nContent-Length: 5\r\n\r\nhello{N}"
        yield Attack(f"expect-ok-{name}", Kind.EXPECT, data, (ALLOW, ALLOW), (b"xpect",), (b"Content-Length: 5\r\n",))
    get = GET + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\nGET /{N}"
    yield Attack("expect-of-get", Kind.EXPECT, get, (ALLOW, ALLOW), (b"xpect",))
    old = b"POST {P} HTTP/1.0\r\nHost: h\r\n{A}Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello{N}"
    yield Attack("expect-on-1.0", Kind.EXPECT, old, (ALLOW,), (b"xpect",))
