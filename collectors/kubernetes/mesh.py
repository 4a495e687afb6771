"""
What is kept of the objects that meshes and gateways bring with their CRDs.

Source: Istio networking/v1; Gateway API v1; MCS API (KEP-1645); Cilium v2;
Linkerd multicluster; Kuma.
Before: core.py. After: resources.py.
"""

import re
from typing import Final

from msgspec import field

from collectors.kubernetes.core import Addresses, Object, Port, Trim, TypedAddress


class _WorkloadSpec(Trim):
    """A WorkloadEntry, or an endpoint of a ServiceEntry."""

    address: str | None = None
    ports: dict[str, int] | None = None
    labels: dict[str, str] | None = None
    network: str | None = None
    locality: str | None = None
    service_account: str | None = None


class WorkloadEntry(Object):
    """A VM of an Istio mesh."""

    spec: _WorkloadSpec | None = None


class _Labels(Trim):
    labels: dict[str, str] | None = None


class _WorkloadGroupSpec(Trim):
    metadata: _Labels | None = None
    template: _WorkloadSpec | None = None


class WorkloadGroup(Object):
    """VMs that are alike."""

    spec: _WorkloadGroupSpec | None = None


class _ServiceEntrySpec(Trim):
    hosts: list[str] | None = None
    addresses: list[str] | None = None
    ports: list[Port] | None = None
    location: str | None = None
    resolution: str | None = None
    endpoints: list[_WorkloadSpec] | None = None
    workload_selector: _Labels | None = None
    subject_alt_names: list[str] | None = None


class ServiceEntry(Object):
    """What Istio is told of hosts outside."""

    spec: _ServiceEntrySpec | None = None
    status: Addresses | None = None


class _TlsOptions(Trim):
    protocol: str | None = field(default=None, name="gateway.istio.io/listener-protocol")


class _Tls(Trim):
    mode: str | None = None
    options: _TlsOptions | None = None


class _IstioServer(Trim):
    port: Port | None = None
    hosts: list[str] | None = None
    tls: _Tls | None = None


class _IstioGatewaySpec(Trim):
    selector: dict[str, str] | None = None
    servers: list[_IstioServer] | None = None


class IstioGateway(Object):
    """Ports of a proxy at the mesh's edge."""

    spec: _IstioGatewaySpec | None = None


class _Listener(Trim):
    name: str | None = None
    hostname: str | None = None
    port: int | None = None
    protocol: str | None = None
    tls: _Tls | None = None


class _GatewaySpec(Trim):
    gateway_class_name: str | None = None
    listeners: list[_Listener] | None = None
    addresses: list[TypedAddress] | None = None


class Gateway(Object):
    """A gateway of the Gateway API."""

    spec: _GatewaySpec | None = None
    status: Addresses | None = None


class _ServiceImportSpec(Trim):
    type: str | None = None
    ips: list[str] | None = None
    ports: list[Port] | None = None


class _ImportedFrom(Trim):
    cluster: str | None = None


class _ServiceImportStatus(Trim):
    clusters: list[_ImportedFrom] | None = None


class ServiceImport(Object):
    """A Service of several clusters."""

    spec: _ServiceImportSpec | None = None
    status: _ServiceImportStatus | None = None


class _CiliumIpam(Trim):
    pod_cidrs: list[str] | None = field(default=None, name="podCIDRs")


class _CiliumHealth(Trim):
    ipv4: str | None = None
    ipv6: str | None = None


class _CiliumNodeSpec(Trim):
    addresses: list[TypedAddress] | None = None
    ipam: _CiliumIpam | None = None
    health: _CiliumHealth | None = None
    ingress: _CiliumHealth | None = None


class CiliumNode(Object):
    """What Cilium knows of a node."""

    spec: _CiliumNodeSpec | None = None


class _LinkSpec(Trim):
    target_cluster_name: str | None = None
    target_cluster_domain: str | None = None
    gateway_address: str | None = None
    gateway_port: str | int | None = None
    gateway_identity: str | None = None


class Link(Object):
    """How Linkerd reaches another cluster."""

    spec: _LinkSpec | None = None


class _ZoneNetworking(Trim):
    address: str | None = None
    port: int | None = None
    advertised_address: str | None = None
    advertised_port: int | None = None


class _ZoneIngressSpec(Trim):
    zone: str | None = None
    networking: _ZoneNetworking | None = None


class ZoneIngress(Object):
    """How Kuma reaches another zone."""

    spec: _ZoneIngressSpec | None = None


_MESH_LINE: Final = re.compile(r"^ *(?:trustDomain|meshId): *\S*$", re.MULTILINE)


class _MeshConfig(Trim):
    """Settings of a mesh, of which the lines that name it are kept."""

    mesh: str | None = None

    def __post_init__(self) -> None:
        self.mesh = "\n".join(_MESH_LINE.findall(self.mesh or ""))


class ConfigMap(Object):
    """Istio's settings."""

    data: _MeshConfig | None = None
