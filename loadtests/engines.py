"""`make bench-engines`: one decision of Sidegate's engine beside others, on the same questions.

    python -m loadtests.engines
    python -m loadtests.engines --sizes 1000,100000 --engines sidegate,cedarpy -o engines.json

One organization: every user has twenty bindings, each the role Designer in one project, and asks to read or to
configure in one of hers or of another's. Each engine has it in the form that suits it best: Sidegate compiled, Cedar
as one policy over entities (users in the group of each project), Casbin as RBAC with domains, Rego as one
rule over an indexed document. Each runs in a process of its own and must answer every question as expected, or there is
no result. Loading is cut off after a limit. ``regorus`` is on no Python registry; ``regopy`` is Microsoft's engine for
the same language.
"""

import argparse
import gc
import json
import resource
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from loadtests.processes import BenchError
from loadtests.report import print_findings
from loadtests.targets import Finding
from rich.console import Console
from rich.table import Table

from sidegate.core.engine.decide import decide
from sidegate.core.model.authority import Authority
from sidegate.core.model.decision import Outcome
from sidegate.core.model.principal import CredentialKind, Query, VerifiedCredential
from sidegate.core.model.target import Scope, parse_target
from sidegate.core.model.units import UnixMillis
from sidegate.core.policy.compile import compile_document
from sidegate.core.policy.document import BindingEntry, MemberEntry, PolicyDocument
from sidegate.core.policy.snapshot import Snapshot

ORG = "acme"
SIZES = (1_000, 100_000, 1_000_000)
BINDINGS_PER_USER = 20
LIMIT_S = 180.0
ROUNDS = 4_000
_QUESTIONS = 400
_NOW = UnixMillis(1_800_000_000_000)

Question = tuple[str, str, str, bool]
"""User, project, action, and whether it is allowed."""


@dataclass(frozen=True)
class Result:
    """What one engine did with one number of bindings.

    Attributes:
        load_s: From bindings in memory to the first answer.
        p50_us: Of single decisions.
        p99_us: Likewise.
        rss_mib: The most that its process held, loading included.
    """

    engine: str
    bindings: int
    load_s: float
    p50_us: float
    p99_us: float
    rss_mib: float


def bindings_of(size: int) -> list[tuple[str, str]]:
    """Return (user, project) of every binding; user *n* has the twenty projects from *n* on, of as many as users."""
    users = max(2 * BINDINGS_PER_USER, size // BINDINGS_PER_USER)
    return [
        (f"u{place // BINDINGS_PER_USER}", f"q{(place // BINDINGS_PER_USER + place % BINDINGS_PER_USER) % users}")
        for place in range(size)
    ]


def questions_of(size: int) -> list[Question]:
    """Return questions, half of them allowed."""
    users = size // BINDINGS_PER_USER
    projects = max(2 * BINDINGS_PER_USER, users)
    found: list[Question] = []
    for place in range(_QUESTIONS):
        user = place * 7919 % users
        own = place % 4 < 2 or place % 4 == 2
        offset = place % BINDINGS_PER_USER if own else BINDINGS_PER_USER + place % BINDINGS_PER_USER
        action = "configure" if place % 4 == 2 else "read"
        found.append((f"u{user}", f"q{(user + offset) % projects}", action, place % 4 < 2))
    return found


class Engine(ABC):
    """One engine, loaded with bindings."""

    module: str

    @abstractmethod
    def load(self, bindings: list[tuple[str, str]]) -> None:
        """Take them in."""

    @abstractmethod
    def prepare(self, question: Question) -> Any:  # noqa: ANN401  each engine's own form
        """Return a question in the engine's own form; not measured."""

    @abstractmethod
    def decide(self, question: Any) -> bool:  # noqa: ANN401  as above
        """Answer; measured."""


class Sidegate(Engine):
    """Ours: organization, compiled subject, decision."""

    module = "sidegate"

    def load(self, bindings: list[tuple[str, str]]) -> None:
        users = dict.fromkeys(user for user, _ in bindings)
        document = PolicyDocument(
            ORG,
            members=tuple(MemberEntry(f"user:{user}", roles=("Member",)) for user in users),
            bindings=tuple(
                BindingEntry(f"b{place}", f"user:{user}", "Designer", Scope(None, project, None, ()))
                for place, (user, project) in enumerate(bindings)
            ),
        )
        self._snapshot = Snapshot(1, [compile_document(document, 1)])

    def prepare(self, question: Question) -> Any:  # noqa: ANN401  as declared
        user, project, action, _ = question
        credential = VerifiedCredential(CredentialKind.SESSION, "s1", f"user:{user}", ORG)
        return Query(credential, Authority(action), parse_target(ORG, f"{project}@x:designs/a.json"))

    def decide(self, question: Any) -> bool:  # noqa: ANN401  as declared
        return decide(self._snapshot, question, _NOW).outcome is Outcome.ALLOW


class Cedar(Engine):
    """cedarpy: policies and entities parsed beforehand."""

    module = "cedarpy"
    _POLICY = 'permit(principal, action == Action::"read", resource) when { principal in resource.designers };'

    def load(self, bindings: list[tuple[str, str]]) -> None:
        cedarpy: Any = import_module(self.module)
        groups: dict[str, list[str]] = {}
        for user, project in bindings:
            groups.setdefault(user, []).append(project)
        projects = dict.fromkeys(project for _, project in bindings)
        entities: list[dict[str, Any]] = [
            {
                "uid": {"type": "User", "id": user},
                "attrs": {},
                "parents": [{"type": "Group", "id": project} for project in own],
            }
            for user, own in groups.items()
        ]
        entities += [{"uid": {"type": "Group", "id": project}, "attrs": {}, "parents": []} for project in projects]
        entities += [
            {
                "uid": {"type": "Project", "id": project},
                "attrs": {"designers": {"__entity": {"type": "Group", "id": project}}},
                "parents": [],
            }
            for project in projects
        ]
        self._cedar = cedarpy
        self._policies = cedarpy.PolicySet.from_str(self._POLICY)
        self._entities = cedarpy.Entities.from_json_str(json.dumps(entities))

    def prepare(self, question: Question) -> Any:  # noqa: ANN401  as declared
        user, project, action, _ = question
        return {
            "principal": f'User::"{user}"',
            "action": f'Action::"{action}"',
            "resource": f'Project::"{project}"',
            "context": {},
        }

    def decide(self, question: Any) -> bool:  # noqa: ANN401  as declared
        return bool(self._cedar.is_authorized(question, self._policies, self._entities).allowed)


class Casbin(Engine):
    """pycasbin: RBAC with domains."""

    module = "casbin"
    _MODEL = """
[request_definition]
r = sub, dom, act
[policy_definition]
p = sub, act
[role_definition]
g = _, _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.act == p.act && g(r.sub, p.sub, r.dom)
"""

    def load(self, bindings: list[tuple[str, str]]) -> None:
        casbin: Any = import_module(self.module)
        model = casbin.Model()
        model.load_model_from_text(self._MODEL)
        self._enforcer = casbin.Enforcer(model)
        self._enforcer.add_policy("Designer", "read")
        self._enforcer.add_grouping_policies([(user, "Designer", project) for user, project in bindings])

    def prepare(self, question: Question) -> Any:  # noqa: ANN401  as declared
        return question[:3]

    def decide(self, question: Any) -> bool:  # noqa: ANN401  as declared
        return bool(self._enforcer.enforce(*question))


class Rego(Engine):
    """regopy: one rule over an indexed document."""

    module = "regopy"
    _POLICY = """
package z
import rego.v1
default allow := false
allow if {
    role := data.bindings[input.user][input.project]
    input.action in data.roles[role]
}
"""

    def load(self, bindings: list[tuple[str, str]]) -> None:
        regopy: Any = import_module(self.module)
        table: dict[str, dict[str, str]] = {}
        for user, project in bindings:
            table.setdefault(user, {})[project] = "Designer"
        self._rego = regopy.Interpreter()
        self._rego.add_module("z", self._POLICY)
        self._rego.add_data_json(json.dumps({"bindings": table, "roles": {"Designer": ["read", "write", "delete"]}}))

    def prepare(self, question: Question) -> Any:  # noqa: ANN401  as declared
        user, project, action, _ = question
        return json.dumps({"user": user, "project": project, "action": action})

    def decide(self, question: Any) -> bool:  # noqa: ANN401  as declared
        self._rego.set_input_term(question)
        return "true" in str(self._rego.query("data.z.allow"))


ENGINES: dict[str, type[Engine]] = {"sidegate": Sidegate, "cedarpy": Cedar, "pycasbin": Casbin, "regopy": Rego}


def measure(name: str, size: int) -> Result:
    """Load one engine in this process and measure it.

    Raises:
        BenchError: It answered otherwise than it should.
    """
    engine = ENGINES[name]()
    bindings = bindings_of(size)
    questions = [(engine.prepare(question), question[3]) for question in questions_of(size)]
    began = time.perf_counter()
    engine.load(bindings)
    engine.decide(questions[0][0])
    load_s = time.perf_counter() - began
    for question, expected in questions:
        if engine.decide(question) is not expected:
            raise BenchError(f"{name} answers {question} with {not expected}")
    gc.collect()
    gc.freeze()
    clock = time.perf_counter_ns
    times = []
    until = clock() + 20_000_000_000
    for place in range(ROUNDS):
        question, _ = questions[place % len(questions)]
        before = clock()
        engine.decide(question)
        times.append(clock() - before)
        if before > until:
            break
    times.sort()
    rss_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Result(name, size, load_s, times[len(times) // 2] / 1000, times[len(times) * 99 // 100] / 1000, rss_mib)


def _measure_apart(name: str, size: int, limit_s: float) -> Result | str:
    """Measure in a process of its own; say why not, if it cannot be done."""
    command = [sys.executable, "-m", "loadtests.engines", "--one", name, "--sizes", str(size)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired:
        return f"{name} with {size:,} bindings was not done within {limit_s:.0f} s."
    if done.returncode:
        return f"{name} with {size:,} bindings failed: {done.stderr.strip().splitlines()[-1:]}"
    return Result(**json.loads(done.stdout.splitlines()[-1]))


def _findings(results: list[Result]) -> list[Finding]:
    own = [result for result in results if result.engine == "sidegate"]
    findings = [
        Finding(f"sidegate, {result.bindings:,} bindings: decision p50", result.p50_us, "µs", most=1.5)
        for result in own
    ]
    if len(own) > 1:
        findings.append(Finding("sidegate: p50 of the most to the fewest bindings", own[-1].p50_us / own[0].p50_us))
    return findings


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="engines", description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="numbers of bindings (%(default)s)")
    parser.add_argument("--engines", default=",".join(ENGINES), help="which (%(default)s)")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds for one engine and size (%(default)s)")
    parser.add_argument("-o", "--output", type=Path, help="write the figures into this file as JSON")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]
    if options.one:
        print(json.dumps(asdict(measure(options.one, sizes[0]))))
        return 0
    results: list[Result] = []
    notes: list[str] = []
    for size in sizes:
        for name in options.engines.split(","):
            if find_spec(ENGINES[name].module) is None:
                notes.append(f"{name} was left out: pip install {name}")
                continue
            print(f"{name}, {size:,} bindings", file=sys.stderr, flush=True)
            found = _measure_apart(name, size, options.limit)
            if isinstance(found, Result):
                results.append(found)
            else:
                notes.append(found)
    table = Table(title="one decision, engine alone, in its own process")
    for heading in ("engine", "bindings", "p50 µs", "p99 µs", "loading s", "RSS MiB"):
        table.add_column(heading, justify="left" if heading == "engine" else "right", no_wrap=True)
    for one in results:
        figures = (f"{one.p50_us:,.2f}", f"{one.p99_us:,.2f}", f"{one.load_s:,.1f}", f"{one.rss_mib:,.0f}")
        table.add_row(one.engine, f"{one.bindings:,}", *figures)
    console = Console(width=None if Console().is_terminal else 120)
    console.print(table)
    findings = _findings(results)
    print_findings(findings, console)
    for note in notes:
        console.print(note, highlight=False)
    if options.output is not None:
        rows = [asdict(result) for result in results]
        written = {"rows": rows, "notes": notes, "targets": [finding.as_json() for finding in findings]}
        options.output.write_text(json.dumps(written, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
