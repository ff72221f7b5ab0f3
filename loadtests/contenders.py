"""Everything that can be measured, by name. Adding one is a class with `missing` and `command`, and its place here."""

from loadtests.authorizers import Caddy, EnvoyExtAuthz, EnvoyRbac, EnvoyRbacThousand, Traefik
from loadtests.peers import (
    Envoy,
    Floor,
    HaProxy,
    Naive,
    Nginx,
    NginxAuthRequest,
    Peer,
    Sidegate,
    SidegateCompiled,
    SidegateMemory,
)

PEERS: dict[str, type[Peer]] = {
    peer.name: peer
    for peer in (
        Sidegate,
        SidegateCompiled,
        SidegateMemory,
        Nginx,
        Envoy,
        HaProxy,
        EnvoyRbac,
        EnvoyRbacThousand,
        NginxAuthRequest,
        EnvoyExtAuthz,
        Caddy,
        Traefik,
        Naive,
        Floor,
    )
}
