"""Policy and revocation: what is enforced, how fresh it is, what a candidate would change, who waits for approval."""

from typing import Final

from scripts.dashboards.model import Colour, Dashboard, Panel, Query, Row, Unit, any_of, gauge, rate

_CREDENTIALS: Final = "sidegate_credentials_total"
_REVOKED: Final = any_of("session_revoked", "key_revoked", "key_consumed")
_EXPIRED: Final = any_of("session_expired", "session_idle", "key_expired")
_UNAVAILABLE: Final = any_of("policy_unavailable", "revision_unavailable")

_IN_FORCE: Final = Row(
    "In force",
    (
        Panel(
            "Different policies",
            "How many the selected sidecars enforce. 2 for a moment after a publication; for longer, somebody's rights"
            " depend on which sidecar is asked.",
            (
                Query(
                    f'count by (job) (count_values by (job) ("fingerprint", {gauge("sidegate_snapshot_fingerprint")}))',
                    "{{job}}",
                ),
            ),
            Unit.NUMBER,
            width=8,
            steps=((2, Colour.ORANGE),),
        ),
        Panel(
            "Changes taken in",
            "Each step is another policy in force. A sidecar without a step where the others have one was left behind.",
            (Query(f"changes({gauge('sidegate_snapshot_fingerprint')}[$__rate_interval])", "{{instance}}"),),
            Unit.NUMBER,
            width=8,
        ),
        Panel(
            "Revisions behind",
            "Published, heard of, and not yet enforced. 0, but for moments.",
            (Query(gauge("sidegate_snapshot_revision_lag"), "{{instance}}"),),
            Unit.NUMBER,
            width=8,
            steps=((1, Colour.ORANGE),),
        ),
        Panel(
            "Age of policy",
            "Time since it was last known to be the newest. It grows while Redis is away.",
            (Query(gauge("sidegate_snapshot_age_seconds"), "{{instance}}"),),
            Unit.SECONDS,
            width=8,
            steps=((60, Colour.ORANGE),),
        ),
        Panel(
            "Age of policy, of what is allowed",
            "At 100 % requests are refused with policy_unavailable. Only where policy is in Redis; a folder"
            " does not grow old.",
            (
                Query(
                    f"{gauge('sidegate_snapshot_age_seconds')} / {gauge('sidegate_snapshot_age_limit_seconds')}",
                    "{{instance}}",
                ),
            ),
            Unit.SHARE,
            width=8,
            steps=((0.5, Colour.RED),),
            maximum=1,
        ),
        Panel(
            "Policies that could not be used",
            "Invalid, not signed by the right key, or altered; the last good one stayed in force.",
            (Query(f"increase({gauge('sidegate_snapshot_load_failures_total')}[$__rate_interval])", "{{instance}}"),),
            Unit.NUMBER,
            width=8,
            steps=((1, Colour.ORANGE),),
        ),
    ),
)

_REVOCATION: Final = Row(
    "Revocation",
    (
        Panel(
            "Revoked and used-up credentials",
            "Requests with a session or key that was taken back, or a single-use key that was used. They follow a"
            " revocation; if they go on, a client does not give up, or somebody has what was stolen.",
            (
                Query(
                    f"sum by (kind, outcome) ({rate(_CREDENTIALS, outcome=_REVOKED)}) > 0",
                    "{{kind}}: {{outcome}}",
                ),
            ),
            Unit.PER_SECOND,
            width=8,
            is_stacked=True,
        ),
        Panel(
            "Expired credentials",
            "Sessions over their limits, and keys past their date.",
            (
                Query(
                    f"sum by (kind, outcome) ({rate(_CREDENTIALS, outcome=_EXPIRED)}) > 0",
                    "{{kind}}: {{outcome}}",
                ),
            ),
            Unit.PER_SECOND,
            width=8,
            is_stacked=True,
        ),
        Panel(
            "Keys that expire soon",
            "Requests with an API key that expires within 30 days.",
            (Query(f"sum by (job) ({rate('sidegate_key_expiry_warnings_total')})", "{{job}}"),),
            Unit.PER_SECOND,
            width=8,
        ),
        Panel(
            "Decisions without the policy that was asked for",
            "`policy_unavailable`: nothing to decide with. `revision_unavailable`: a client asked for a revision that"
            " had not arrived.",
            (
                Query(
                    f"sum by (reason) ({rate('sidegate_decisions_total', reason=_UNAVAILABLE)})",
                    "{{reason}}",
                ),
            ),
            Unit.PER_SECOND,
        ),
        Panel(
            "Anomalies",
            "API keys and service accounts that do what they never did: rate, network, or denials.",
            (Query(f"sum by (kind) ({rate('sidegate_anomalies_total')})", "{{kind}}"),),
            Unit.PER_SECOND,
        ),
    ),
)

_CANDIDATE: Final = Row(
    "Candidate and approvals",
    (
        Panel(
            "What the candidate would decide otherwise",
            "Nothing of it is enforced. `allow → deny` are people who would lose something, `deny → allow` who would"
            " gain.",
            (
                Query(
                    f"sum by (from, to) ({rate('sidegate_shadow_divergence_total')})",
                    "{{from}} → {{to}}",
                ),
            ),
            Unit.PER_SECOND,
            is_stacked=True,
        ),
        Panel(
            "Held back for an approval",
            "Requests that policy allows, but only once somebody else has approved them.",
            (
                Query(
                    f"sum by (authority) ({rate('sidegate_decisions_total', reason='approval_required')})",
                    "{{authority}}",
                ),
            ),
            Unit.PER_SECOND,
        ),
    ),
)

POLICY: Final = Dashboard(
    "policy",
    "Sidegate / Policy and revocation",
    "What is enforced and how fresh it is, what was taken back, what a candidate would change.",
    (_IN_FORCE, _REVOCATION, _CANDIDATE),
)
