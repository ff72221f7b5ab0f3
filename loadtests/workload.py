"""Workload M of spec 7 and its variants: one organization, 1,000 bindings, one signed session, small GETs."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from scripts.issuer import Issuer, write_jwks

ORG = "acme"
USERS = 250
BINDINGS = 1000
CONNECTIONS = 32

ISSUER = "https://issuer.example"
PARTY = "https://app.example"

# Six segments: v1, organization, project, branch, folder, file.
ALLOWED_PATH = "/v1/acme/p7/x/designs/route.json"
DENIED_PATH = "/v1/acme/p900/x/designs/route.json"
ROUTES = "- get: /v1/{org}/{project}/{branch}/{path*}\n  primitive: Read\n"


@dataclass(frozen=True)
class Scenario:
    """One kind of request.

    Attributes:
        name: As on the command line.
        status: What every answer must be.
        about: For people.
        request: Lua that returns the next request, given ``head`` (the request's lines but for the first), ``n`` (a
            number that never repeats) and ``token``; empty when every request is the same.
        path: What is asked for.
        token: Presents a session token.
    """

    name: str
    status: int
    about: str
    request: str = ""
    path: str = ALLOWED_PATH
    presents_token: bool = True


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("allowed", 200, "workload M: the same request again and again"),
        Scenario("denied", 403, "no grant covers the project", path=DENIED_PATH),
        Scenario("no-credential", 401, "nothing presented", presents_token=False),
        Scenario(
            "junk-tokens",
            401,
            "every request another token with a wrong signature",
            'return get("{path}", "Cookie: __session=" .. junk .. string.format("%016d", n) .. junkend .. "\\r\\n")',
        ),
        Scenario(
            "junk-token",
            401,
            "the same token with a wrong signature",
            'return get("{path}", "Cookie: __session=" .. junk .. "0000000000000000" .. junkend .. "\\r\\n")',
        ),
        Scenario(
            "distinct-paths",
            200,
            "every request another path below a granted project",
            'return get("/v1/acme/p7/x/designs/" .. n .. ".json", cookie)',
        ),
        Scenario(
            "distinct-headers",
            200,
            "every request another traceparent",
            'return get("{path}", cookie .. string.format("traceparent: 00-%032x-%016x-01\\r\\n", n, n))',
        ),
    )
}


class Workload:
    """Files that every proxy is configured from, in one folder.

    Args:
        folder: An empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.issuer = Issuer(ISSUER)
        self.token = self.issuer.session("u7", ORG, lasts_s=86_400, claims={"azp": PARTY})
        (folder / "public.pem").write_bytes(self.issuer.public_pem())
        write_jwks(folder / "jwks.json", self.issuer)
        (folder / "routes.yaml").write_text(ROUTES)
        policy = folder / "policy"
        policy.mkdir()
        (policy / f"{ORG}.yaml").write_text(policy_text())

    def allow_uploads(self) -> None:
        """Let files be written, too; call it before a proxy is started."""
        writes = ROUTES.replace("get:", "put:").replace("Read", "Write")
        (self.folder / "routes.yaml").write_text(ROUTES + writes)

    def request(self, scenario: Scenario, host: str) -> bytes:
        """Return one request of *scenario* that is always the same, for a look at its answer."""
        cookie = f"Cookie: __session={self.token}\r\n" if scenario.presents_token else ""
        if scenario.request and "junk" in scenario.request:
            cookie = f"Cookie: __session={self.junk()}\r\n"
        return f"GET {scenario.path} HTTP/1.1\r\nHost: {host}\r\n{cookie}\r\n".encode()

    def junk(self) -> str:
        """Return a token that is whole but for its signature."""
        start, end = self._junk_parts()
        return f"{start}{'z' * 16}{end}"

    def _junk_parts(self) -> tuple[str, str]:
        signed, _, signature = self.token.rpartition(".")
        middle = len(signature) // 2
        return f"{signed}.{signature[: middle - 8]}", signature[middle + 8 :]

    def lua(self, scenario: Scenario, path: Path) -> Path:
        """Write the script that makes wrk send *scenario* and print its counts as JSON."""
        start, end = self._junk_parts()
        cookie = f"Cookie: __session={self.token}\\r\\n" if scenario.presents_token else ""
        sends = scenario.request.replace("{path}", scenario.path) or f'return get("{scenario.path}", cookie)'
        is_fixed = not scenario.request
        path.write_text(
            f"""local cookie = "{cookie}"
local junk, junkend = "{start}", "{end}"
local n = 0
local function get(path, lines)
  return "GET " .. path .. " HTTP/1.1\\r\\nHost: " .. wrk.host .. "\\r\\n" .. lines .. "\\r\\n"
end
local function make()
  n = n + 1
  {sends}
end
local fixed
function init(args)
  n = tonumber(args[1])
  fixed = make()
end
function request()
  {"return fixed" if is_fixed else "return make()"}
end
function done(summary, latency, requests)
  io.write(string.format(
    '\\n{{"requests": %d, "bytes": %d, "duration_us": %d, "failed_status": %d, "failed_socket": %d}}\\n',
    summary.requests, summary.bytes, summary.duration, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
"""
        )
        return path


def grants() -> list[tuple[str, str]]:
    """Return (user, project) of every binding; ``u7`` has p7 and three more of the projects below 1,000."""
    return [(f"u{number % USERS}", f"p{number}") for number in range(BINDINGS) if number != 900]


def policy_text() -> str:
    """Return the policy file of the organization."""
    members = "".join(f"  user:u{number}: {{roles: [Member]}}\n" for number in range(USERS))
    # One binding is on a branch, so that there are as many as the workload says and p900 has none for u7.
    bindings = "".join(
        f"  - {{id: b{number}, who: user:{user}, role: Designer, on: {project}}}\n"
        for number, (user, project) in enumerate(grants())
    )
    last = "  - {id: last, who: user:u1, role: Viewer, on: p900@main}\n"
    return f"organization: {ORG}\nmembers:\n{members}bindings:\n{bindings}{last}"


def token_size(token: str) -> int:
    """Return the bytes of a token's payload, for the report."""
    payload = token.split(".")[1]
    return len(json.dumps(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))))
