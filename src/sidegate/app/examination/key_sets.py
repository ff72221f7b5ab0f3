"""The key set of the identity provider: whether session tokens could be verified (spec 3.1)."""

from collections.abc import Iterator
from typing import Final

from sidegate.app.examination.check import Check, Finding, Section, Site
from sidegate.config.endpoints import FileSource
from sidegate.config.held import SignedSessions
from sidegate.core.identity.jwk import Algorithm, parse_jwks
from sidegate.core.model.errors import DependencyError
from sidegate.credentials.jwks import FileFetcher, UrlFetcher, open_session

THERE: Final = Check(
    "jwks-there", Section.JWKS, "The key set of the identity provider can be had.",
    "Correct `sessions.signed.jwks`, or let this machine reach it; until then no session token verifies.",
)  # fmt: skip
USABLE: Final = Check(
    "jwks-usable", Section.JWKS, "It holds a key for each algorithm that is allowed.",
    "Allow the algorithms that the provider signs with, and no others (`sessions.signed.algorithms`).",
)  # fmt: skip
CLEAN: Final = Check(
    "jwks-clean", Section.JWKS, "No key for signatures is too weak or malformed.",
    "Have the provider publish good ones; those named here verify nothing.",
)  # fmt: skip
ISSUED: Final = Check(
    "jwks-issued", Section.JWKS, "Who tokens are for is checked.",
    "Name the application under `authorized_parties` or `audience`; else a token for another one is taken too.",
)  # fmt: skip


async def examine_jwks(site: Site) -> list[Finding]:
    """Fetch the set and look at its keys."""
    signed = site.settings.sessions.signed
    checks = (THERE, USABLE, CLEAN)
    if signed is None:
        return [check.skip("signed sessions are not accepted") for check in (*checks, ISSUED)]
    issued = bool(signed.authorized_parties or signed.audience)
    last = ISSUED.ok("azp or aud") if issued else ISSUED.warn("a token for any application is taken")
    if signed.jwks is None:
        return [*(check.skip("tokens are verified with a shared secret") for check in checks), last]
    try:
        document = await _fetch(signed)
        found = list(_examine(document, signed))
    except (DependencyError, ValueError) as error:
        return [THERE.fail(str(error)), *(check.skip("there is no key set") for check in checks[1:]), last]
    return [THERE.ok(str(signed.jwks)), *found, last]


async def _fetch(signed: SignedSessions) -> bytes:
    if isinstance(signed.jwks, FileSource):
        document = await FileFetcher(signed.jwks.path).fetch()
    else:
        async with open_session() as session:
            document = await UrlFetcher(signed.jwks.url if signed.jwks is not None else "", session).fetch()
    return document or b""


def _examine(document: bytes, signed: SignedSessions) -> Iterator[Finding]:
    wanted = frozenset(Algorithm(algorithm.value) for algorithm in signed.algorithms) - {Algorithm.HS256}
    keys, skipped = parse_jwks(document, wanted)
    by_algorithm = dict.fromkeys(sorted(wanted), 0)
    for key in keys.by_kid.values():
        by_algorithm[key.algorithm] += 1
    told = ", ".join(f"{count} for {algorithm}" for algorithm, count in by_algorithm.items())
    if not keys.by_kid:
        yield USABLE.fail(told)
    else:
        yield USABLE.ok(told) if all(by_algorithm.values()) else USABLE.warn(told)
    if skipped:
        yield CLEAN.warn("; ".join(f"key {one.place} ({one.kid or 'no kid'}) {one.why}" for one in skipped[:3]))
    else:
        yield CLEAN.ok(f"{len(keys.by_kid)} keys")
