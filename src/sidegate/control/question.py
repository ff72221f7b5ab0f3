"""Questions to the engine as JSON: the lines of `sidegate decide`, the body of `/v1/explain` (spec 6.4). Pure."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from enum import StrEnum
from ipaddress import ip_address
from typing import Final, TypeVar

from sidegate.core.model.authority import Authority, Mask, mask_of
from sidegate.core.model.errors import NamingError, Problem, SidegateError
from sidegate.core.model.principal import Address, CredentialKind, Link, LinkDeny, Query, VerifiedCredential
from sidegate.core.model.target import Kind, Scope, Target, parse_scope, parse_target, require_name
from sidegate.core.model.units import UnixMillis, parse_instant
from sidegate.core.model.value import value

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

_MILLIS_PER_SECOND: Final = 1000
_MAX_AGE_S: Final = 1 << 40
"""No second factor is older than the world; keeps the arithmetic within 63 bits."""
_LAST_INSTANT: Final = 253_402_300_799_999
"""The last millisecond of the year 9999: what can be written again as an instant."""
_MAX_LISTED: Final = 1024
"""Members of one list: more are a mistake, and a question must stay cheap to read."""

_ACCOUNT_KINDS: Final = ("user:", "service:")


class QuestionError(SidegateError):
    """The question cannot be read.

    Attributes:
        problems: Everything that is wrong with it, each with the member's name and what to write instead.
    """

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


@value
class Question:
    """One question.

    Attributes:
        id: As given, handed back with the answer: a string, a number, or None.
        query: What the engine is asked.
        now: The instant to decide at.
    """

    id: str | int | float | None
    query: Query
    now: UnixMillis


class _MemberError(SidegateError):
    """One member is wrong. Where it stands is the reader's to add."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(f"{what}; {hint}")
        self.what = what
        self.hint = hint


class _Reader:
    """Takes the members of one object and remembers what is wrong with them.

    Args:
        members: The object.
        where: Before the names in messages, e.g. ``chain[0].``.
        problems: What was found wrong so far, added to.
    """

    __slots__ = ("_members", "_problems", "_wanted", "_where")

    def __init__(self, members: Mapping[str, object], where: str, problems: list[Problem]) -> None:
        self._members = members
        self._where = where
        self._problems = problems
        self._wanted: list[str] = []

    def wrong(self, name: str, what: str, hint: str) -> None:
        """Remember that the member *name* is wrong."""
        self._problems.append(Problem(None, self._where + name, what, hint))

    def take(self, name: str, read: Callable[[object], T], default: T, *, required: bool = False) -> T:
        """Return the member *name* as *read* has it; *default* when it is missing, null or wrong."""
        self._wanted.append(name)
        given = self._members.get(name)
        if given is None:
            if required:
                self.wrong(name, "is missing", "every question needs it")
            return default
        try:
            return read(given)
        except _MemberError as error:
            self.wrong(name, error.what, error.hint)
            return default

    def take_object(self, name: str) -> "_Reader":
        """Return a reader of the object *name*, of an empty one when it is missing or null."""
        return _Reader(self.take(name, _object, {}), f"{self._where}{name}.", self._problems)

    def take_objects(self, name: str) -> "list[_Reader]":
        """Return a reader for each object of the list *name*."""
        none: list[Mapping[str, object]] = []
        found = self.take(name, _list_of(_object), none)
        return [_Reader(one, f"{self._where}{name}[{place}].", self._problems) for place, one in enumerate(found)]

    def end(self) -> None:
        """Report every member that nobody asked for."""
        for name in self._members:
            if name not in self._wanted:
                near = get_close_matches(name, self._wanted, n=1)
                hint = f"did you mean `{near[0]}`?" if near else f"there are: {', '.join(self._wanted)}"
                self.wrong(name, "is not known", hint)


def _object(given: object) -> Mapping[str, object]:
    if not isinstance(given, dict):
        raise _MemberError("is no object", "write {...}")
    return given


def _text(given: object) -> str:
    if not isinstance(given, str):
        raise _MemberError(f"is {_kind_of(given)}", "write a string")
    return given


def _flag(given: object) -> bool:
    if not isinstance(given, bool):
        raise _MemberError(f"is {_kind_of(given)}", "write true or false")
    return given


def _age(given: object) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= _MAX_AGE_S:
        raise _MemberError("is no age", "write whole seconds, 0 or more, or null for never")
    return given


def _identifier(given: object) -> str | int | float:
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        raise _MemberError(f"is {_kind_of(given)}", "write a string or a number")
    return given


def _kind_of(given: object) -> str:
    match given:
        case bool():
            return "a truth value"
        case str():
            return "a string"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case _:
            return "an object"


def _list_of(read: Callable[[object], T]) -> Callable[[object], list[T]]:
    def read_list(given: object) -> list[T]:
        if not isinstance(given, list):
            raise _MemberError(f"is {_kind_of(given)}", "write a list [...]")
        if len(given) > _MAX_LISTED:
            raise _MemberError(f"has {len(given)} members", f"at most {_MAX_LISTED} are allowed")
        return [read(member) for member in given]

    return read_list


def _one_of(closed_set: type[E]) -> Callable[[object], E]:
    def read_member(given: object) -> E:
        text = _text(given)
        try:
            return closed_set(text)
        except ValueError:
            raise _MemberError(f"is `{text[:64]}`", f"write one of {', '.join(closed_set)}") from None

    return read_member


def _credential_kind(given: object) -> CredentialKind:
    # People say key; records and metrics say api_key.
    return CredentialKind.API_KEY if given == "key" else _one_of(CredentialKind)(given)


def _authorities(given: object) -> Mask:
    return mask_of(_list_of(_one_of(Authority))(given))


def _scopes(given: object) -> tuple[Scope, ...]:
    return tuple(_list_of(_scope)(given))


def _scope(given: object) -> Scope:
    try:
        return parse_scope(_text(given))
    except NamingError as error:
        raise _MemberError("is no scope", f"{error}") from None


def _instant(given: object) -> UnixMillis:
    text = _text(given)
    try:
        instant = parse_instant(text)
    except ValueError:
        instant = None
    if instant is None or not 0 <= instant <= _LAST_INSTANT:
        raise _MemberError(f"is `{text[:64]}`", "write an instant like 2026-12-01T00:00:00Z")
    return instant


def _address(given: object) -> Address:
    text = _text(given)
    try:
        return ip_address(text)
    except ValueError:
        raise _MemberError(f"is `{text[:64]}`", "write an address like 10.0.0.9 or 2001:db8::1") from None


def _organization(given: object) -> str:
    try:
        return require_name(_text(given), "organization")
    except NamingError as error:
        raise _MemberError("is no name", f"{error}") from None


def _account(given: object) -> str:
    text = _text(given)
    if not text.startswith(_ACCOUNT_KINDS) or text in _ACCOUNT_KINDS:
        raise _MemberError(f"is `{text[:64]}`", "write user:ID or service:ID")
    return text


def _read_link(reader: _Reader) -> Link:
    denies = []
    for deny in reader.take_objects("deny"):
        authorities = deny.take("authorities", _authorities, None, required=True)
        on = deny.take("on", _scope, None, required=True)
        deny.end()
        if authorities is not None and on is not None:
            denies.append(LinkDeny(authorities, on))
    link = Link(
        id=reader.take("id", _text, "", required=True),
        allow=reader.take("allow", _authorities, None),
        scopes=reader.take("scopes", _scopes, None),
        deny=tuple(denies),
        expires_at=reader.take("expires_at", _instant, None),
    )
    reader.end()
    return link


def _read_target(reader: _Reader, org: str) -> Target | None:
    text = reader.take("target", _text, None, required=True)
    kind = reader.take("kind", _one_of(Kind), None)
    subtree = reader.take("subtree", _flag, default=False)
    if text is None or not org:
        return None
    try:
        target = parse_target(org, text, subtree=subtree)
    except NamingError as error:
        reader.wrong("target", "is no target", str(error))
        return None
    if kind is not None and kind is not target.kind:
        reader.wrong(
            "kind", f"is `{kind}`", f"`{text[:64]}` is a {target.kind}; leave `kind` out or correct one of them"
        )
        return None
    return target


def read_question(document: object, now: UnixMillis) -> Question:
    """Read one question.

    Args:
        document: Parsed JSON. ``org``, ``account``, ``authority`` and ``target`` are needed; whatever else is missing
            or null is the plainest case: a session of the same organization, on the web, from an unknown address,
            without a second factor, chain or approval.
        now: Decides when the question names no ``time``.

    Raises:
        QuestionError: With everything that is wrong.
    """
    problems: list[Problem] = []
    if not isinstance(document, dict):
        raise QuestionError((Problem(None, "question", f"is {_kind_of(document)}", "write one JSON object"),))
    reader = _Reader(document, "", problems)
    identifier = reader.take("id", _identifier, None)
    org = reader.take("org", _organization, "", required=True)
    account = reader.take("account", _account, "", required=True)
    authority = reader.take("authority", _one_of(Authority), None, required=True)
    target = _read_target(reader, org)
    instant = reader.take("time", _instant, now)
    age = reader.take("mfa_age_s", _age, None)
    surface = reader.take("surface", _text, "web")
    source = reader.take("source", _address, None)
    approved = reader.take("approved", _flag, default=False)
    given = reader.take_object("credential")
    chain = tuple(_read_link(link) for link in reader.take_objects("chain"))
    credential = VerifiedCredential(
        kind=given.take("kind", _credential_kind, CredentialKind.SESSION),
        id=given.take("id", _text, "question"),
        account=account,
        org=given.take("org", _organization, org),
        authorities=given.take("authorities", _authorities, None),
        scopes=given.take("scopes", _scopes, None),
        chain=chain,
        second_factor_at=None if age is None else UnixMillis(instant - age * _MILLIS_PER_SECOND),
        surface=surface,
    )
    given.end()
    reader.end()
    if problems or authority is None or target is None:
        raise QuestionError(tuple(problems))
    return Question(identifier, Query(credential, authority, target, source, approved), instant)
