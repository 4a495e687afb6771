"""
What an object of a source claims: the contract of every source.

A `World` is what one source of one cluster knows now: objects by resource,
scope and uid, and what follows from them. It is given objects one by one, in
any order, and says which of them claim something else now: a pod's zone is its
node's, and its workload its ReplicaSet's owner, whichever of them came first.

It remembers only what it needs, never raises for what an object holds but
`ObjectError`, and claims nothing it was not told: a field nobody gave is None.

    kubernetes   pods, nodes, services and what meshes add, of one API server
    aws, gcp, azure   networks, subnets, interfaces, load balancers, links
    netbox       prefixes and addresses of an IP plan

Before: decode.py. After: registry.py.
"""

from collections.abc import Iterable
from typing import NamedTuple, Protocol


class ObjectError(ValueError):
    """An object that is not what its resource's objects are; the change is rejected."""


class Key(NamedTuple):
    """An object of a source."""

    scope: str
    resource: str
    uid: str


class EndpointClaim(NamedTuple):
    """
    An address the object has.

    Attributes
    ----------
    network
        Network in which the address means this; or what the source calls a part
        of it, ``aws/vpc-0a1b`` (`rows.Network.members` says which that is).
        `pipeline.inventory.file.INTERNET` for addresses that mean the same everywhere.
    ip
        IPv4 or IPv6, text.
    kind, cluster, namespace...
        Columns of `schema.ENDPOINTS`.
    since_us
        From when the object itself says it may have had it, UTC microseconds;
        None: from when it was seen.
    until_us
        When the object itself says it gave the address up; None: it has it.
    """

    network: str
    ip: str
    kind: str
    cluster: str | None = None
    namespace: str | None = None
    workload: str | None = None
    service: str | None = None
    pod: str | None = None
    node: str | None = None
    zone: str | None = None
    identity: str | None = None
    provider: str | None = None
    region: str | None = None
    since_us: int | None = None
    until_us: int | None = None


class PrefixClaim(NamedTuple):
    """A range and what it is; columns of `schema.PREFIXES`, network as in `EndpointClaim`."""

    network: str
    cidr: str
    kind: str
    cluster: str | None = None
    name: str | None = None
    provider: str | None = None
    region: str | None = None
    zone: str | None = None
    account: str | None = None
    vpc: str | None = None
    subnet: str | None = None


class GatewayClaim(NamedTuple):
    """An address and port that lead from ``network`` into ``to_network``."""

    network: str
    ip: str
    port: int
    cluster: str
    to_network: str
    name: str | None = None


class PeeringClaim(NamedTuple):
    """Addresses of ``peer_network`` are reached from ``network``; claim both ways where so."""

    network: str
    peer_network: str
    kind: str
    name: str | None = None


class ClusterClaim(NamedTuple):
    """What a cluster is, as far as this object tells; columns of `schema.CLUSTERS`."""

    cluster: str
    provider: str | None = None
    region: str | None = None
    zones: tuple[str, ...] = ()
    mesh: str | None = None
    trust_domain: str | None = None


Claim = EndpointClaim | PrefixClaim | GatewayClaim | PeeringClaim | ClusterClaim


class World(Protocol):
    """One source of one cluster: made with the agent's cluster and network."""

    def put(self, key: Key, text: bytes) -> Iterable[Key]:
        """
        Take an object as it is now.

        Returns
        -------
        Keys whose claims may have changed, this one among them.

        Raises
        ------
        ObjectError
            If it cannot be read; what was known of it before stays.
        """

    def remove(self, key: Key) -> Iterable[Key]:
        """Forget an object; returns what may have changed. Unknown ones change nothing."""

    def claims(self, key: Key) -> Iterable[Claim]:
        """What an object claims now; nothing if it is not there."""
