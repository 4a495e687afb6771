"""
The rows of an inventory file: every key documented and bounded.

A TOML file is decoded into `InventoryFile`; columns of Parquet files are
checked against the types of the same fields.

Before: the file. After: tables.py.
"""

from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

_TEXT: Final = Meta(min_length=1, max_length=1_000, pattern=r"^[^\x00-\x1f\x7f]*$")
Text = Annotated[str, _TEXT]
"""A name: no control characters, since ids are hashes of names with those between."""

Time = Annotated[datetime, Meta(tz=True)]

_YEARS: Final = range(1900, 2201)


class Network(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An IP routing domain."""

    name: Annotated[Text, Meta(description="name of the network")]
    model: Annotated[
        Literal["flat", "gateway"],
        Meta(
            description="flat: clusters share it; gateway: one cluster's own, addresses may recur"
        ),
    ]
    members: Annotated[
        Annotated[tuple[Text, ...], Meta(max_length=10_000)],
        Meta(
            description="what sources call parts of it: 'aws/vpc-0a1b', 'gcp/projects/p/global/"
            "networks/n', an Azure network's id, a mesh's name of the network"
        ),
    ] = ()


class Cluster(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One API server's worth of nodes, or a group of VMs."""

    name: Annotated[Text, Meta(description="name of the cluster")]
    provider: Annotated[Text, Meta(description="aws, gcp, azure, onprem...")]
    network: Annotated[Text, Meta(description="network its pods are in")]
    region: Annotated[Text | None, Meta(description="provider's region")] = None
    zones: Annotated[
        Annotated[tuple[Text, ...], Meta(max_length=1_000)], Meta(description="provider's zones")
    ] = ()
    mesh: Annotated[Text | None, Meta(description="service mesh it belongs to")] = None
    trust_domain: Annotated[Text | None, Meta(description="SPIFFE trust domain")] = None


class Prefix(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An address range with an owner."""

    network: Annotated[Text, Meta(description="network the range is in")]
    cidr: Annotated[
        Annotated[str, Meta(pattern=r"^[0-9a-fA-F:.]+/[0-9]{1,3}$", max_length=60)],
        Meta(description="first address/length, for instance 10.1.0.0/16"),
    ]
    kind: Annotated[
        Literal["pod", "service", "node", "subnet", "vpc", "external"],
        Meta(
            description="what its addresses are; external: a named range outside; network"
            " 'internet' is the one whose addresses mean the same in every network"
        ),
    ]
    cluster: Annotated[Text | None, Meta(description="cluster it belongs to")] = None
    name: Annotated[Text | None, Meta(description="what people call it")] = None
    provider: Annotated[
        Text | None, Meta(description="aws, gcp, azure...; none: its cluster's, if any")
    ] = None
    region: Annotated[Text | None, Meta(description="provider's region")] = None
    zone: Annotated[Text | None, Meta(description="provider's zone")] = None
    account: Annotated[Text | None, Meta(description="account, project or subscription")] = None
    vpc: Annotated[Text | None, Meta(description="cloud network it is in")] = None
    subnet: Annotated[Text | None, Meta(description="subnet it is, or is in")] = None


class Endpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an address was, in a network, during [valid_from, valid_to)."""

    network: Annotated[Text, Meta(description="network in which the address means this")]
    ip: Annotated[Text, Meta(description="IPv4 or IPv6 address")]
    kind: Annotated[
        Literal[
            "pod", "node", "vm", "gateway", "load_balancer", "service", "interface", "external"
        ],
        Meta(description="what had the address"),
    ]
    cluster: Annotated[Text | None, Meta(description="cluster it is in")] = None
    namespace: Annotated[Text | None, Meta(description="Kubernetes namespace")] = None
    workload: Annotated[Text | None, Meta(description="owner: Deployment, StatefulSet...")] = None
    service: Annotated[Text | None, Meta(description="host name it is called by")] = None
    pod: Annotated[Text | None, Meta(description="pod name")] = None
    node: Annotated[Text | None, Meta(description="node it runs on")] = None
    zone: Annotated[Text | None, Meta(description="zone of that node")] = None
    identity: Annotated[Text | None, Meta(description="SPIFFE ID")] = None
    provider: Annotated[
        Text | None, Meta(description="aws, gcp, azure...; none: its cluster's")
    ] = None
    region: Annotated[Text | None, Meta(description="region; none: its cluster's")] = None
    valid_from: Annotated[
        Time | None, Meta(description="from when, inclusive, with an offset; none: always")
    ] = None
    valid_to: Annotated[
        Time | None, Meta(description="until when, exclusive, with an offset; none: still")
    ] = None

    def __post_init__(self) -> None:
        for key, time in (("valid_from", self.valid_from), ("valid_to", self.valid_to)):
            if time is not None and time.year not in _YEARS:
                raise ValueError(f"{key}: expected a year of {_YEARS[0]} to {_YEARS[-1]}")


class Gateway(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An address that leads into another network, as seen from this one."""

    network: Annotated[Text, Meta(description="network it is seen from")]
    ip: Annotated[Text, Meta(description="IPv4 or IPv6 address")]
    port: Annotated[
        Annotated[int, Meta(ge=1, le=65_535)], Meta(description="port that leads there")
    ]
    cluster: Annotated[Text, Meta(description="cluster whose gateway it is")]
    to_network: Annotated[Text, Meta(description="network it leads into")]
    name: Annotated[Text | None, Meta(description="name of the gateway")] = None


class Peering(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Two networks whose addresses are routed to each other."""

    networks: Annotated[
        Annotated[tuple[Text, ...], Meta(min_length=2, max_length=2)],
        Meta(description="the two; whoever is in one reaches addresses of the other"),
    ]
    name: Annotated[Text | None, Meta(description="what people call it")] = None


class RangeFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A file of ranges as a provider publishes it: AWS, Google, Azure, or a range a line."""

    path: Annotated[Text, Meta(description="the file; relative to the inventory's folder")]
    name: Annotated[
        Text | None,
        Meta(
            description="what its ranges' names begin with; none: aws, gcp, google, azure,"
            " or the file's name"
        ),
    ] = None
    provider: Annotated[
        Text | None, Meta(description="provider of its ranges; none: whose format it is")
    ] = None


class InventoryFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file."""

    networks: Annotated[tuple[Network, ...], Meta(description="IP routing domains")] = ()
    clusters: Annotated[tuple[Cluster, ...], Meta(description="clusters, and groups of VMs")] = ()
    prefixes: Annotated[tuple[Prefix, ...], Meta(description="address ranges with an owner")] = ()
    endpoints: Annotated[tuple[Endpoint, ...], Meta(description="who had which address")] = ()
    gateways: Annotated[tuple[Gateway, ...], Meta(description="ways into other networks")] = ()
    peerings: Annotated[tuple[Peering, ...], Meta(description="networks routed to each other")] = ()
    range_files: Annotated[
        tuple[RangeFile, ...], Meta(description="files of ranges that providers publish")
    ] = ()
