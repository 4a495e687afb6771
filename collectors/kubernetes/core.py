"""
What is kept of the objects of every API server.

    {"type": "MODIFIED", "object": {...10 kB...}} → {"metadata": ..., "spec": ...} 600 bytes

A struct here is an allow-list: the object is read into it and written from it,
so what no field names is dropped at the agent: environments, commands, volumes,
annotations but two, ``managedFields``. Names and nesting stay Kubernetes', so
what is shipped is the object with fewer fields.

Source: Kubernetes API 1.34.
Before: watcher.py. After: mesh.py.
"""

import msgspec
from msgspec import field


class Trim(msgspec.Struct, omit_defaults=True, rename="camel", gc=False):
    """A part of an object; keys of JSON are the names here in camelCase, if no other is given."""


class _Owner(Trim):
    kind: str | None = None
    name: str | None = None
    uid: str | None = None
    controller: bool | None = None


class _Annotations(Trim):
    """All annotations that are read; the others may hold anything."""

    sidecar: str | None = field(default=None, name="sidecar.istio.io/status")
    redirection: str | None = field(default=None, name="ambient.istio.io/redirection")


class Metadata(Trim):
    """What identifies an object, and what it says of itself and its owners."""

    name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] | None = None
    annotations: _Annotations | None = None
    owner_references: list[_Owner] | None = None


class Object(Trim):
    """An object of which the metadata is all."""

    metadata: Metadata = field(default_factory=Metadata)


class _OwnedMetadata(Trim):
    name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    owner_references: list[_Owner] | None = None


class Owned(Trim):
    """An object of which only the owner counts."""

    metadata: _OwnedMetadata = field(default_factory=_OwnedMetadata)


class _Ip(Trim):
    ip: str | None = None


class _PodSpec(Trim):
    node_name: str | None = None
    host_network: bool | None = None
    service_account_name: str | None = None


class _Condition(Trim):
    type: str | None = None
    status: str | None = None
    last_transition_time: str | None = None


class _Terminated(Trim):
    finished_at: str | None = None


class _ContainerState(Trim):
    terminated: _Terminated | None = None


class _ContainerStatus(Trim):
    state: _ContainerState | None = None


class _PodStatus(Trim):
    phase: str | None = None
    pod_ip: str | None = field(default=None, name="podIP")
    pod_ips: list[_Ip] | None = field(default=None, name="podIPs")
    start_time: str | None = None
    conditions: list[_Condition] | None = None
    container_statuses: list[_ContainerStatus] | None = None
    init_container_statuses: list[_ContainerStatus] | None = None


class Pod(Object):
    """Where it runs, and which addresses it has and had."""

    spec: _PodSpec | None = None
    status: _PodStatus | None = None


class _NodeSpec(Trim):
    provider_id: str | None = field(default=None, name="providerID")
    pod_cidr: str | None = field(default=None, name="podCIDR")
    pod_cidrs: list[str] | None = field(default=None, name="podCIDRs")


class TypedAddress(Trim):
    """Address of a node, a Cilium node, a gateway or a ServiceEntry: each has some of these."""

    type: str | None = None
    address: str | None = None
    ip: str | None = None
    value: str | None = None
    host: str | None = None


class Addresses(Trim):
    """What has addresses."""

    addresses: list[TypedAddress] | None = None


class Node(Object):
    """Its addresses, and those it gives to pods."""

    spec: _NodeSpec | None = None
    status: Addresses | None = None


class Port(Trim):
    """Port of a Service, an EndpointSlice, a ServiceEntry or a ServiceImport."""

    name: str | None = None
    port: int | None = None
    number: int | None = None
    protocol: str | None = None
    app_protocol: str | None = None
    target_port: int | str | None = None
    node_port: int | None = None


class _Ingress(Trim):
    ip: str | None = None
    hostname: str | None = None
    ports: list[Port] | None = None


class _LoadBalancer(Trim):
    ingress: list[_Ingress] | None = None


class _ServiceStatus(Trim):
    load_balancer: _LoadBalancer | None = None


class _ServiceSpec(Trim):
    type: str | None = None
    cluster_ip: str | None = field(default=None, name="clusterIP")
    cluster_ips: list[str] | None = field(default=None, name="clusterIPs")
    external_ips: list[str] | None = field(default=None, name="externalIPs")
    load_balancer_ip: str | None = field(default=None, name="loadBalancerIP")
    external_name: str | None = None
    ports: list[Port] | None = None
    selector: dict[str, str] | None = None


class Service(Object):
    """Under which addresses what is called."""

    spec: _ServiceSpec | None = None
    status: _ServiceStatus | None = None


class _EndpointConditions(Trim):
    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class _Target(Trim):
    kind: str | None = None
    namespace: str | None = None
    name: str | None = None
    uid: str | None = None


class _Endpoint(Trim):
    addresses: list[str] | None = None
    conditions: _EndpointConditions | None = None
    hostname: str | None = None
    target_ref: _Target | None = None
    node_name: str | None = None
    zone: str | None = None


class EndpointSlice(Object):
    """Which addresses are behind a Service."""

    address_type: str | None = None
    endpoints: list[_Endpoint] | None = None
    ports: list[Port] | None = None
