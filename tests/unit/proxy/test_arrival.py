"""Which protocol speaks on a connection."""

from typing import Any

from sidegate.proxy.arrival import HTTP_1, HTTP_2, Arrival, Protocols


def _one(_: Arrival) -> Any:
    raise AssertionError("not made here")


def _two(_: Arrival) -> Any:
    raise AssertionError("not made here")


def test_only_http_1() -> None:
    """Without another protocol HTTP/1.1 is offered, and speaks whatever was negotiated."""
    protocols = Protocols(_one, {})
    assert protocols.offered == (HTTP_1,)
    assert {protocols.negotiated(name) for name in (None, HTTP_1, HTTP_2, "x")} == {_one}
    assert protocols.plain is _one


def test_others_are_preferred() -> None:
    """Others are offered first and speak where they are chosen; nobody else does."""
    protocols = Protocols(_one, {HTTP_2: _two}, cleartext=_two)
    assert protocols.offered == (HTTP_2, HTTP_1)
    assert protocols.negotiated(HTTP_2) is _two
    assert {protocols.negotiated(name) for name in (None, HTTP_1, "x")} == {_one}
    assert protocols.plain is _two
