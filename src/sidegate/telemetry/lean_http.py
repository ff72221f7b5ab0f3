"""aiohttp without the certificates of all the world.

aiohttp makes two TLS contexts for its clients when it is imported, and reads every authority's certificate of the
system for each: a quarter of all instructions of a start, and 2 MiB of every process, of 60 that an idle one may have
(spec 7). Most sidecars ask nobody over HTTPS. So nothing is read while aiohttp is imported, and these contexts trust
nobody.

Whoever asks over HTTPS says whom it trusts: a session without ``TCPConnector(ssl=...)`` of its own reaches nobody, if
this was imported first.
"""

import ssl
import sys


def _read_nothing(context: ssl.SSLContext) -> None:
    """Stand in for ``SSLContext.set_default_verify_paths``, through which all reading goes."""
    del context


def _import_aiohttp() -> None:
    if "aiohttp" in sys.modules:  # loaded already, so there is nothing to save
        return
    ssl.SSLContext.set_default_verify_paths = _read_nothing  # type: ignore[assignment, method-assign]
    try:
        import aiohttp  # noqa: F401, PLC0415
    finally:
        del ssl.SSLContext.set_default_verify_paths  # what is inherited shows again


_import_aiohttp()
