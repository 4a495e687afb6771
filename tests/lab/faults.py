"""
What can be broken in a running lab, and mended: `FAULTS`, a name each.

A fault is what an operator meets: a program that is gone, packets that get
lost, a certificate past its date, a configuration that misses something. A
proxy's configuration is changed as a restart changes it. Which faults are on
is written beside the lab, so that another process can mend them.

Before: mesh.py, certs.py. After: `crosspane lab fault`, test_faults.py.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import admin, certs, envoy, netns
from .names import GATEWAY_PORT, SERVICE_PORT, sni
from .processes import LabError
from .upstreams import outbound_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from .mesh import Mesh

_GATEWAY = "gateway-west-eastwest"
_WEST = "cluster-west"
_SERVER = "ratings"
_CLIENT = "sidecar-frontend"
_CALLED = "reviews"
_ANSWER_SECONDS = 5.0
_PEER = "fault-plaintext-peer"


@dataclass(frozen=True)
class Fault:
    """
    One thing that can be broken.

    Attributes
    ----------
    client, service
        Whose calls meet it.
    shows
        What the proxies then say.
    """

    client: str
    service: str
    shows: str
    apply: Callable[[Mesh], None]
    undo: Callable[[Mesh], None]


def apply(mesh: Mesh, name: str) -> None:
    """Break something; LabError where it is broken already, or the name is none."""
    fault = _named(name)
    if name in active(mesh):
        raise LabError(f"{name} is on already")
    _marks(mesh).mkdir(exist_ok=True)
    (_marks(mesh) / name).touch()
    fault.apply(mesh)


def undo(mesh: Mesh, name: str) -> None:
    """Mend it, and wait until every proxy finds all it calls healthy again."""
    fault = _named(name)
    if name not in active(mesh):
        raise LabError(f"{name} is not on")
    fault.undo(mesh)
    (_marks(mesh) / name).unlink()
    if not active(mesh):
        mesh.await_healthy()


def active(mesh: Mesh) -> list[str]:
    """Return the faults that are on."""
    marks = _marks(mesh)
    return sorted(mark.name for mark in marks.iterdir()) if marks.exists() else []


def _named(name: str) -> Fault:
    if name not in FAULTS:
        raise LabError(f"no fault is named {name!r}; there are {', '.join(FAULTS)}")
    return FAULTS[name]


def _marks(mesh: Mesh) -> Path:
    return mesh.directory / "faults"


def _stop(program: str) -> Callable[[Mesh], None]:
    return lambda mesh: mesh.stop(program)


def _restart(program: str) -> Callable[[Mesh], None]:
    return lambda mesh: mesh.restart(program)


def _tell(program: str, number: signal.Signals) -> Callable[[Mesh], None]:
    """Signal an application, and wait until it has said what it does from now on."""

    def tell(mesh: Mesh) -> None:
        said = mesh.directory / f"{program}.out"
        before = said.stat().st_size
        mesh.signal(program, number)
        limit = time.monotonic() + _ANSWER_SECONDS
        while said.stat().st_size == before:
            mesh.expect(program, limit)

    return tell


def _restart_gateway(mesh: Mesh) -> None:
    mesh.restart(_GATEWAY)
    mesh.await_live(_GATEWAY)


def _drop_packets(mesh: Mesh) -> None:
    cluster, _ = mesh.proxies()[_GATEWAY]
    own = mesh.topology.gateway_of(cluster.network)
    netns.nft(
        cluster.node_namespace,
        "table ip fault {\nchain lost {\ntype filter hook forward priority 0;\n"
        f"ip daddr {own.ip} tcp dport {GATEWAY_PORT} drop\n"
        f"ip saddr {own.ip} tcp sport {GATEWAY_PORT} drop\n"
        "}\n}\n",
    )


def _pass_packets(mesh: Mesh) -> None:
    cluster, _ = mesh.proxies()[_GATEWAY]
    netns.nft(cluster.node_namespace, "delete table ip fault\n")


def _switch(program: str, key: str, percent: str) -> Callable[[Mesh], None]:
    """Set a key of a proxy's runtime; empty: as it was."""

    def switch(mesh: Mesh) -> None:
        socket = mesh.admin(*mesh.proxies()[program])
        admin.ask(socket, f"/runtime_modify?{key}={percent}", method="POST")

    return switch


def _certify(service: str, days: int, identity: str = "") -> Callable[[Mesh], None]:
    """Restart a sidecar with another certificate, beside the one it had."""

    def certify(mesh: Mesh) -> None:
        cluster, pod = mesh.topology.home_of(service)
        own, other = mesh.directory / "certs", mesh.directory / "certs" / "other"
        other.mkdir(exist_ok=True)
        for suffix in (".crt", ".key"):
            for name in ("root", cluster.name):
                (other / f"{name}{suffix}").write_bytes((own / f"{name}{suffix}").read_bytes())
        leaf = certs.issue(other, cluster, pod, days, identity)
        text = json.dumps(mesh.config(f"sidecar-{service}"))
        for path in (leaf.chain, leaf.key):
            text = text.replace(str(own / path.name), str(path))
        mesh.reconfigure(f"sidecar-{service}", json.loads(text))

    return certify


def _expiring(mesh: Mesh) -> None:
    _certify(_SERVER, days=1)(mesh)
    mesh.await_healthy()


def _without_route(mesh: Mesh) -> None:
    """Take the service's virtual host from its client."""
    config = mesh.config(_CLIENT)
    outbound = config["static_resources"]["listeners"][0]
    manager = outbound["filter_chains"][0]["filters"][0]["typed_config"]
    host = mesh.topology.home_of(_CALLED)[1].host_name
    hosts = manager["route_config"]["virtual_hosts"]
    hosts[:] = [one for one in hosts if host not in one["domains"]]
    mesh.reconfigure(_CLIENT, config)


def _without_cluster(mesh: Mesh) -> None:
    """Take the service from the gateway of its network."""
    config = mesh.config(_GATEWAY)
    known = config["static_resources"]["clusters"]
    host = mesh.topology.home_of(_CALLED)[1].host_name
    known[:] = [one for one in known if one["name"] != sni(host)]
    mesh.reconfigure(_GATEWAY, config)


def _circuit_breaker(mesh: Mesh) -> None:
    """Let the client have no request to the service under way."""
    config = mesh.config(_CLIENT)
    host = mesh.topology.home_of(_CALLED)[1].host_name
    for one in config["static_resources"]["clusters"]:
        if one["name"] == outbound_name(host):
            limits: dict[str, Any] = {"max_requests": 0}
            one["circuit_breakers"] = {"thresholds": [limits]}
    mesh.reconfigure(_CLIENT, config)


def _as_first(program: str) -> Callable[[Mesh], None]:
    return lambda mesh: mesh.reconfigure(program)


def _start_peer(mesh: Mesh) -> None:
    cluster, _ = mesh.topology.home_of("batch")
    urls = [
        f"http://{mesh.topology.home_of(name)[1].ip}:{SERVICE_PORT}{path}"
        for name, path in (("inventory", "/stock"), ("billing", "/invoices"))
    ]
    program = str(Path(__file__).with_name("peer.py"))
    mesh.start(_PEER, cluster.namespace("batch"), sys.executable, program, "GET", *urls)


FAULTS = {
    "gateway_down": Fault(
        *("frontend", "reviews"),
        "client: 503 URX,UF (refused), then UH; server: nothing",
        _stop(_GATEWAY),
        _restart_gateway,
    ),
    "gateway_blackholed": Fault(
        *("frontend", "reviews"),
        "client: 504 UT, then UH; server: nothing",
        _drop_packets,
        _pass_packets,
    ),
    "gateway_unaware": Fault(
        *("frontend", "reviews"),
        "client: 503 URX,UF, then UH; gateway: NC; server: nothing",
        _without_cluster,
        _as_first(_GATEWAY),
    ),
    "upstream_refusing": Fault(
        *("reviews", _SERVER),
        "client: 503 URX, then UH; server: 503 UF (refused)",
        _stop(f"app-{_SERVER}"),
        _restart(f"app-{_SERVER}"),
    ),
    "upstream_closing": Fault(
        *("reviews", _SERVER),
        "client: 503 URX, then UH (ejected, for 3 s each time); server: 503 UC",
        _tell(f"app-{_SERVER}", signal.SIGUSR1),
        _tell(f"app-{_SERVER}", signal.SIGUSR2),
    ),
    "upstream_slow": Fault(
        *("reviews", _SERVER),
        "client: 504 UT; server: no status, DI,DC",
        _switch(f"sidecar-{_SERVER}", envoy.DELAY, "100"),
        _switch(f"sidecar-{_SERVER}", envoy.DELAY, ""),
    ),
    "upstream_aborting": Fault(
        *("reviews", _SERVER),
        "client: 500 without a flag; server: 500 FI",
        _switch(f"sidecar-{_SERVER}", envoy.ABORT, "100"),
        _switch(f"sidecar-{_SERVER}", envoy.ABORT, ""),
    ),
    "certificate_expired": Fault(
        *("reviews", _SERVER),
        "client: 503 URX,UF (CERTIFICATE_VERIFY_FAILED: expired), then UH; server: nothing",
        _certify(_SERVER, days=-1),
        _as_first(f"sidecar-{_SERVER}"),
    ),
    "certificate_expiring": Fault(
        *("reviews", _SERVER),
        "all works; one day is left in the server's statistics",
        _expiring,
        _as_first(f"sidecar-{_SERVER}"),
    ),
    "certificate_of_another": Fault(
        *("reviews", _SERVER),
        "client: 503 URX,UF (CERTIFICATE_VERIFY_FAILED: SAN), then UH; server: nothing",
        _certify(_SERVER, days=30, identity="spiffe://cluster.local/ns/shop/sa/impostor"),
        _as_first(f"sidecar-{_SERVER}"),
    ),
    "plaintext_peer": Fault(
        *("batch", "inventory"),
        "permissive server: 200, InboundPassthroughCluster, no TLS, no identity; "
        "strict server: connection refused, NR",
        _start_peer,
        _stop(_PEER),
    ),
    "route_unknown": Fault(
        *("frontend", "reviews"),
        "client: 404 NR; server: nothing",
        _without_route,
        _as_first(_CLIENT),
    ),
    "circuit_open": Fault(
        *("frontend", "reviews"),
        "client: 503 UO; server: nothing",
        _circuit_breaker,
        _as_first(_CLIENT),
    ),
}
