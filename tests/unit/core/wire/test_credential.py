"""Cookies, bearer tokens and the digest of what is presented (spec 2.4)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidegate.core.wire.credential import MALFORMED, NOTHING, cut_cookie, gather, read_bearer, read_cookies

NAME = b"__session"


@pytest.mark.parametrize(
    ("values", "sessions", "rest"),
    [
        pytest.param([b"__session=t"], (b"t",), (), id="alone"),
        pytest.param([b"a=1; __session=t; b=2"], (b"t",), (b"a=1; b=2",), id="between"),
        pytest.param([b"__session=t; b=2"], (b"t",), (b"b=2",), id="first"),
        pytest.param([b"a=1;__session=t"], (b"t",), (b"a=1",), id="last"),
        pytest.param([b"__session=t;b=2"], (b"t",), (b"b=2",), id="no-blank"),
        pytest.param([b"__session=t=="], (b"t==",), (), id="first-equals-divides"),
        pytest.param([b"__session="], (b"",), (), id="empty-value-counts"),
        pytest.param([b"\t__session \t= \tt\t"], (b"t",), (), id="blanks-trimmed"),
        pytest.param([b"\x0b__session=t"], (), (b"\x0b__session=t",), id="vertical-tab-is-no-blank"),
        pytest.param([b"__session=\xa0t"], (b"\xa0t",), (), id="no-break-space-is-no-blank"),
        pytest.param([b"__session=a; __session=b"], (b"a", b"b"), (), id="twice-in-a-line"),
        pytest.param([b"__session=a; x=1", b"y=2; __session=a"], (b"a", b"a"), (b"x=1", b"y=2"), id="two-lines"),
        pytest.param([b"__session"], (), (b"__session",), id="nameless"),
        pytest.param([b"=__session=t"], (), (b"=__session=t",), id="empty-name"),
        pytest.param([b"__SESSION=t"], (), (b"__SESSION=t",), id="other-case-is-another-cookie"),
        pytest.param([b"__Host-__session=t"], (), (b"__Host-__session=t",), id="prefix-is-another-cookie"),
        pytest.param([b"__session_2=t"], (), (b"__session_2=t",), id="suffix-is-another-cookie"),
        pytest.param([b'a="x; __session=t"'], (b't"',), (b'a="x',), id="no-quoted-strings"),
        pytest.param([b'__session="t"'], (b'"t"',), (), id="quotes-belong-to-the-value"),
        pytest.param([b"$Version=1; __session=t; $Path=/"], (b"t",), (b"$Version=1; $Path=/",), id="no-attributes"),
        pytest.param([b"a=1, __session=t"], (), (b"a=1, __session=t",), id="comma-does-not-split"),
        pytest.param([b"a=__session"], (), (b"a=__session",), id="name-as-a-value"),
        pytest.param([b";;a=1;;"], (), (b";;a=1;;",), id="empty-pieces-stay"),
        pytest.param([b"a=1", b"b=2"], (), (b"a=1", b"b=2"), id="none"),
        pytest.param([], (), (), id="no-header"),
    ],
)
def test_read_cookies(values: list[bytes], sessions: tuple[bytes, ...], rest: tuple[bytes, ...]) -> None:
    """Split on `;`, trim SP and HTAB, the first `=` divides, exact names, the others byte for byte (spec 2.4)."""
    assert (sessions, rest) == read_cookies(values, NAME)


PIECES = st.lists(
    st.one_of(
        st.binary(max_size=12).map(lambda raw: raw.replace(b";", b"")),
        st.sampled_from([b"__session=x", b" __session =y", b" a=1", b"b=__session", b"", b" "]),
    ),
    max_size=8,
).map(b";".join)


@given(PIECES)
def test_cut_leaves_nothing_to_read(value: bytes) -> None:
    """After the cut no session cookie is left for the upstream, however the line is built (spec 2.3 (4))."""
    assert read_cookies([cut_cookie(value, NAME)], NAME)[0] == ()


@given(PIECES)
def test_cut_keeps_the_others(value: bytes) -> None:
    """Every other piece stays byte for byte and in order; only the blank before a new first one may go."""
    kept = [piece for piece in value.split(b";") if piece.partition(b"=")[0].strip(b" \t") != NAME or b"=" not in piece]
    assert b";".join(kept).lstrip(b" \t") == cut_cookie(value, NAME).lstrip(b" \t")


@given(PIECES)
def test_cut_twice_is_cut_once(value: bytes) -> None:
    """Cutting is idempotent."""
    once = cut_cookie(value, NAME)
    assert once == cut_cookie(once, NAME)


@pytest.mark.parametrize(
    ("value", "token"),
    [
        pytest.param(b"Bearer abc", b"abc", id="plain"),
        pytest.param(b"bEARER abc", b"abc", id="any-case"),
        pytest.param(b"Bearer   abc", b"abc", id="many-spaces"),
        pytest.param(b"Bearer aA0-._~+/==", b"aA0-._~+/==", id="whole-alphabet"),
        pytest.param(b" Bearer abc\t", b"abc", id="outer-blanks"),
        pytest.param(b"Bearer", MALFORMED, id="no-token"),
        pytest.param(b"Bearer ", MALFORMED, id="only-a-space"),
        pytest.param(b"Bearer\tabc", MALFORMED, id="tab-does-not-separate"),
        pytest.param(b"Bearer abc def", MALFORMED, id="two-tokens"),
        pytest.param(b"Bearer abc, Basic x", MALFORMED, id="list"),
        pytest.param(b"Bearer =abc", MALFORMED, id="padding-first"),
        pytest.param(b"Bearer ab=c", MALFORMED, id="padding-inside"),
        pytest.param(b'Bearer "abc"', MALFORMED, id="quoted"),
        pytest.param(b"Bearer abc\n", MALFORMED, id="newline"),
        pytest.param(b"Bearer \xc3\xa9", MALFORMED, id="not-ascii"),
        pytest.param(b"Basic YTpi", None, id="basic-is-not-ours"),
        pytest.param(b"Bearerabc", None, id="another-scheme"),
        pytest.param(b"Bearer=abc", None, id="no-scheme"),
        pytest.param(b"", None, id="empty"),
    ],
)
def test_read_bearer(value: bytes, token: bytes | None) -> None:
    """`Bearer` in any case, spaces, one b64token; other schemes are not ours (RFC 6750 section 2.1)."""
    assert token == read_bearer(value)


@pytest.mark.parametrize(
    ("sessions", "authorizations", "keys", "ambiguous"),
    [
        pytest.param((), (), (), False, id="nothing"),
        pytest.param((b"t",), (b"Bearer t",), (b"t",), False, id="one-of-each"),
        pytest.param((b"t", b"t"), (), (), True, id="same-cookie-twice"),
        pytest.param((), (b"Bearer t", b"Basic x"), (), True, id="two-authorizations"),
        pytest.param((), (b"Basic x", b"Basic x"), (), True, id="two-foreign-authorizations"),
        pytest.param((), (), (b"k", b"k"), True, id="two-keys"),
    ],
)
def test_gather_ambiguous(
    sessions: tuple[bytes, ...],
    authorizations: tuple[bytes, ...],
    keys: tuple[bytes, ...],
    ambiguous: bool,
) -> None:
    """Anything presented twice is ambiguous, equal bytes included; never the first wins (spec 3)."""
    assert ambiguous == gather(sessions, authorizations, keys).ambiguous


PRESENTED = st.tuples(
    *[st.one_of(st.none(), st.text("ab1:-", max_size=4).map(str.encode)) for _ in range(2)],
)


@given(PRESENTED, PRESENTED)
def test_digest_is_exact(one: tuple[bytes | None, ...], other: tuple[bytes | None, ...]) -> None:
    """Digests are equal exactly when what is presented is equal: no joining with a separator (spec 2.4)."""

    def digest(pair: tuple[bytes | None, ...]) -> bytes:
        session, key = pair
        return gather(() if session is None else (session,), (), () if key is None else (key,)).digest

    assert (one == other) == (digest(one) == digest(other))


def test_digest_tells_where() -> None:
    """The same bytes as cookie, bearer or key are three different things, and so is having them twice."""
    digests = {
        gather((b"t",), (), ()).digest,
        gather((), (b"Bearer t",), ()).digest,
        gather((), (), (b"t",)).digest,
        gather((b"t", b"t"), (), ()).digest,
        NOTHING.digest,
    }
    assert len(digests) == 5
