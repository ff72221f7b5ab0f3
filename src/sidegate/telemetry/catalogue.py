"""Every metric there is: name, kind, labels from closed sets, meaning (spec 6.7). No code counts what is not listed."""

from enum import StrEnum
from itertools import product
from typing import Final

from sidegate.core.anomaly.watch import AnomalyKind
from sidegate.core.model.authority import Authority
from sidegate.core.model.decision import Outcome, Reason
from sidegate.core.model.value import value

NO_AUTHORITY_LABEL: Final = "none"
"""Label of a decision about no authority: a public route, or a request refused before it could be asked about."""

NO_CODE: Final = "none"
"""Label of a request that got no answer, or an answer with a status outside 100 to 599."""

FIRST_CODE: Final = 100
CODES_END: Final = 600
"""Statuses are three digits, the first of them 1 to 5 (RFC 9110 section 15); one cell each, and one for none."""


class MetricKind(StrEnum):
    """What a number does."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Across(StrEnum):
    """How the values of several workers become the one that is exported."""

    SUM = "sum"
    MAX = "max"
    MIN = "min"


class RequestKind(StrEnum):
    """What became of a request."""

    FORWARDED = "forwarded"  # decided, allowed, answered by the upstream
    PUBLIC = "public"  # on a public route: forwarded without a credential
    UPGRADED = "upgraded"  # became a tunnel
    REFUSED = "refused"  # answered by Sidegate: denied, unreadable or over a limit
    FAILED = "failed"  # allowed, then answered by Sidegate because the upstream did not do its part
    ABORTED = "aborted"  # cut before an answer was whole; `code` says how far it came


class UpstreamFailure(StrEnum):
    """What the upstream did wrong."""

    UNREACHABLE = "unreachable"  # no connection
    TIMEOUT = "timeout"  # no answer in time
    INVALID = "invalid"  # an answer that cannot be read in one way
    TRUNCATED = "truncated"  # the answer broke off after its head was out


class PresentedKind(StrEnum):
    """What a request presented."""

    SESSION = "session"
    API_KEY = "api_key"
    NONE = "none"  # nothing, or nothing that could be told apart


class AuditDrop(StrEnum):
    """Why a record is not in the spool."""

    SPOOL_FULL = "spool_full"  # the spool or the disk is full; its request was refused
    WRITE_FAILED = "write_failed"  # the disk refused it; its request was refused
    OLDEST_DROPPED = "oldest_dropped"  # removed to make room, `on_full: drop_oldest`
    TORN_LINE = "torn_line"  # cut off behind the last whole record after a crash; nobody had been answered


class TlsFailure(StrEnum):
    """Why a TLS handshake with a client came to nothing."""

    NOT_TLS = "not_tls"  # plain HTTP, or something else
    VERSION = "version"  # no version, cipher or group in common
    CLIENT_CERTIFICATE = "client_certificate"  # none, or not of `client_ca`
    REJECTED = "rejected"  # the client does not accept our certificate
    PROTOCOL = "protocol"  # any other breach
    TIMEOUT = "timeout"  # not done in time
    CROWDED = "crowded"  # given up for newer ones, when too many were not done
    GONE = "gone"  # the client left before it was done


class TlsUse(StrEnum):
    """Where TLS is spoken, and so which files are renewed together."""

    LISTEN = "listen"
    UPSTREAM = "upstream"


class TlsCertificate(StrEnum):
    """A file of certificates, by its setting; of several the one that expires first counts."""

    LISTEN_CERT = "listen_cert"
    LISTEN_CLIENT_CA = "listen_client_ca"
    UPSTREAM_CERT = "upstream_cert"
    UPSTREAM_CA = "upstream_ca"


class ProxyHeaderFailure(StrEnum):
    """Why a connection that has to begin with a header of the PROXY protocol was refused."""

    UNTRUSTED = "untrusted"  # its peer is not among `trusted_proxies`
    MALFORMED = "malformed"  # no header, or not in one of its forms
    TIMEOUT = "timeout"  # not there in time
    GONE = "gone"  # the peer left before it was whole


VERIFIED: Final = "verified"
"""Label of a credential that was found good; any other carries the reason it was refused for."""

CREDENTIAL_REASONS: Final = (
    Reason.NO_CREDENTIAL,
    Reason.AMBIGUOUS_CREDENTIAL,
    Reason.INVALID_CREDENTIAL,
    Reason.SESSION_EXPIRED,
    Reason.SESSION_IDLE,
    Reason.SESSION_REVOKED,
    Reason.KEY_EXPIRED,
    Reason.KEY_REVOKED,
    Reason.KEY_CONSUMED,
)
"""Why a credential is refused: status 401 of spec 6.5 but `mfa_required`, which is about what is asked."""

ALLOWING: Final = frozenset({Reason.GRANTED, Reason.PUBLIC_ROUTE})
"""The reasons that go with ``allow``; every other one goes with ``deny``."""

Row = tuple[str, ...]
"""Values of a metric's labels, in their order."""


@value
class Metric:
    """One metric.

    Attributes:
        name: As exported, unit and ``_total`` included.
        kind: Counter, gauge or histogram.
        meaning: One sentence for the operator; becomes the HELP line and the table in the documentation.
        labels: Names of the labels.
        rows: Every combination of label values there can be; one unlabelled row when there are no labels.
        always: Rows that are exported although nothing was counted, so that an alert on them has a value to look at.
        across: How several workers become one value.
        nanos: Its cells hold nanoseconds; exported in seconds.
    """

    name: str
    kind: MetricKind
    meaning: str
    labels: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ((),)
    always: frozenset[Row] = frozenset({()})
    across: Across = Across.SUM
    nanos: bool = False


def outcome_of(reason: Reason) -> Outcome:
    """Return the outcome that goes with *reason*."""
    return Outcome.ALLOW if reason in ALLOWING else Outcome.DENY


_AUTHORITIES: Final = (*(str(authority) for authority in Authority), NO_AUTHORITY_LABEL)
_CODES: Final = (NO_CODE, *(str(code) for code in range(FIRST_CODE, CODES_END)))

DECISIONS: Final = Metric(
    "sidegate_decisions_total",
    MetricKind.COUNTER,
    "Decisions, refusals before one included; what then cannot be recorded counts again, as `audit_unavailable`.",
    ("outcome", "reason", "authority"),
    tuple((str(outcome_of(reason)), str(reason), authority) for reason in Reason for authority in _AUTHORITIES),
    # What must alert although it never happened before: Sidegate itself cannot decide or record.
    frozenset(
        (str(Outcome.DENY), str(reason), NO_AUTHORITY_LABEL)
        for reason in (Reason.POLICY_UNAVAILABLE, Reason.AUDIT_UNAVAILABLE, Reason.OVERLOADED)
    ),
)
DECISION_SECONDS: Final = Metric(
    "sidegate_decision_seconds",
    MetricKind.HISTOGRAM,
    "Time that a decision took, the candidate policy excluded.",
    nanos=True,
)
OVERHEAD_SECONDS: Final = Metric(
    "sidegate_overhead_seconds",
    MetricKind.HISTOGRAM,
    "Time that Sidegate added to a request; waiting for the upstream or for the client is not in it.",
    nanos=True,
)
REQUESTS: Final = Metric(
    "sidegate_requests_total",
    MetricKind.COUNTER,
    "Requests by the status that was answered and by what became of them.",
    ("code", "kind"),
    tuple((code, str(kind)) for kind in RequestKind for code in _CODES),
    frozenset(),
)
REQUESTS_IN_FLIGHT: Final = Metric(
    "sidegate_requests_in_flight", MetricKind.GAUGE, "Requests whose head is read and whose answer is not yet whole."
)
CONNECTIONS: Final = Metric("sidegate_connections", MetricKind.GAUGE, "Open connections of clients.")
UPSTREAM_SECONDS: Final = Metric(
    "sidegate_upstream_seconds",
    MetricKind.HISTOGRAM,
    "Time from handing a request to the upstream to the head of its answer.",
    nanos=True,
)
UPSTREAM_FAILURES: Final = Metric(
    "sidegate_upstream_failures_total",
    MetricKind.COUNTER,
    "Requests that failed at the upstream.",
    ("cause",),
    tuple((str(cause),) for cause in UpstreamFailure),
    frozenset((str(cause),) for cause in UpstreamFailure),
)
CREDENTIALS: Final = Metric(
    "sidegate_credentials_total",
    MetricKind.COUNTER,
    "Credentials by what was presented and what verification said: `verified`, or the reason of the refusal.",
    ("kind", "outcome"),
    tuple(
        (str(kind), outcome)
        for kind, outcome in product(PresentedKind, (VERIFIED, *(str(reason) for reason in CREDENTIAL_REASONS)))
    ),
    frozenset(),
)
SNAPSHOT_REVISION_LAG: Final = Metric(
    "sidegate_snapshot_revision_lag",
    MetricKind.GAUGE,
    "Revisions that were published and are not yet enforced here.",
    across=Across.MAX,
)
SNAPSHOT_AGE_SECONDS: Final = Metric(
    "sidegate_snapshot_age_seconds",
    MetricKind.GAUGE,
    "Time since the policy in force was last known to be the newest.",
    across=Across.MAX,
    nanos=True,
)
SNAPSHOT_LOAD_FAILURES: Final = Metric(
    "sidegate_snapshot_load_failures_total",
    MetricKind.COUNTER,
    "Policies that could not be used; the last good one stayed in force.",
)
SUBJECTS_CACHED: Final = Metric("sidegate_subjects_cached", MetricKind.GAUGE, "Compiled subjects held in memory.")
AUDIT_SPOOLED_BYTES: Final = Metric(
    "sidegate_audit_spooled_bytes", MetricKind.GAUGE, "Size of the audit spool that is not yet acknowledged by a sink."
)
AUDIT_OLDEST_UNSHIPPED_SECONDS: Final = Metric(
    "sidegate_audit_oldest_unshipped_seconds",
    MetricKind.GAUGE,
    "Age of the oldest audit record that no sink has acknowledged.",
    across=Across.MAX,
    nanos=True,
)
AUDIT_DROPPED: Final = Metric(
    "sidegate_audit_dropped_total",
    MetricKind.COUNTER,
    "Audit records that are not in the spool.",
    ("cause",),
    tuple((str(cause),) for cause in AuditDrop),
    frozenset((str(cause),) for cause in AuditDrop),
)
SHADOW_DIVERGENCE: Final = Metric(
    "sidegate_shadow_divergence_total",
    MetricKind.COUNTER,
    "Requests that the candidate policy would have decided differently: enforced outcome, candidate's outcome.",
    ("from", "to"),
    tuple((str(enforced), str(candidate)) for enforced, candidate in product(Outcome, Outcome)),
    frozenset(
        {(str(Outcome.ALLOW), str(Outcome.DENY)), (str(Outcome.DENY), str(Outcome.ALLOW))},
    ),
)
APPROVALS_PENDING: Final = Metric(
    "sidegate_approvals_pending",
    MetricKind.GAUGE,
    "Approval requests that wait for an approver.",
    across=Across.MAX,
)
ANOMALIES: Final = Metric(
    "sidegate_anomalies_total",
    MetricKind.COUNTER,
    "Unusual behaviour of API keys and service accounts.",
    ("kind",),
    tuple((str(kind),) for kind in AnomalyKind),
    # The first one must be seen as an increase.
    frozenset((str(kind),) for kind in AnomalyKind),
)
LOOP_LAG_SECONDS: Final = Metric(
    "sidegate_loop_lag_seconds",
    MetricKind.GAUGE,
    "Greatest delay of the event loop in the last 15 to 30 seconds.",
    across=Across.MAX,
    nanos=True,
)
REDIS_UP: Final = Metric(
    "sidegate_redis_up",
    MetricKind.GAUGE,
    "Whether Redis answers: 1 or 0; only where a Redis is configured.",
    across=Across.MIN,
)
KEY_EXPIRY_WARNINGS: Final = Metric(
    "sidegate_key_expiry_warnings_total",
    MetricKind.COUNTER,
    "Requests with an API key that expires within 30 days.",
)
SNAPSHOT_FINGERPRINT: Final = Metric(
    "sidegate_snapshot_fingerprint",
    MetricKind.GAUGE,
    "Number that is the same wherever the same policy is in force: 48 bits of the digest of a policy folder, or of the "
    "place in the changes of Redis.",
    across=Across.MAX,
)
SNAPSHOT_AGE_LIMIT_SECONDS: Final = Metric(
    "sidegate_snapshot_age_limit_seconds",
    MetricKind.GAUGE,
    "Age of the policy at which the first requests are refused; only where policy is in Redis.",
    across=Across.MIN,
    nanos=True,
)
JWKS_AGE_SECONDS: Final = Metric(
    "sidegate_jwks_age_seconds",
    MetricKind.GAUGE,
    "Time since the key set of the identity provider was last read, or since the start if it never was; only where "
    "there is one.",
    across=Across.MAX,
    nanos=True,
)
JWKS_AGE_LIMIT_SECONDS: Final = Metric(
    "sidegate_jwks_age_limit_seconds",
    MetricKind.GAUGE,
    "Age of the key set at which no session token verifies any more.",
    across=Across.MIN,
    nanos=True,
)
AUDIT_SPOOL_LIMIT_BYTES: Final = Metric(
    "sidegate_audit_spool_limit_bytes", MetricKind.GAUGE, "Cap of the audit spool; the disk may be full before."
)
CONNECTIONS_LIMIT: Final = Metric(
    "sidegate_connections_limit", MetricKind.GAUGE, "Connections of clients that there may be at a time."
)
WORKER_STARTS: Final = Metric(
    "sidegate_worker_starts_total",
    MetricKind.COUNTER,
    "Workers that were started, those that took the place of one that died included.",
)
TLS_HANDSHAKE_FAILURES: Final = Metric(
    "sidegate_tls_handshake_failures_total",
    MetricKind.COUNTER,
    "TLS handshakes with clients that came to nothing.",
    ("cause",),
    tuple((str(cause),) for cause in TlsFailure),
    frozenset(),
)
TLS_RELOAD_FAILURES: Final = Metric(
    "sidegate_tls_reload_failures_total",
    MetricKind.COUNTER,
    "Renewed TLS files that could not be used; what was read before stayed in force.",
    ("use",),
    tuple((str(use),) for use in TlsUse),
    frozenset((str(use),) for use in TlsUse),
)
TLS_CERTIFICATE_REMAINING_SECONDS: Final = Metric(
    "sidegate_tls_certificate_remaining_seconds",
    MetricKind.GAUGE,
    "Time until a TLS certificate in force expires; negative once it has.",
    ("certificate",),
    tuple((str(certificate),) for certificate in TlsCertificate),
    frozenset(),
    across=Across.MIN,
    nanos=True,
)
PROXY_HEADER_FAILURES: Final = Metric(
    "sidegate_proxy_header_failures_total",
    MetricKind.COUNTER,
    "Connections without a usable header of the PROXY protocol, which were ended.",
    ("cause",),
    tuple((str(cause),) for cause in ProxyHeaderFailure),
    frozenset(),
)
PROCESS_CPU_SECONDS: Final = Metric(
    "process_cpu_seconds_total",
    MetricKind.COUNTER,
    "Total user and system CPU time spent in seconds, also by workers that have ended.",
    nanos=True,
)

METRICS: Final = (
    DECISIONS,
    DECISION_SECONDS,
    OVERHEAD_SECONDS,
    REQUESTS,
    REQUESTS_IN_FLIGHT,
    CONNECTIONS,
    UPSTREAM_SECONDS,
    UPSTREAM_FAILURES,
    CREDENTIALS,
    SNAPSHOT_REVISION_LAG,
    SNAPSHOT_AGE_SECONDS,
    SNAPSHOT_LOAD_FAILURES,
    SUBJECTS_CACHED,
    AUDIT_SPOOLED_BYTES,
    AUDIT_OLDEST_UNSHIPPED_SECONDS,
    AUDIT_DROPPED,
    SHADOW_DIVERGENCE,
    APPROVALS_PENDING,
    ANOMALIES,
    LOOP_LAG_SECONDS,
    REDIS_UP,
    KEY_EXPIRY_WARNINGS,
    SNAPSHOT_FINGERPRINT,
    SNAPSHOT_AGE_LIMIT_SECONDS,
    JWKS_AGE_SECONDS,
    JWKS_AGE_LIMIT_SECONDS,
    AUDIT_SPOOL_LIMIT_BYTES,
    CONNECTIONS_LIMIT,
    WORKER_STARTS,
    TLS_HANDSHAKE_FAILURES,
    TLS_RELOAD_FAILURES,
    TLS_CERTIFICATE_REMAINING_SECONDS,
    PROXY_HEADER_FAILURES,
    PROCESS_CPU_SECONDS,
)
"""In the order of spec 6.7, which is also that of the exposition, then what spec 3.2 asks for, then what alerts need.
The rest of `process_*` is read from /proc."""
