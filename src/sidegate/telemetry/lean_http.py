"""aiohttp without the certificates of all the world.

aiohttp makes a TLS context for its clients when it is imported, and reads every authority's certificate of the system
for it: a quarter of all instructions of a start, and 1.2 MiB of every process, of 60 that an idle one may have
(spec 7). Most sidecars ask nobody over HTTPS. So while aiohttp is imported, it is given a context that trusts nobody.

Whoever asks over HTTPS says whom it trusts: a session without ``TCPConnector(ssl=...)`` of its own reaches nobody, if
this was imported first.
"""

import ssl
import sys
from typing import Final

_MAKER: Final = "create_default_context"


def _trust_nobody() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _import_aiohttp() -> None:
    if "aiohttp" in sys.modules:  # loaded already, so there is nothing to save
        return
    names = vars(ssl)
    maker = names[_MAKER]
    names[_MAKER] = _trust_nobody
    try:
        import aiohttp  # noqa: F401, PLC0415
    finally:
        names[_MAKER] = maker


_import_aiohttp()
