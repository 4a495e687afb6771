"""
NetBox: the ranges and addresses of an IP plan.

    ipam.prefixes       ranges; containers are the space others lie in (vpc), those
                        that are deprecated nobody's
    ipam.ip-addresses   addresses in use, by what they are assigned to

A VRF is a network of its own, ``netbox/vrf/<name>``; what is in none is in the
agent's network, or the internet's if its addresses are public.

Source: NetBox 4.x REST API, ``ipam`` serializers.
Before: decode.py. After: registry.py.
"""

import ipaddress
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from pipeline.inventory.file import INTERNET
from pipeline.inventory.numbers import is_public
from pipeline.inventory.sources import Claim, EndpointClaim, Key, ObjectError, PrefixClaim
from pipeline.inventory.sources.linked import Cidr, Name, Objects, Part, read, reader


class _Choice(Part, frozen=True):
    value: Name = ""


class _Named(Part, frozen=True, rename=None):
    name: Name | None = None
    device: "_Named | None" = None
    virtual_machine: "_Named | None" = None


class _Prefix(Part, frozen=True, rename=None):
    prefix: Cidr
    status: _Choice = _Choice()
    vrf: _Named | None = None
    scope_type: Name | None = None
    scope: _Named | None = None
    site: _Named | None = None  # before NetBox 4.2
    tenant: _Named | None = None
    role: _Named | None = None
    description: Name = ""


class _Address(Part, frozen=True, rename=None):
    address: Name
    status: _Choice = _Choice()
    role: _Choice | None = None
    vrf: _Named | None = None
    assigned_object_type: Name | None = None
    assigned_object: _Named | None = None
    dns_name: Name = ""

    def ip(self) -> str:
        """The address without its mask."""
        return str(ipaddress.ip_interface(self.address).ip)


_READERS: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    "ipam.prefixes": reader(_Prefix),
    "ipam.ip-addresses": reader(_Address),
}

_FIRST_HOPS: Final = {"vrrp", "hsrp", "glbp", "carp"}
_SHARED: Final = {"vip", "anycast"}
_IN_USE: Final = {"active", "dhcp", "slaac"}


class Netbox:
    """See `pipeline.inventory.sources.World`."""

    def __init__(self, cluster: str, network: str) -> None:
        del cluster  # an IP plan is of no cluster
        self._network = network
        self._objects: Objects[Any] = Objects()

    def put(self, key: Key, text: bytes) -> Iterable[Key]:
        """See `World.put`."""
        one = read(_READERS, key, text)
        if one is None:
            return ()
        if isinstance(one, _Address):
            try:
                one.ip()
            except ValueError as error:
                raise ObjectError(f"{key.resource} {key.uid}: {error}") from error
        return self._objects.put(key, one)

    def remove(self, key: Key) -> Iterable[Key]:
        """See `World.remove`."""
        return self._objects.remove(key)

    def claims(self, key: Key) -> Iterable[Claim]:
        """See `World.claims`."""
        match self._objects.get(key):
            case _Prefix() as one if one.prefix and one.status.value != "deprecated":
                return (self._of_prefix(one),)
            case _Address() as one if one.status.value in _IN_USE:
                return (self._of_address(one),)
        return ()

    def _of_prefix(self, one: _Prefix) -> PrefixClaim:
        name = one.description or (one.role and one.role.name)
        scope = {one.scope_type: one.scope and one.scope.name}
        site = scope.get("dcim.site") or (one.site and one.site.name)
        return PrefixClaim(
            self._in(one.vrf, one.prefix.partition("/")[0]),
            one.prefix,
            "vpc" if one.status.value == "container" else "subnet",
            name=name or None,
            region=scope.get("dcim.region") or None,
            zone=site or None,
            account=(one.tenant and one.tenant.name) or None,
        )

    def _of_address(self, one: _Address) -> EndpointClaim:
        ip = one.ip()
        role = one.role.value if one.role else ""
        owner = one.assigned_object or _Named()
        machine = (owner.virtual_machine and owner.virtual_machine.name) or None
        device = (owner.device and owner.device.name) or None
        kind = "vm" if machine else "node" if device else "interface"
        if role in _SHARED:
            kind = "load_balancer"
        elif role in _FIRST_HOPS or one.assigned_object_type == "ipam.fhrpgroup":
            kind = "gateway"
        return EndpointClaim(
            self._in(one.vrf, ip),
            ip,
            kind,
            workload=machine,
            node=device,
            service=one.dns_name or None,
        )

    def _in(self, vrf: _Named | None, ip: str) -> str:
        if vrf is not None and vrf.name:
            return f"netbox/vrf/{vrf.name}"
        return INTERNET if is_public(ip) else self._network
