"""
Services, and what a mesh adds to them: imports from other clusters, hosts outside, VMs.

    Service          clusterIPs; load balancers and externalIPs
    ServiceImport    its addresses, by a name of the set of clusters
    ServiceEntry     its addresses; its endpoints: outside, or VMs of the mesh
    WorkloadEntry    a VM of the mesh

An address that may be a host name and is one claims nothing: it is not resolved.

Before: gateways.py. After: __init__.py.
"""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from pipeline.inventory.sources import Claim, EndpointClaim, GatewayClaim, PrefixClaim
from pipeline.inventory.sources.kubernetes.addresses import address, addresses, cidr, place
from pipeline.inventory.sources.kubernetes.board import MESH, NETWORK, Here, Kept, Topic, host
from pipeline.inventory.sources.kubernetes.gateways import ways

_Port = Annotated[int, Meta(ge=1, le=65_535)]


class _ServiceLabels(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={
        "network": "topology.istio.io/network",
        "gateway": "gateway.networking.k8s.io/gateway-name",
        "gateway_port": "networking.istio.io/gatewayPort",
    },
):
    istio: str | None = None
    network: str | None = None
    gateway: str | None = None
    gateway_port: str | None = None


class _ServiceMeta(msgspec.Struct, frozen=True, gc=False):
    name: str
    namespace: str
    labels: _ServiceLabels | None = None


class _ServicePort(msgspec.Struct, frozen=True, gc=False):
    port: _Port


class _ServiceSpec(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={
        "cluster_ip": "clusterIP",
        "cluster_ips": "clusterIPs",
        "external_ips": "externalIPs",
    },
):
    type: str | None = None
    cluster_ip: str | None = None
    cluster_ips: tuple[str, ...] | None = None
    external_ips: tuple[str, ...] | None = None
    ports: tuple[_ServicePort, ...] | None = None


class _Ingress(msgspec.Struct, frozen=True, gc=False):
    ip: str | None = None


class _LoadBalancer(msgspec.Struct, frozen=True, gc=False):
    ingress: tuple[_Ingress, ...] | None = None


class _ServiceStatus(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    load_balancer: _LoadBalancer | None = None


class _ServiceObject(msgspec.Struct, frozen=True, gc=False):
    metadata: _ServiceMeta
    spec: _ServiceSpec | None = None
    status: _ServiceStatus | None = None


class Service(Kept, frozen=True, gc=False):
    """
    What is kept of a Service that has addresses.

    Attributes
    ----------
    outer
        Addresses of its load balancers, and external ones.
    leads
        Ports of its outer addresses that lead into ``network``, as the mesh calls it.
    gateway
        Whether it is a gateway's: then it is called as its workload is.
    """

    namespace: str
    name: str
    inner: tuple[str, ...]
    outer: tuple[str, ...]
    leads: tuple[int, ...]
    network: str | None
    gateway: bool

    def reads(self) -> Sequence[Topic]:
        """How the mesh calls our network, if it leads into one."""
        return [NETWORK] if self.leads else ()

    def claims(self, here: Here) -> list[Claim]:
        """Its addresses, and where they lead."""
        places = {(here.network, ip): "service" for ip in self.inner}
        outer = dict.fromkeys((place(ip, here.network), ip) for ip in self.outer)
        places |= dict.fromkeys(outer, "load_balancer")
        claims: list[Claim] = [
            EndpointClaim(
                network,
                ip,
                kind,
                here.cluster,
                self.namespace,
                self.name if self.gateway else None,
                host(self.name, self.namespace),
            )
            for (network, ip), kind in places.items()
        ]
        if self.leads:
            to_network = here.network_of(self.network)
            claims += [
                GatewayClaim(network, ip, port, here.cluster, to_network, self.name)
                for network, ip in outer
                for port in self.leads
            ]
        return claims


_decode_service = msgspec.json.Decoder(_ServiceObject).decode


def read_service(text: bytes) -> Kept:
    """Keep a Service, unless it is but a name."""
    service = _decode_service(text)
    meta, spec, status = service.metadata, service.spec or _ServiceSpec(), service.status
    if spec.type == "ExternalName":
        return Kept()
    inner = spec.cluster_ips or ((spec.cluster_ip,) if spec.cluster_ip else ())
    balanced = status.load_balancer.ingress or () if status and status.load_balancer else ()
    outer = (*(one.ip for one in balanced if one.ip), *(spec.external_ips or ()))
    labels = meta.labels or _ServiceLabels()
    crosses = labels.network or labels.istio == "eastwestgateway"
    ports = tuple(one.port for one in spec.ports or ())
    return Service(
        meta.namespace,
        meta.name,
        tuple(dict.fromkeys(address(one) for one in inner if one and one != "None")),
        tuple(dict.fromkeys(address(one) for one in outer)),
        ways(ports, labels.gateway_port) if crosses else (),
        labels.network or None,
        bool(labels.istio or labels.gateway or labels.network),
    )


# --- of other clusters -------------------------------------------------------


class _Name(msgspec.Struct, frozen=True, gc=False):
    name: str
    namespace: str


class _ImportSpec(msgspec.Struct, frozen=True, gc=False):
    ips: tuple[str, ...] | None = None


class _Import(msgspec.Struct, frozen=True, gc=False):
    metadata: _Name
    spec: _ImportSpec | None = None


class ServiceImport(Kept, frozen=True, gc=False):
    """A Service of several clusters."""

    namespace: str
    name: str
    ips: tuple[str, ...]

    def claims(self, here: Here) -> list[Claim]:
        """Its addresses, which are its in this cluster."""
        service = f"{self.name}.{self.namespace}.svc.clusterset.local"
        return [
            EndpointClaim(
                here.network, ip, "service", here.cluster, self.namespace, service=service
            )
            for ip in self.ips
        ]


_decode_import = msgspec.json.Decoder(_Import).decode


def read_service_import(text: bytes) -> Kept:
    """Keep a ServiceImport."""
    found = _decode_import(text)
    ips = found.spec.ips or () if found.spec else ()
    return ServiceImport(
        found.metadata.namespace,
        found.metadata.name,
        tuple(dict.fromkeys(address(one) for one in ips)),
    )


# --- outside, and VMs --------------------------------------------------------


class _Machine(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Spec of a WorkloadEntry, and an endpoint of a ServiceEntry."""

    address: str | None = None
    network: str | None = None
    locality: str | None = None
    service_account: str | None = None

    def claims(
        self, here: Here, kind: str, namespace: str, workload: str | None, service: str | None
    ) -> list[Claim]:
        """One endpoint, if it has an address: ``external``, or a ``vm`` of the cluster's mesh."""
        region, _, rest = (self.locality or "").partition("/")
        outside = kind == "external"
        network = here.network_of(self.network)
        return [
            EndpointClaim(
                place(ip, network) if outside and not self.network else network,
                ip,
                kind,
                None if outside else here.cluster,
                None if outside else namespace,
                workload,
                service,
                zone=rest.partition("/")[0] or None,
                identity=None if outside else here.identity(namespace, self.service_account),
                region=region or None,
            )
            for ip in addresses((self.address or "",))
        ]


class _EntryAddress(msgspec.Struct, frozen=True, gc=False):
    value: str
    host: str | None = None


class _EntryStatus(msgspec.Struct, frozen=True, gc=False):
    addresses: tuple[_EntryAddress, ...] | None = None


class _EntrySpec(msgspec.Struct, frozen=True, gc=False):
    hosts: tuple[str, ...] | None = None
    addresses: tuple[str, ...] | None = None
    location: str | None = None
    endpoints: tuple[_Machine, ...] | None = None


class _Entry(msgspec.Struct, frozen=True, gc=False):
    metadata: _Name
    spec: _EntrySpec | None = None
    status: _EntryStatus | None = None


_READS: Final[Sequence[Topic]] = (NETWORK, MESH)


class ServiceEntry(Kept, frozen=True, gc=False):
    """A host the mesh is told of; each address of its own with the host that has it."""

    namespace: str
    host: str | None
    virtual: tuple[tuple[str, str | None], ...]
    ranges: tuple[str, ...]
    kind: str
    machines: tuple[_Machine, ...]

    def reads(self) -> Sequence[Topic]:
        """How the mesh calls our network, and its trust domain."""
        return _READS

    def claims(self, here: Here) -> list[Claim]:
        """Its own addresses and ranges in our network, and its endpoints where they are."""
        claims: list[Claim] = []
        for one in self.machines:
            claims += one.claims(here, self.kind, self.namespace, None, self.host)
        claims += [
            EndpointClaim(here.network, ip, "service", here.cluster, self.namespace, service=name)
            for ip, name in self.virtual
        ]
        claims += [
            PrefixClaim(here.network, one, "service", here.cluster, self.host)
            for one in self.ranges
        ]
        return claims


_decode_entry = msgspec.json.Decoder(_Entry).decode


def read_service_entry(text: bytes) -> Kept:
    """Keep a ServiceEntry."""
    entry = _decode_entry(text)
    spec = entry.spec or _EntrySpec()
    name = spec.hosts[0] if spec.hosts else None
    texts = spec.addresses or ()
    given = [(one, name) for one in texts if "/" not in one]
    allotted = entry.status.addresses or () if entry.status else ()
    given += [(one.value, one.host or name) for one in allotted]
    return ServiceEntry(
        entry.metadata.namespace,
        name,
        tuple({address(one): (address(one), owner) for one, owner in given}.values()),
        tuple(dict.fromkeys(cidr(one) for one in texts if "/" in one)),
        "vm" if spec.location == "MESH_INTERNAL" else "external",
        spec.endpoints or (),
    )


class _OwnerOfMachine(msgspec.Struct, frozen=True, gc=False):
    kind: str
    name: str


class _WorkloadMeta(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    name: str
    namespace: str
    owner_references: tuple[_OwnerOfMachine, ...] | None = None


class _WorkloadObject(msgspec.Struct, frozen=True, gc=False):
    metadata: _WorkloadMeta
    spec: _Machine | None = None


class WorkloadEntry(Kept, frozen=True, gc=False):
    """A VM of the mesh; its workload is the WorkloadGroup that owns it, else itself."""

    namespace: str
    workload: str
    machine: _Machine

    def reads(self) -> Sequence[Topic]:
        """How the mesh calls our network, and its trust domain."""
        return _READS

    def claims(self, here: Here) -> list[Claim]:
        """The VM."""
        return self.machine.claims(here, "vm", self.namespace, self.workload, None)


_decode_workload = msgspec.json.Decoder(_WorkloadObject).decode


def read_workload_entry(text: bytes) -> Kept:
    """Keep a WorkloadEntry."""
    entry = _decode_workload(text)
    meta = entry.metadata
    owners = [one.name for one in meta.owner_references or () if one.kind == "WorkloadGroup"]
    return WorkloadEntry(meta.namespace, (owners or [meta.name])[0], entry.spec or _Machine())
