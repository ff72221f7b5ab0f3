"""A real Prometheus scrapes real sidecars while things break: the shipped alerts, with minutes made seconds, fire for
whom it is broken, and for nobody before."""

import contextlib
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from scripts.issuer import Issuer
from tests.integration.authority import DAY, Authority, Pair
from tests.integration.redis.servers import RedisServer, free_ports
from tests.integration.sidecar import ACME, ROUTE_FILE, Sidecar
from tests.integration.upstream import LoggingUpstream
from tests.integration.waiting import eventually
from tests.observability.prometheus import Prometheus
from tests.observability.rules import shortened

pytestmark = pytest.mark.slow

FACTOR: Final = 60
"""Minutes become seconds."""

WITHIN_S: Final = 120.0

OF_THE_MACHINE: Final = frozenset(
    {"SidegateOverheadBudgetBurnsFast", "SidegateOverheadBudgetBurnsSlowly", "SidegateLoopLagging"}
)
"""Two dozen processes on a machine with few cores are slow, and that is what these are for."""

SMALL_SPOOL: Final = 1024 * 1024
"""The least there may be."""


@dataclass
class Rig:
    """What a fault is caused with.

    Attributes:
        folder: For everything.
        issuer: Of sessions.
        upstream: Answers 200.
        running: To be closed at the end.
    """

    folder: Path
    issuer: Issuer
    upstream: LoggingUpstream
    running: contextlib.ExitStack

    def sidecar(
        self,
        name: str,
        settings: dict[str, Any] | None = None,
        *,
        upstream: str | None = None,
        policies: dict[str, str] | None = None,
        workers: int = 1,
    ) -> Sidecar:
        """Start a sidecar."""
        made = Sidecar(
            self.folder / name,
            upstream or self.upstream.url,
            self.issuer,
            settings=settings or {},
            policies=policies or {"acme": ACME},
        )
        self.running.callback(made.close)
        return made.start(workers)

    def redis(self, name: str) -> RedisServer:
        """Start a Redis."""
        folder = self.folder / name
        folder.mkdir()
        server = RedisServer(folder, free_ports(1)[0])
        self.running.callback(server.kill)
        return server.start()


def ask(sidecar: Sidecar, count: int = 5, who: str | None = "ana") -> None:
    """Send some requests."""
    headers = () if who is None else (f"Cookie: __session={sidecar.session(who)}",)
    for _ in range(count):
        sidecar.ask("GET", ROUTE_FILE, headers=headers)


@dataclass
class Fault:
    """Sidecars of one job, and what is done to them.

    Attributes:
        sidecars: All of the job.
        cause: Break it.
        meanwhile: Done again and again while the alert is waited for.
        asked: What it is asked before, so that there is something to count; by default a few requests.
        also: Alerts that belong to it and may fire too.
    """

    sidecars: list[Sidecar]
    cause: Callable[[], object]
    meanwhile: Callable[[], object] = lambda: None
    asked: Callable[[Sidecar], object] = ask
    also: set[str] = field(default_factory=set)


def down(rig: Rig) -> Fault:
    """Kill it."""
    sidecar = rig.sidecar("down")
    return Fault([sidecar], lambda: sidecar.signal(signal.SIGKILL))


def redis_down(rig: Rig) -> Fault:
    """Take the Redis of its sessions away."""
    redis = rig.redis("redis-of-sessions")
    sidecar = rig.sidecar("redis_down", {"sessions": _signed(rig, redis={"url": redis.url})})
    return Fault([sidecar], redis.kill)


def backlog(rig: Rig) -> Fault:
    """Take the sink away, and go on."""
    redis = rig.redis("sink")
    sidecar = rig.sidecar("backlog", {"audit": {"sinks": [{"redis": redis.url}]}})
    return Fault([sidecar], lambda: (redis.kill(), ask(sidecar)))


def dropping(rig: Rig) -> Fault:
    """Let the smallest spool run full while its sink is away."""
    redis = rig.redis("sink-of-a-small-spool")
    audit = {"sinks": [{"redis": redis.url}], "max_bytes": SMALL_SPOOL, "segment_bytes": 65_536}
    sidecar = rig.sidecar("dropping", {"audit": audit})

    def fill() -> None:
        redis.kill()
        while sidecar.metric("sidegate_audit_dropped_total", cause="spool_full") == 0:
            ask(sidecar, 200)

    also = {"SidegateAuditSpoolFilling", "SidegateAuditBacklog", "SidegateFailingClosed", "SidegateDenySpike"}
    return Fault([sidecar], fill, lambda: ask(sidecar), also=also)


def keys_stale(rig: Rig) -> Fault:
    """Remove the key set."""
    sidecar = rig.sidecar("keys_stale", {"sessions": _signed(rig, max_stale_ms=8000)})
    return Fault([sidecar], (sidecar.folder / "jwks.json").unlink)


def denied(rig: Rig) -> Fault:
    """Ask again and again without a credential."""
    sidecar = rig.sidecar("denied")
    return Fault([sidecar], lambda: ask(sidecar, who=None), lambda: ask(sidecar, who=None))


def load_failing(rig: Rig) -> Fault:
    """Put a policy in place that nobody can read."""
    sidecar = rig.sidecar("load_failing")

    def spoil() -> None:
        (sidecar.policy / "acme.yaml").write_text(ACME.replace("organization:", "organisation:"))

    return Fault([sidecar], spoil, also={"SidegatePolicyBehind"})


def fleet(rig: Rig) -> Fault:
    """Change the policy of one of two."""
    one, other = rig.sidecar("fleet-one"), rig.sidecar("fleet-other")

    def change() -> None:
        (one.policy / "acme.yaml").write_text(ACME.replace("Designer", "Viewer"))

    return Fault([one, other], change)


def upstream_gone(rig: Rig) -> Fault:
    """End the service behind it."""
    service = LoggingUpstream()
    sidecar = rig.sidecar("upstream_gone", upstream=service.url)
    rig.running.callback(service.close)
    return Fault([sidecar], service.close, lambda: ask(sidecar))


def shadow(rig: Rig) -> Fault:
    """Ask for what a candidate would take away."""
    candidate = f"{ACME}candidate:\n  remove: [vera-p1]\n"
    sidecar = rig.sidecar("shadow", policies={"acme": candidate})
    return Fault([sidecar], lambda: ask(sidecar, who="vera"))


def key_expiring(rig: Rig) -> Fault:
    """Use a key that has twenty days left."""
    key, policy = _policy_with_key(rig, "--expires", "20d")
    sidecar = rig.sidecar("key_expiring", policies={"acme": policy})
    return Fault([sidecar], lambda: sidecar.ask("GET", ROUTE_FILE, who=key))


def anomaly(rig: Rig) -> Fault:
    """Try with a key, again and again, what it may not do."""
    key, policy = _policy_with_key(rig, "--authorities", "read")
    sidecar = rig.sidecar("anomaly", {"anomalies": {"denials": 3}}, policies={"acme": policy})

    def try_doors() -> None:
        for _ in range(10):
            assert sidecar.ask("PUT", ROUTE_FILE, who=key).status == 403

    return Fault([sidecar], try_doors, also={"SidegateDenySpike"})


def full(rig: Rig) -> Fault:
    """Hold nearly all connections that there may be."""
    sidecar = rig.sidecar("full", {"limits": {"connections": 20}})

    def hold() -> None:
        for _ in range(19):
            rig.running.enter_context(socket.create_connection(("127.0.0.1", sidecar.port)))

    return Fault([sidecar], hold)


def certificate_expiring(rig: Rig) -> Fault:
    """Renew the certificate of the data port with one that lasts three days."""
    authority, pair, sidecar = _with_tls(rig, "certificate_expiring")
    brief = authority.issue("brief", ends=3 * DAY)
    return Fault([sidecar], lambda: pair.replace(brief), asked=lambda _: None)


def certificate_unusable(rig: Rig) -> Fault:
    """Renew the certificate, and forget its key."""
    authority, pair, sidecar = _with_tls(rig, "certificate_unusable")
    other = authority.issue("other")
    return Fault([sidecar], lambda: pair.cert.write_bytes(other.cert.read_bytes()), asked=lambda _: None)


def restarting(rig: Rig) -> Fault:
    """Kill both of its workers, whenever they are back."""
    sidecar = rig.sidecar("restarting", {"workers": 2}, workers=2)

    def kill() -> None:
        started = {one["role"]: one["pid"] for one in sidecar.events() if one["event"] == "process_started"}
        died = {one["pid"] for one in sidecar.events() if one["event"] == "process_died"}
        for role in ("w0", "w1"):
            if started[role] not in died:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(started[role], signal.SIGKILL)

    return Fault([sidecar], kill, kill)


FAULTS: Final[dict[str, Callable[[Rig], Fault]]] = {
    "SidegateDown": down,
    "SidegateRedisDown": redis_down,
    "SidegateAuditBacklog": backlog,
    "SidegateAuditDropping": dropping,
    "SidegateJwksStale": keys_stale,
    "SidegateDenySpike": denied,
    "SidegatePolicyLoadFailing": load_failing,
    "SidegateFleetDisagrees": fleet,
    "SidegateUpstreamFailing": upstream_gone,
    "SidegateShadowWouldDeny": shadow,
    "SidegateKeyExpiring": key_expiring,
    "SidegateAnomaly": anomaly,
    "SidegateConnectionsFull": full,
    "SidegateCertificateExpiring": certificate_expiring,
    "SidegateCertificateUnusable": certificate_unusable,
    "SidegateRestarting": restarting,
}

CONSEQUENCES: Final = {
    "SidegateAuditSpoolFilling": "SidegateAuditDropping",
    "SidegateFailingClosed": "SidegateAuditDropping",
    "SidegatePolicyBehind": "SidegatePolicyLoadFailing",
}
"""Alerts that the fault of another one raises as well."""


def _policy_with_key(rig: Rig, *options: str) -> tuple[str, str]:
    """Return a new key, and a policy that knows it."""
    folder = rig.folder / f"mint{len(options)}{options[0]}"
    minting = Sidecar(folder, rig.upstream.url, rig.issuer)
    key, entry = minting.mint_key("--account", "service:ci", "--org", "acme", *options)
    return key, f"{ACME}keys:\n  - {json.dumps(entry)}\n"


def _with_tls(rig: Rig, name: str) -> tuple[Authority, Pair, Sidecar]:
    authority = Authority(rig.folder / f"{name}-authority")
    pair = authority.issue("gate")
    listen = {"address": "127.0.0.1:0", "tls": {"cert": str(pair.cert), "key": str(pair.key)}}
    return authority, pair, rig.sidecar(name, {"listen": listen})


def _signed(rig: Rig, **more: Any) -> dict[str, Any]:
    redis = {"redis": more.pop("redis")["url"]} if "redis" in more else {}
    signed = {"issuer": rig.issuer.name, "jwks": "file:jwks.json", "algorithms": [rig.issuer.algorithm], **more}
    return {"signed": signed, **redis}


@dataclass
class Seen:
    """What was seen.

    Attributes:
        before: Alerts that fired when nothing was broken yet.
        after: Those that fired at any time after, by job.
        texts: Of every alert, by its name.
        broken_rules: What went wrong with rules.
        faults: As caused.
    """

    before: list[dict[str, Any]]
    after: dict[str, set[str]]
    texts: dict[str, set[str]]
    broken_rules: list[str]
    faults: dict[str, Fault]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """Start everything, look whether it is quiet, then break all of it at once."""
    with contextlib.ExitStack() as running:
        upstream = LoggingUpstream()
        running.callback(upstream.close)
        folder = tmp_path_factory.mktemp("alerts")
        rig = Rig(folder, Issuer("https://issuer.example"), upstream, running)
        faults = {alert: make(rig) for alert, make in FAULTS.items()}
        for fault in faults.values():
            for sidecar in fault.sidecars:
                fault.asked(sidecar)
        targets = {alert: [sidecar.admin for sidecar in fault.sidecars] for alert, fault in faults.items()}
        prometheus = Prometheus(folder / "prometheus", targets, shortened(FACTOR), every="1s")
        running.callback(prometheus.close)
        prometheus.start()
        since = prometheus.looks()
        assert since is not None
        # Longer than the longest `for` of these alerts, so that what is wrong would fire.
        eventually(lambda: (prometheus.looks() or 0) > since + 7, "rules were looked at for seven seconds", WITHIN_S)
        before = [alert for alert in prometheus.alerts() if alert["state"] == "firing"]
        for fault in faults.values():
            fault.cause()
        texts: dict[str, set[str]] = {}

        def all_fired() -> bool:
            for fault in faults.values():
                fault.meanwhile()
            for alert in prometheus.alerts():
                texts.setdefault(alert["labels"]["alertname"], set()).update(alert["annotations"].values())
            wanted = [*((alert, alert) for alert in faults), *CONSEQUENCES.items()]
            return all(alert in prometheus.fired(fault) for alert, fault in wanted)

        # Some end by themselves while others are waited for; whoever is missing shows in its own test.
        with contextlib.suppress(AssertionError):
            eventually(all_fired, "all have fired", WITHIN_S)
        after = {alert: prometheus.fired(alert) for alert in faults}
        yield Seen(before, after, texts, prometheus.broken_rules(), faults)


def test_all_is_quiet_before(seen: Seen) -> None:
    """Sidecars that serve raise no alert, and every rule could be evaluated."""
    assert [alert for alert in seen.before if alert["labels"]["alertname"] not in OF_THE_MACHINE] == []
    assert seen.broken_rules == []


@pytest.mark.parametrize("alert", FAULTS)
def test_a_fault_raises_its_alert(seen: Seen, alert: str) -> None:
    """The alert of the fault fires for its job, and no other but those that belong to it."""
    assert alert in seen.after[alert]
    assert seen.after[alert] <= {alert, *seen.faults[alert].also, *OF_THE_MACHINE}


@pytest.mark.parametrize(("alert", "fault"), CONSEQUENCES.items(), ids=CONSEQUENCES)
def test_a_fault_raises_what_follows_from_it(seen: Seen, alert: str, fault: str) -> None:
    """A full spool is announced before, and noticed by whoever is refused; a bad policy keeps a newer one away."""
    assert alert in seen.after[fault]


@pytest.mark.parametrize("alert", FAULTS)
def test_a_pager_shows_whole_sentences(seen: Seen, alert: str) -> None:
    """No template of a text failed, and none named a label that is not there."""
    assert seen.texts[alert]
    assert not [text for text in seen.texts[alert] if "<error" in text or "<no value>" in text]
