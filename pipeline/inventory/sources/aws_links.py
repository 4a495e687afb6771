"""
How AWS's objects find each other: names they are found by, and names they read.

A machine's interface names the machine, a NAT gateway its interface, and an
Elastic IP is had by whoever holds the address; so each is found by what the
other knows of it, whichever of them came first.

Before: aws_objects.py. After: aws.py.
"""

from typing import Any

from pipeline.inventory.sources import Key
from pipeline.inventory.sources.aws_objects import (
    Balancer,
    Elastic,
    Instance,
    Interface,
    Nat,
    Subnet,
    TransitAttachment,
    Zone,
)


def links(key: Key, one: Any) -> tuple[list[str], list[str]]:
    """Names an object is found by besides its uid, and names it reads."""
    names: list[str] = []
    reads: list[str] = []
    match one:
        case Subnet() if one.availability_zone_id and not one.availability_zone:
            reads.append(zone_name(key, one.availability_zone_id))
        case Zone():
            names.append(zone_name(key, one.zone_id))
        case Interface():
            instance_id = one.attachment.instance_id
            names += map(holder_of, one.outside())
            names += [interface_of(instance_id)] if instance_id else []
            reads += [nat_of(key.uid), one.balancer(), instance_id]
        case Instance():
            outside = one.addresses()[1]
            names += [holder_of(outside)] if outside else []
            reads += [interface_of(key.uid), *names]
        case Nat():
            for address in one.addresses():
                names.append(nat_of(address.network_interface_id))
                names += [holder_of(address.public_ip)] if address.public_ip else []
                reads.append(address.network_interface_id)
            reads += names
        case Elastic():
            reads += [one.instance_id, holder_of(one.public_ip or "")]
        case Balancer():
            names.append(key.uid.partition(":loadbalancer/")[2])
        case TransitAttachment():
            reads.append(joined_by(one.transit_gateway_id))
            names += reads if one.joins() else []
    return [name for name in names if name], [name for name in reads if name]


def zone_name(key: Key, zone_id: str) -> str:
    """Zone of that id: in each account another."""
    return f"zone {zone_id} of {key.scope}"


def interface_of(instance_id: str) -> str:
    """Interfaces of an instance."""
    return f"interface of {instance_id}"


def nat_of(interface_id: str) -> str:
    """NAT gateway that has an interface."""
    return f"NAT gateway of {interface_id}"


def holder_of(public_ip: str) -> str:
    """Whatever has a public address."""
    return f"holder of {public_ip}"


def joined_by(transit_gateway_id: str) -> str:
    """Attachments that join VPCs to a transit gateway."""
    return f"VPC of {transit_gateway_id}"
