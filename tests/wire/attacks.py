"""All attacks on the wire; docs/security/wire.md is written from them and held to them."""

from typing import Final

from tests.wire import attacks_framing, attacks_headers, attacks_heads

ATTACKS: Final = tuple(
    attack
    for rows in (
        attacks_framing.framing,
        attacks_framing.chunks,
        attacks_heads.lines,
        attacks_heads.request_line,
        attacks_heads.hosts,
        attacks_heads.paths,
        attacks_headers.identity,
        attacks_headers.nominated,
        attacks_headers.cookies,
        attacks_headers.upgrades,
        attacks_headers.expect,
        attacks_framing.pipelines,
        attacks_framing.trailers,
        attacks_framing.sizes,
    )
    for attack in rows()
)
