"""
Google Cloud's inventory as its tools write it, to objects.

    {"name": "//compute.googleapis.com/...", "assetType", "resource": {"data"}}
                                     Cloud Asset Inventory, one a line or an array
    {"kind": "compute#...List", "items": [...] or {scope: {collection: [...]}}}
                                     lists of the Compute API, plain and aggregated
    {"clusters": [...]}              list of the GKE API
    [{...}, ...] or {...}            what gcloud prints; one object

An object is known by its link, whatever it came in: its uid is the link's path,
its scope the project, its resource the service and collection in it.

Before: exports.py. After: trim.py, listing.py.
"""

from collections.abc import Iterator
from typing import Final

from collectors.answer import Found, whole
from collectors.listing import ListingError
from collectors.trim import keys, trim

_MORE: Final = ("nextPageToken",)

_KEPT: Final = {
    "compute.networks": keys("IPv4Range", peerings=keys("name", "network", "state")),
    "compute.subnetworks": keys(
        *("name", "network", "region", "ipCidrRange", "ipv6CidrRange"),
        *("internalIpv6Prefix", "externalIpv6Prefix"),
        secondaryIpRanges=keys("rangeName", "ipCidrRange"),
    ),
    "compute.instances": keys(
        *("name", "zone", "creationTimestamp", "lastStartTimestamp"),
        networkInterfaces=keys(
            *("network", "networkIP", "ipv6Address"),
            accessConfigs=keys("natIP"),
            ipv6AccessConfigs=keys("externalIpv6"),
            aliasIpRanges=keys("ipCidrRange"),
        ),
    ),
    "compute.addresses": keys(
        *("name", "address", "region", "purpose", "prefixLength", "network", "users")
    ),
    "compute.forwardingRules": keys(
        *("name", "region", "IPAddress", "loadBalancingScheme", "network", "target")
    ),
    "compute.vpnGateways": keys(
        *("name", "region", "network"), vpnInterfaces=keys("ipAddress", "ipv6Address")
    ),
    "compute.vpnTunnels": keys("name", "status", "vpnGateway", "peerGcpGateway"),
    "container.clusters": keys(
        *("name", "location", "locations", "network", "subnetwork"),
        *("clusterIpv4Cidr", "servicesIpv4Cidr"),
        networkConfig=keys("network", "subnetwork"),
        ipAllocationPolicy=keys(
            *("clusterSecondaryRangeName", "servicesSecondaryRangeName"),
            additionalPodRangesConfig=keys("podRangeNames"),
        ),
        nodePools=keys(networkConfig=keys("podRange")),
    ),
}
"""Resource to what is kept of its objects; others are left out."""


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


def _parts(document: object) -> Iterator[object]:
    """What a document lists; itself, if it is one object."""
    if isinstance(document, list):
        yield from document
        return
    found = document if isinstance(document, dict) else {}
    parts = next((found[key] for key in ("items", "clusters", "assets") if key in found), None)
    if isinstance(parts, list):
        yield from parts
    elif isinstance(parts, dict):  # aggregated: by place, by collection
        places = (place for place in parts.values() if isinstance(place, dict))
        for collection in (one for place in places for one in place.values()):
            yield from collection if isinstance(collection, list) else ()
    elif {"selfLink", "assetType"} & found.keys():
        yield document
    else:
        raise ListingError("not_inventory", ", ".join(list(found)[:5]) or "no object, no list")


def _object(one: object) -> Iterator[Found]:
    if not isinstance(one, dict):
        return
    link = one.get("selfLink")
    if "assetType" in one:
        link, resource = one.get("name"), one.get("resource")
        one = resource.get("data") if isinstance(resource, dict) else None
    service, path = _parsed(link)
    parts = path.split("/")
    resource = f"{service}.{parts[-2]}" if len(parts) > 3 else ""  # noqa: PLR2004 project, and its
    if resource in _KEPT and isinstance(one, dict):
        yield Found(parts[1], resource, path, trim(one, _KEPT[resource]))


def _parsed(link: object) -> tuple[str, str]:
    """
    Service and path of a link.

    >>> _parsed("https://www.googleapis.com/compute/v1/projects/p/global/networks/n")
    ('compute', 'projects/p/global/networks/n')
    >>> _parsed("//container.googleapis.com/projects/p/zones/z/clusters/c")
    ('container', 'projects/p/locations/z/clusters/c')
    """
    if not isinstance(link, str):
        return "", ""
    before, found, path = link.partition("/projects/")
    if "//container." in before:
        path = path.replace("/zones/", "/locations/", 1)
        return "container", f"projects/{path}" if found else ""
    compute = "//compute." in before or "/compute/" in f"{before}/"
    return "compute" if compute else "", f"projects/{path}" if found else ""
