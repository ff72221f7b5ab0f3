"""Who asks, as options of `can`, `why` and others say it: from options to a query's credential."""

from sidegate.cli.arguments import parse_address, parse_age, parse_list, read_value
from sidegate.cli.exit_codes import UsageError
from sidegate.core.identity.api_key import KeyParts, is_source_allowed, judge_key
from sidegate.core.identity.names import is_surface
from sidegate.core.model.authority import Authority, Mask, mask_of
from sidegate.core.model.decision import Decision, Reason, deny
from sidegate.core.model.principal import Address, CredentialKind, VerifiedCredential
from sidegate.core.model.target import Scope, parse_scope
from sidegate.core.model.units import UnixMillis
from sidegate.core.model.value import value
from sidegate.core.policy.document import KeyEntry
from sidegate.core.policy.snapshot import Snapshot
from sidegate.credentials.proving import KEY_SURFACE


@value
class Circumstances:
    """What a request brings with it, as options say it.

    Attributes:
        mfa_age: How long ago a second factor was used, e.g. ``60s``; None for never.
        surface: ``web``, ``mobile``, ``admin``.
        source: The client's address; None for unknown.
        authorities: The credential's own, e.g. ``read,run``; None for no restriction.
        scopes: The credential's own, e.g. ``p1,p2@main``; None for no restriction.
        key_id: An API key of the policy instead of a session.
    """

    mfa_age: str | None = None
    surface: str = "web"
    source: str | None = None
    authorities: str | None = None
    scopes: str | None = None
    key_id: str | None = None


def parse_account(text: str) -> str:
    """Return *text* if it is written like an account.

    Raises:
        ValueError: It is not.
    """
    kind, colon, name = text.partition(":")
    if not colon or kind not in {"user", "service"} or not name:
        raise ValueError(f"`{text}` is no account; write user:ID or service:ID")
    return text


def find_organization(snapshot: Snapshot, given: str | None, account: str | None = None) -> str:
    """Return the organization that is meant: the one *given*, the only one, or the only one *account* belongs to.

    Raises:
        UsageError: It does not follow.
    """
    if given is not None:
        return given
    names = sorted(snapshot.organizations)
    if account is not None and len(names) > 1:
        names = [name for name in names if snapshot.organizations[name].records.record_of(account) is not None] or names
    if len(names) == 1:
        return names[0]
    if not names:
        raise UsageError("there is no policy; name a folder that holds policy files with --policy PATH")
    raise UsageError(f"several organizations could be meant; give --org, one of {', '.join(names)}")


def credential_of(
    snapshot: Snapshot, org: str, account: str, circumstances: Circumstances, now: UnixMillis
) -> VerifiedCredential:
    """Return what verification would have proven.

    Raises:
        UsageError: An option cannot be read, or names a key that is not the account's.
    """
    if not is_surface(circumstances.surface):
        raise UsageError(f"--surface: `{circumstances.surface}` is no surface; use web, mobile or admin")
    authorities, scopes = _authorities(circumstances.authorities), _scopes(circumstances.scopes)
    age = circumstances.mfa_age
    used_at = None if age is None else UnixMillis(now - read_value("--mfa-age", age, parse_age))
    if circumstances.key_id is None:
        return VerifiedCredential(
            CredentialKind.SESSION,
            "session",
            account,
            org,
            authorities=authorities,
            scopes=scopes,
            second_factor_at=used_at,
            surface=circumstances.surface,
        )
    if authorities is not None or scopes is not None or used_at is not None:
        raise UsageError("--as-key brings the key's own authorities and scopes, and no second factor; leave those out")
    key = _key(snapshot, org, circumstances.key_id)
    if key.account != account:
        raise UsageError(f"key `{key.id}` belongs to {key.account}, not to {account}")
    return VerifiedCredential(
        CredentialKind.API_KEY,
        key.id,
        account,
        org,
        authorities=key.authorities,
        scopes=key.scopes,
        surface=KEY_SURFACE,
        expires_at=key.expires_at,
    )


def refusal_of(
    snapshot: Snapshot, credential: VerifiedCredential, source: Address | None, now: UnixMillis
) -> Decision | None:
    """Return the deny that verification would answer before anything is decided; None when it would not.

    Only API keys are looked at: of a session nothing is stored in the policy.
    """
    if credential.kind is not CredentialKind.API_KEY:
        return None
    key = _key(snapshot, credential.org, credential.id)
    reason = judge_key(key, KeyParts(key.id, key.digest), now)
    if reason is None and not is_source_allowed(key, source):
        reason = Reason.SOURCE_ADDRESS
    return None if reason is None else deny(reason)


def source_of(circumstances: Circumstances) -> Address | None:
    """Return the client's address.

    Raises:
        UsageError: It is none.
    """
    text = circumstances.source
    return None if text is None else read_value("--source", text, parse_address)


def _key(snapshot: Snapshot, org: str, key_id: str) -> KeyEntry:
    organization = snapshot.organizations.get(org)
    key = None if organization is None else organization.keys.get(key_id)
    if key is None:
        raise UsageError(f"no key `{key_id}` is in the policy of {org}; see `sidegate policy show`")
    return key


def _authorities(text: str | None) -> Mask | None:
    names = parse_list(text)
    if names is None:
        return None
    unknown = [name for name in names if name not in set(Authority)]
    if unknown:
        raise UsageError(f"--authorities: `{unknown[0]}` is no authority; use some of {', '.join(Authority)}")
    return mask_of(Authority(name) for name in names)


def _scopes(text: str | None) -> tuple[Scope, ...] | None:
    names = parse_list(text)
    return None if names is None else tuple(read_value("--scopes", name, parse_scope) for name in names)
