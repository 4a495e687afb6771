"""
Azure's inventory as its tools write it, to objects.

    {"data": [...]} or {"data": {"columns", "rows"}}   Resource Graph
    {"value": [...]}             lists of Resource Manager
    [{...}, ...] or {...}        what az prints; one object

An object is known by its resource id, whatever it came in: its uid is that in
lower case, its scope the subscription, its resource namespace and type in it.
Resource Manager has an object's own keys beneath ``properties``, ``az`` beside
the others, and versions differ in ``privateIPAddress`` and ``privateIpAddress``:
here they are beside, and written as in `_KEPT`.

Before: exports.py. After: trim.py, listing.py.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from collectors.answer import Found, whole
from collectors.listing import ListingError
from collectors.trim import Keys, keys, trim

_REF: Final = keys("id")

_KEPT: Final = {
    "microsoft.network/virtualnetworks": keys(
        *("name", "location"),
        addressSpace=keys("addressPrefixes"),
        subnets=keys("id", "name", "addressPrefix", "addressPrefixes"),
        virtualNetworkPeerings=keys(
            *("name", "peeringState", "allowVirtualNetworkAccess"), remoteVirtualNetwork=_REF
        ),
    ),
    "microsoft.network/networkinterfaces": keys(
        *("name", "location"),
        virtualMachine=_REF,
        ipConfigurations=keys("privateIPAddress", subnet=_REF),
    ),
    "microsoft.network/loadbalancers": keys(
        *("name", "location"), frontendIPConfigurations=keys("privateIPAddress", subnet=_REF)
    ),
    "microsoft.network/publicipaddresses": keys(
        *("name", "location", "ipAddress"), ipConfiguration=_REF, natGateway=_REF
    ),
    "microsoft.network/natgateways": keys("name", "location", publicIpAddresses=_REF),
    "microsoft.network/virtualnetworkgateways": keys("name", ipConfigurations=keys(subnet=_REF)),
    "microsoft.network/connections": keys(
        *("name", "connectionType", "connectionStatus"),
        virtualNetworkGateway1=_REF,
        virtualNetworkGateway2=_REF,
    ),
    "microsoft.compute/virtualmachines": keys("name", "location", "zones"),
    "microsoft.containerservice/managedclusters": keys(
        *("name", "location", "nodeResourceGroup"),
        networkProfile=keys("podCidr", "podCidrs", "serviceCidr", "serviceCidrs"),
        agentPoolProfiles=keys("vnetSubnetID", "availabilityZones"),
    ),
}
"""Resource to what is kept of its objects; others are left out."""

_MORE: Final = ("nextLink", "$skipToken", "skip_token", "skipToken")
_ID_PARTS: Final = 9  # of '/subscriptions/s/resourceGroups/g/providers/namespace/type/name'


def objects(document: object) -> Iterator[Found]:
    """
    Objects of one JSON document; others than of the resources above are left out.

    Raises
    ------
    ListingError
        When the document says that it is not whole, or that it is an error.
    """
    return whole(document, _found(document), _MORE)


def _found(document: object) -> Iterator[Found]:
    for one in _parts(document):
        yield from _object(one)


def _parts(document: object) -> list[Any]:
    """What a document lists; itself, if it is one object."""
    if isinstance(document, list):
        return document
    found = document if isinstance(document, dict) else {}
    parts = found.get("value", found.get("data"))
    if isinstance(parts, dict):
        parts = _rows(parts)
    if isinstance(parts, list):
        return parts
    if "id" not in found:
        raise ListingError("not_inventory", ", ".join(list(found)[:5]) or "no object, no list")
    return [document]


def _rows(table: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of Resource Graph's table format."""
    columns, rows = table.get("columns"), table.get("rows")
    if not isinstance(columns, list) or not isinstance(rows, list):
        return []
    names = [column.get("name") if isinstance(column, dict) else None for column in columns]
    return [
        {name: value for name, value in zip(names, row, strict=False) if isinstance(name, str)}
        for row in rows
        if isinstance(row, list)
    ]


def _object(one: object) -> Iterator[Found]:
    if not isinstance(one, dict) or not isinstance(one.get("id"), str):
        return
    uid = one["id"].lower()
    parts = uid.split("/")
    resource = "/".join(parts[6:8])
    if len(parts) == _ID_PARTS and parts[1] == "subscriptions" and resource in _KEPT:
        kept = _KEPT[resource]
        yield Found(parts[2], resource, uid, trim(_alike(one, kept), kept))


def _alike(value: Any, kept: "Keys | None") -> Any:
    """Bring what is beneath ``properties`` beside it, and keys to how `_KEPT` writes them."""
    if kept is None:
        return value
    if isinstance(value, list):
        return [_alike(one, kept) for one in value]
    if not isinstance(value, dict):
        return None
    beneath = value.get("properties")
    flat = {**value, **beneath} if isinstance(beneath, dict) else value
    written: Mapping[str, Any] = {key.lower(): one for key, one in flat.items()}
    return {key: _alike(written.get(key.lower()), inner) for key, inner in kept.items()}
