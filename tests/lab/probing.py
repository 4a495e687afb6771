"""
Probes as an agent of crosspane would send them, from a pod of the lab through another's gateway.

Before: mesh.py. After: test_faults.py.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from collectors.config import ProbeTarget
from collectors.probe_attempt import Attempt, attempt, tls_context

from . import names, netns

if TYPE_CHECKING:
    from .mesh import Mesh

_TIMEOUT_SECONDS = 1.0


def through_gateway(lab: Mesh, client: str, service: str) -> Attempt:
    """Shake hands with a workload of another network, as `client`, by the name gateways choose by."""
    home = next(one for one in lab.topology.clusters if client in {p.workload for p in one.pods})
    there = next(one for one in lab.topology.clusters if service in {p.workload for p in one.pods})
    if there.gateway is None:
        raise ValueError(f"{there.name} has no gateway")
    own = lab.directory / "certs" / f"{home.short}-{client}"
    target = ProbeTarget(
        name=service,
        kind="tls",
        address=f"{there.gateway.vip}:{names.GATEWAY_PORT}",
        server_name=names.sni(names.host_name(service)),
        identity=names.spiffe(service),
        tls_ca_file=str(lab.directory / "certs" / "root.crt"),
        tls_cert_file=f"{own}.chain",
        tls_key_file=f"{own}.key",
        timeout_s=_TIMEOUT_SECONDS,
    )
    with netns.inside(home.namespace(client)):
        return asyncio.run(attempt(target, tls_context(target), 1))
