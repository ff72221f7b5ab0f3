"""Classes of attacks on the wire: where each comes from, and what Sidegate does about it."""

from enum import Enum


class Kind(Enum):
    """A class of attacks: title, origin, what Sidegate does."""

    FRAMING = (
        "Conflicting or odd framing (CL.TE, TE.CL, CL.CL, TE.TE)",
        (
            "RFC 9112 6.1-6.3; CVE-2019-16786, CVE-2019-16789, CVE-2019-16792 (waitress), CVE-2019-18277, "
            "CVE-2021-40346, "
            "CVE-2023-40225 (HAProxy), CVE-2019-15605, CVE-2020-8287, CVE-2022-32213, CVE-2022-32215 (Node, llhttp), "
            "CVE-2020-10108, CVE-2022-24801 (Twisted), CVE-2021-21299, CVE-2021-32715 (hyper), CVE-2022-1705 (Go), "
            "CVE-2024-1135, CVE-2024-6827 (gunicorn), CVE-2023-37276 (aiohttp), CVE-2026-2835 (Pingora)"
        ),
        (
            "400 `ambiguous_framing`, close: one Content-Length of plain digits, or one Transfer-Encoding "
            "that is the one "
            "token `chunked`, never both, the latter in HTTP/1.1 only"
        ),
    )
    CHUNKS = (
        "Chunk sizes, terminators and extensions (TERM.EXT, EXT.TERM, SPILL, TE.0)",
        (
            "RFC 9112 7.1; CVE-2021-22960, CVE-2024-22019 (Node), CVE-2021-32714 (hyper), CVE-2022-24761 (waitress), "
            "CVE-2023-39326, CVE-2025-22871 (Go), CVE-2024-52304 (aiohttp), CVE-2025-43859 (h11), CVE-2025-55315 "
            "(Kestrel), CVE-2025-58056 (Netty)"
        ),
        (
            "400 `ambiguous_framing` once a line cannot become a good one, upstream connection dropped; "
            "sizes of at most "
            "15 hex digits, CRLF only, 256 bytes of extensions; what passes is framed anew"
        ),
    )
    LINES = (
        "Line ends, blanks and folding in the head",
        (
            "RFC 9112 2.2, 5.1, 5.2; CVE-2019-16276 (Go), CVE-2019-16785 (waitress), CVE-2019-16869 (Netty), "
            "CVE-2021-22959, CVE-2022-32214, CVE-2023-30589, CVE-2024-27982, CVE-2025-23167 (Node, llhttp), "
            "CVE-2023-25725 (HAProxy), CVE-2019-9900 (Envoy), CVE-2023-47627 (aiohttp)"
        ),
        (
            "400 `malformed_request`, close: CRLF only, no folding, no blank before the colon, token names, "
            "printable "
            "values; every line is read by a grammar and by llhttp, and both must agree"
        ),
    )
    REQUEST_LINE = (
        "Request line, versions and methods",
        "RFC 9112 3; RFC 9110 9.3.6, 9.3.8; CVE-2023-27491 (Envoy)",
        "400 `malformed_request`, 405 for CONNECT and TRACE, 505 for other versions, close",
    )
    HOST = (
        "Host, absolute form, fragments",
        "RFC 9112 3.2; CVE-2023-29406 (Go), CVE-2021-32779 (Envoy), CVE-2023-45539 (HAProxy)",
        (
            "400 `malformed_request`, close: one Host that is host[:port] and equals that of an absolute "
            "target, which is "
            "forwarded in origin form; no fragment"
        ),
    )
    PATHS = (
        "Path confusion: dots, slashes, escapes, `;`, overlong UTF-8",
        (
            "RFC 3986 2.4, 6.2.2; CVE-2019-9901, CVE-2021-29492 (Envoy), CVE-2021-41773, CVE-2021-42013 (httpd), "
            "CVE-2025-47952, CVE-2025-66490 (Traefik), CVE-2026-27587 (Caddy), CVE-2026-42274 (Heimdall)"
        ),
        "400 `ambiguous_path`, close: one canonical path is matched, decided, recorded and forwarded",
    )
    IDENTITY = (
        "Identity, forwarding and override headers, and aliases of them with `_` and `.`",
        (
            "CVE-2020-25017, CVE-2023-27487, CVE-2024-45806 (Envoy), CVE-2025-64484, CVE-2026-40575 (oauth2-proxy), "
            "CVE-2026-39858 (Traefik), CVE-2026-30851, CVE-2026-52845 (Caddy), CVE-2025-29927 (Next.js), "
            "CVE-2018-14773 "
            "(Symfony)"
        ),
        "dropped, compared by letters and digits only; written anew once each",
    )
    NOMINATED = (
        "Headers nominated by `Connection`",
        "RFC 9110 7.6.1; CVE-2024-45410 (Traefik), CVE-2025-48865 (Fabio), CVE-2022-31813 (httpd)",
        "400 `malformed_request` if it names what the decision or the framing rests on; else they are dropped",
    )
    COOKIES = (
        "Cookies: quotes, `$Version`, nameless, order, case, twice",
        "RFC 6265 5.4, RFC 2965; CVE-2022-31629 (PHP), phantom `$Version` (PortSwigger, 2024), cookie sandwich (2025)",
        (
            "bytes split at `;` and the first `=`, nothing else means anything; 401 `ambiguous_credential` for two "
            "sessions or two kinds that differ, close; the session is cut out, the rest passes byte for byte"
        ),
    )
    UPGRADES = (
        "Upgrades: h2c, other protocols, bodies, early bytes",
        (
            "RFC 6455 4.1, RFC 9110 7.8; h2c smuggling (Bishop Fox, 2020), CVE-2024-23326 (Envoy), "
            "CVE-2026-2833 (Pingora), "
            "CVE-2026-58055 (nghttpx)"
        ),
        (
            "WebSocket by GET without a body only, else 400; other upgrades are dropped and served as plain "
            "requests; a "
            "tunnel opens on the right 101 only, and never if the client sent anything before it"
        ),
    )
    EXPECT = (
        "`Expect` games (0.CL, vanilla and obfuscated)",
        "RFC 9110 10.1.1; HTTP/1.1 must die (PortSwigger, 2025)",
        "never forwarded; 100 comes from the proxy once the request is allowed; anything else 417, close",
    )
    PIPELINES = (
        "Something behind: error then pipeline, CL.0, body as request",
        (
            "CVE-2022-22720 (httpd), CVE-2019-20372 (nginx), CVE-2024-49768 (waitress); browser-powered desync "
            "(PortSwigger, 2022)"
        ),
        (
            "nothing behind an unreadable request or an unread body is looked at; what follows a request "
            "that was read "
            "whole is decided by itself"
        ),
    )
    TRAILERS = (
        "Trailers",
        "RFC 9110 6.5; CVE-2025-53643 (aiohttp)",
        "read to find the end, dropped both ways; 400 `ambiguous_framing` if malformed",
    )
    SIZES = (
        "Header bombs and long targets",
        "RFC 9110 15.5.15, RFC 6585 5; CVE-2018-12121 (Node)",
        "414, 431, close, before anything is kept",
    )

    def __init__(self, title: str, origin: str, measure: str) -> None:
        self.title = title
        self.origin = origin
        self.measure = measure
