"""What sidecars use, and what they depend on."""

from typing import Final

from scripts.dashboards.model import Colour, Dashboard, Panel, Query, Row, Unit, gauge, rate

_PROCESS: Final = Row(
    "Process",
    (
        Panel(
            "CPU",
            "Cores in use. A worker uses one at most.",
            (Query(rate("process_cpu_seconds_total"), "{{instance}}"),),
            Unit.NUMBER,
            width=8,
        ),
        Panel(
            "CPU per request",
            "All that the process does, by the requests it answered. High where there are few requests.",
            (
                Query(
                    f"sum by (instance) ({rate('process_cpu_seconds_total')})"
                    f" / (sum by (instance) ({rate('sidegate_requests_total')}) > 1)",
                    "{{instance}}",
                ),
            ),
            Unit.SECONDS,
            width=8,
        ),
        Panel(
            "Delay of the event loop",
            "The greatest of the last 15 to 30 seconds. All requests of a worker wait for so long, once.",
            (Query(gauge("sidegate_loop_lag_seconds"), "{{instance}}"),),
            Unit.SECONDS,
            width=8,
            steps=((0.1, Colour.ORANGE),),
        ),
        Panel(
            "Memory",
            "Resident, all processes of a sidecar. It grows with connections and accounts, to a bound.",
            (Query(gauge("process_resident_memory_bytes"), "{{instance}}"),),
            Unit.BYTES,
            width=8,
        ),
        Panel(
            "Accounts in memory",
            "Compiled, ready to be decided; the least used go when there are too many.",
            (Query(gauge("sidegate_subjects_cached"), "{{instance}}"),),
            Unit.NUMBER,
            width=8,
        ),
        Panel(
            "Starts",
            "Of the sidecar, and of workers in the place of one that died. One each is a rollout; many: a crash loop.",
            (
                Query(f"changes({gauge('process_start_time_seconds')}[$__rate_interval])", "{{instance}}: sidecar"),
                Query(f"increase({gauge('sidegate_worker_starts_total')}[$__rate_interval])", "{{instance}}: workers"),
            ),
            Unit.NUMBER,
            width=8,
        ),
    ),
)

_CONNECTIONS: Final = Row(
    "Connections",
    (
        Panel(
            "Client connections",
            "Open, idle ones included.",
            (Query(gauge("sidegate_connections"), "{{instance}}"),),
            Unit.NUMBER,
            width=8,
        ),
        Panel(
            "Client connections, of what is allowed",
            "At 100 % new ones are answered 503.",
            (Query(f"{gauge('sidegate_connections')} / {gauge('sidegate_connections_limit')}", "{{instance}}"),),
            Unit.SHARE,
            width=8,
            steps=((0.9, Colour.ORANGE),),
            maximum=1,
        ),
        Panel(
            "File descriptors, of what is allowed",
            "Clients, the service, segments of the spool and Redis need one each.",
            (Query(f"{gauge('process_open_fds')} / {gauge('process_max_fds')}", "{{instance}}"),),
            Unit.SHARE,
            width=8,
            steps=((0.8, Colour.ORANGE),),
            maximum=1,
        ),
    ),
)

_DEPENDENCIES: Final = Row(
    "What it depends on",
    (
        Panel(
            "Redis",
            "1 while it answers. Not there where none is configured.",
            (Query(gauge("sidegate_redis_up"), "{{instance}}"),),
            Unit.NUMBER,
            maximum=1,
            none="no Redis",
        ),
        Panel(
            "Age of the identity provider's keys",
            "Time since they were last read. Saw teeth of five minutes for a URL, of a second for a file.",
            (Query(gauge("sidegate_jwks_age_seconds"), "{{instance}}"),),
            Unit.SECONDS,
            none="no key set",
        ),
    ),
)

_TLS: Final = Row(
    "TLS",
    (
        Panel(
            "Certificates expire in",
            "Time left of each file of certificates; of several in one file, of the first to expire. Not there without"
            " TLS.",
            (Query(gauge("sidegate_tls_certificate_remaining_seconds"), "{{instance}}: {{certificate}}"),),
            Unit.SECONDS,
            width=8,
            none="no TLS",
        ),
        Panel(
            "Handshakes that failed",
            "With clients, by what was wrong. `not_tls` and `version` are old or wrong clients, `client_certificate` is"
            " somebody without one.",
            (Query(f"sum by (cause) ({rate('sidegate_tls_handshake_failures_total')})", "{{cause}}"),),
            Unit.PER_SECOND,
            width=8,
            is_stacked=True,
        ),
        Panel(
            "Files and headers that could not be used",
            "Renewed TLS files, and connections without a usable header of the PROXY protocol. Should be 0.",
            (
                Query(f"sum by (use) ({rate('sidegate_tls_reload_failures_total')})", "TLS files: {{use}}"),
                Query(f"sum by (cause) ({rate('sidegate_proxy_header_failures_total')})", "PROXY header: {{cause}}"),
            ),
            Unit.PER_SECOND,
            width=8,
            is_stacked=True,
        ),
    ),
)

RESOURCES: Final = Dashboard(
    "resources",
    "Sidegate / Resources",
    "CPU, memory, connections, and what a sidecar depends on.",
    (_PROCESS, _CONNECTIONS, _DEPENDENCIES, _TLS),
)
