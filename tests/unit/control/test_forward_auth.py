"""What other proxies send is handed on as it came, and what comes back is their answer."""

from dataclasses import dataclass

import pytest
from tests.unit.control.conftest import Serve

from sidegate.control.forward_auth import ForwardAuth

DESCRIBED = {"X-Forwarded-Method": "PUT", "X-Forwarded-Uri": "/a//b?c=%zz", "X-Forwarded-Host": "h.example"}


@dataclass
class Answer:
    """What the port answers."""

    status: int = 200
    fields: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class Decider:
    """Notes what it is asked and answers what it is told to."""

    def __init__(self, answer: Answer | None) -> None:
        self.answer = answer
        self.asked: list[tuple[bytes, bytes, bytes, bytes, str | None]] = []
        self.fields: tuple[tuple[bytes, bytes], ...] = ()

    async def ask(  # noqa: PLR0917  the arguments of what is asked
        self,
        method: bytes,
        target: bytes,
        host: bytes,
        fields: tuple[tuple[bytes, bytes], ...],
        body: bytes,
        source: str | None,
    ) -> Answer | None:
        """Take a question."""
        self.asked.append((method, target, host, body, source))
        self.fields = fields
        return self.answer


async def test_handed_on(serve: Serve) -> None:
    """Byte for byte: whoever decides reads it strictly, so nothing is mended before."""
    decider = Decider(Answer(200, (("X-Sidegate-Account", "user:ana"),)))
    client = await serve(ForwardAuth(decider.ask))
    answer = await client.get("/forward_auth", headers={**DESCRIBED, "X-Odd": "a  b"})
    assert (answer.status, answer.headers["X-Sidegate-Account"]) == (200, "user:ana")
    assert decider.asked == [(b"PUT", b"/a//b?c=%zz", b"h.example", b"", "127.0.0.1")]
    assert (b"X-Odd", b"a  b") in decider.fields


async def test_behind_a_prefix(serve: Serve) -> None:
    """The target of `ext_authz` is what stands behind the prefix, with its query."""
    decider = Decider(Answer())
    client = await serve(ForwardAuth(decider.ask))
    await client.post("/ext_authz/v1/x%2Fy?q=%20z", data=b"{}", headers={"Host": "h.example"})
    ((method, target, host, body, _),) = decider.asked
    assert (method, target, host, body) == (b"POST", b"/v1/x%2Fy?q=%20z", b"h.example", b"{}")


async def test_refusal(serve: Serve) -> None:
    """Status, fields and document of a refusal go out as they are."""
    fields = (("Content-Type", "application/problem+json"), ("WWW-Authenticate", 'Bearer realm="sidegate"'))
    client = await serve(ForwardAuth(Decider(Answer(401, fields, b'{"status":401}')).ask))
    answer = await client.get("/forward_auth", headers=DESCRIBED)
    assert (answer.status, await answer.read()) == (401, b'{"status":401}')
    assert [answer.headers.getall(name) for name, _ in fields] == [[text] for _, text in fields]


async def test_no_decision(serve: Serve) -> None:
    """Without a decision the answer is no yes."""
    client = await serve(ForwardAuth(Decider(None).ask))
    assert (await client.get("/forward_auth", headers=DESCRIBED)).status == 503


@pytest.mark.parametrize(
    ("target", "asked"),
    [
        pytest.param("https://h.example/a?b", b"/a?b", id="absolute"),
        pytest.param("HTTP://h.example", b"/", id="no-path"),
        pytest.param("https://h.example?b", b"/?b", id="query-alone"),
        pytest.param("https:/a", b"https:/a", id="no-authority"),
        pytest.param("//h.example/a", b"//h.example/a", id="no-scheme"),
    ],
)
async def test_absolute_targets(serve: Serve, target: str, asked: bytes) -> None:
    """An absolute target loses scheme and authority; whatever else it is, is left for the strict reader."""
    decider = Decider(Answer())
    client = await serve(ForwardAuth(decider.ask))
    await client.get("/forward_auth", headers={"X-Original-Method": "GET", "X-Original-Url": target})
    assert [target for _, target, *_ in decider.asked] == [asked]
