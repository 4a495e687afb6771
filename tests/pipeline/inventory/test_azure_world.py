"""What objects of Azure claim: made by hand from the API's pages, and as recorded from it."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors import azure_export
from collectors.listing import ListingError
from pipeline.inventory.file import INTERNET
from pipeline.inventory.sources import (
    ClusterClaim,
    EndpointClaim,
    Key,
    ObjectError,
    PeeringClaim,
    PrefixClaim,
)
from pipeline.inventory.sources.azure import Azure

GROUP = "/subscriptions/S/resourceGroups/Rg/providers/"
VNET = f"{GROUP}Microsoft.Network/virtualNetworks/Hub"
NETWORK = "azure/" + VNET.lower()
EMPTY: dict[str, object] = {}


def put(world, resource_id, **keys: object):
    uid = resource_id.lower()
    key = Key("s", "/".join(uid.split("/")[6:8]), uid)
    return key, set(world.put(key, json.dumps(keys).encode()))


def claims(world, key):
    return list(world.claims(key))


def test_a_virtual_network_is_its_ranges_its_subnets_and_whom_it_reaches():
    """Connected peerings alone, and only those that let addresses through."""
    world = Azure("agents", "net")
    other = VNET.replace("Hub", "Spoke")
    key, _ = put(
        world,
        VNET,
        name="Hub",
        location="eastus",
        addressSpace={"addressPrefixes": ["10.0.0.0/16", "fd00:1::/48"]},
        subnets=[
            {"id": f"{VNET}/subnets/A", "name": "A", "addressPrefix": "10.0.1.0/24"},
            {"name": "B", "addressPrefixes": ["10.0.2.0/24", "fd00:1::/64"]},
        ],
        virtualNetworkPeerings=[
            {"name": "a", "peeringState": "Connected", "remoteVirtualNetwork": {"id": other}},
            {"name": "b", "peeringState": "Initiated", "remoteVirtualNetwork": {"id": other}},
            {
                "name": "c",
                "peeringState": "Connected",
                "allowVirtualNetworkAccess": False,
                "remoteVirtualNetwork": {"id": other},
            },
        ],
    )
    found = claims(world, key)
    assert [(c.cidr, c.kind, c.name) for c in found[:5]] == [
        ("10.0.0.0/16", "vpc", "Hub"),
        ("fd00:1::/48", "vpc", "Hub"),
        ("10.0.1.0/24", "subnet", "A"),
        ("10.0.2.0/24", "subnet", "B"),
        ("fd00:1::/64", "subnet", "B"),
    ]
    assert found[2] == PrefixClaim(
        NETWORK,
        "10.0.1.0/24",
        "subnet",
        name="A",
        provider="azure",
        region="eastus",
        account="s",
        vpc=VNET.lower(),
        subnet=f"{VNET}/subnets/A".lower(),
    )
    assert found[5:] == [PeeringClaim(NETWORK, "azure/" + other.lower(), "vpc_peering", "a")]


VM = f"{GROUP}Microsoft.Compute/virtualMachines/Vm-1"
NIC = f"{GROUP}Microsoft.Network/networkInterfaces/nic"
OUTER = f"{GROUP}Microsoft.Network/publicIPAddresses/out"


def machine(world):
    return put(world, VM, name="Vm-1", location="eastus", zones=["2"])


def interface(world):
    return put(
        world,
        NIC,
        name="nic",
        location="eastus",
        virtualMachine={"id": VM},
        ipConfigurations=[
            {"privateIPAddress": "10.0.1.4", "subnet": {"id": f"{VNET}/subnets/A"}},
            {"privateIPAddress": "", "subnet": {"id": f"{VNET}/subnets/A"}},
            {"privateIPAddress": "10.0.1.5"},
        ],
    )


def public(world):
    return put(
        world,
        OUTER,
        name="out",
        location="eastus",
        ipAddress="20.1.2.3",
        ipConfiguration={"id": f"{NIC}/ipConfigurations/ipconfig1"},
    )


@pytest.mark.parametrize("order", list(itertools.permutations([machine, interface, public])))
def test_a_machines_addresses_are_its_own_whatever_came_first(order):
    """Inside by its interface, outside by the public address; its zone as a node's label has it."""
    world = Azure("agents", "net")
    keys = {make: make(world)[0] for make in order}
    same = {"workload": "Vm-1", "zone": "eastus-2", "provider": "azure", "region": "eastus"}
    assert claims(world, keys[interface]) == [EndpointClaim(NETWORK, "10.0.1.4", "vm", **same)]
    inside_or_out = claims(world, keys[public])
    assert inside_or_out == [EndpointClaim(INTERNET, "20.1.2.3", "vm", **same)]
    assert claims(world, keys[machine]) == []


def test_who_changes_with_a_machine_is_told():
    """All that read its zone, at one remove or two."""
    world = Azure("agents", "net")
    nic, outer = interface(world)[0], public(world)[0]
    vm, changed = machine(world)
    assert changed == {vm, nic, outer}
    assert set(world.remove(vm)) == {vm, nic, outer}
    assert [c.zone for key in (nic, outer) for c in claims(world, key)] == [None, None]


OWNERS = [
    ("Microsoft.Network/loadBalancers/lb/frontendIPConfigurations/f", ("load_balancer", "lb")),
    (
        "Microsoft.Network/applicationGateways/ag/frontendIPConfigurations/f",
        ("load_balancer", "ag"),
    ),
    ("Microsoft.Network/virtualNetworkGateways/gw/ipConfigurations/d", ("gateway", "gw")),
    ("Microsoft.Network/azureFirewalls/fw/azureFirewallIpConfigurations/c", ("gateway", "fw")),
    ("Microsoft.Network/networkInterfaces/x/ipConfigurations/c", ("interface", "x")),
    ("Microsoft.Sql/servers/x/whatever/c", None),
]


@pytest.mark.parametrize(("owner", "expected"), OWNERS)
def test_a_public_address_is_what_it_is_put_at(owner, expected):
    """By the resource; of unknown ones nothing is said."""
    world = Azure("agents", "net")
    key, _ = put(
        world, OUTER, name="out", ipAddress="20.0.0.1", ipConfiguration={"id": GROUP + owner}
    )
    assert [(c.kind, c.workload) for c in claims(world, key)] == ([expected] if expected else [])
    assert all((c.network, c.ip) == (INTERNET, "20.0.0.1") for c in claims(world, key))


def test_a_nat_gateway_has_the_public_addresses_it_names():
    """Once each, whether or not the address names it, too."""
    world = Azure("agents", "net")
    nat = f"{GROUP}Microsoft.Network/natGateways/nat"
    key, _ = put(world, nat, name="nat", publicIpAddresses=[{"id": OUTER}, {"id": OUTER + "2"}])
    quiet, changed = put(world, OUTER, name="out", ipAddress="20.0.0.1")
    assert changed == {quiet, key}
    tells, _ = put(world, OUTER + "2", name="out2", ipAddress="20.0.0.2", natGateway={"id": nat})
    free, _ = put(world, OUTER + "3", name="out3", ipAddress="20.0.0.3")
    found = [claims(world, one) for one in (key, quiet, tells, free)]
    assert [[(c.ip, c.kind, c.workload) for c in of] for of in found] == [
        [("20.0.0.1", "gateway", "nat")],
        [],
        [("20.0.0.2", "gateway", "nat")],
        [],
    ]


def test_a_connection_of_two_gateways_joins_their_networks():
    """Of the way it goes; another kind, or one that is down, joins nothing."""
    world = Azure("agents", "net")
    gateways = [f"{GROUP}Microsoft.Network/virtualNetworkGateways/g{at}" for at in (1, 2)]
    keys = {
        "name": "link",
        "connectionType": "Vnet2Vnet",
        "connectionStatus": "Connected",
        "virtualNetworkGateway1": {"id": gateways[0]},
        "virtualNetworkGateway2": {"id": gateways[1]},
    }
    link = f"{GROUP}Microsoft.Network/connections/link"
    key, _ = put(world, link, **keys)
    for gateway, vnet in zip(gateways, (VNET, VNET.replace("Hub", "Far")), strict=True):
        assert claims(world, key) == []
        subnet = {"id": f"{vnet}/subnets/GatewaySubnet"}
        assert key in put(world, gateway, name="g", ipConfigurations=[{"subnet": subnet}])[1]
    assert claims(world, key) == [
        PeeringClaim(NETWORK, NETWORK.replace("hub", "far"), "vpn", "link")
    ]
    put(world, link, **keys | {"connectionStatus": "NotConnected"})
    assert claims(world, key) == []


CLUSTER = f"{GROUP}Microsoft.ContainerService/managedClusters/Aks"
RANGES = {"podCidr": "10.244.0.0/16", "podCidrs": ["10.244.0.0/16"], "serviceCidr": "10.0.0.0/16"}


def test_a_cluster_in_a_subnet_of_ones_own():
    """Its ranges are in that subnet's network."""
    world = Azure("agents", "net")
    key, _ = put(
        world,
        CLUSTER,
        name="Aks",
        location="eastus",
        networkProfile=RANGES,
        agentPoolProfiles=[
            {"vnetSubnetID": f"{VNET}/subnets/A", "availabilityZones": ["3", "1"]},
            EMPTY,
        ],
    )
    first, pods, services = claims(world, key)
    assert first == ClusterClaim("Aks", "azure", "eastus", ("eastus-1", "eastus-3"))
    assert [(c.network, c.cidr, c.kind, c.cluster) for c in (pods, services)] == [
        (NETWORK, "10.244.0.0/16", "pod", "Aks"),
        (NETWORK, "10.0.0.0/16", "service", "Aks"),
    ]


def test_a_cluster_in_a_network_that_azure_made():
    """It is the only one of the resource group of its nodes; else no range is claimed."""
    world = Azure("agents", "net")
    key, _ = put(world, CLUSTER, name="Aks", nodeResourceGroup="MC_x", networkProfile=RANGES)
    assert claims(world, key) == [ClusterClaim("Aks", "azure")]
    made = VNET.replace("Rg", "mc_X").replace("Hub", "aks-vnet-1")
    vnet, changed = put(world, made, name="aks-vnet-1")
    assert changed == {vnet, key}
    assert {c.network for c in claims(world, key)[1:]} == {"azure/" + made.lower()}
    put(world, made + "2", name="another")
    assert claims(world, key) == [ClusterClaim("Aks", "azure")]


# --- as recorded -------------------------------------------------------------


def _recorded(corpus):
    for path in sorted((corpus / "cloud-custodian-azure").glob("*.json")):
        for interaction in json.loads(path.read_bytes())["interactions"]:
            yield path.name, interaction["response"]["body"]["data"]


def test_all_recorded_answers_are_read_and_claimed(corpus):
    """What is in them of the resources that are read; addresses as the recorded answers have them."""
    world = Azure("agents", "net")
    keys, refused = {}, []
    for name, body in _recorded(corpus):
        try:
            for one in azure_export.objects(body):
                key = Key(one.scope, one.resource, one.uid)
                keys[key] = None
                world.put(key, json.dumps(one.object).encode())
        except ListingError as error:
            refused.append((name, error.kind))
    by_resource: dict[str, int] = {}
    for key in keys:
        by_resource[key.resource] = by_resource.get(key.resource, 0) + 1
    assert by_resource == {
        "microsoft.containerservice/managedclusters": 1,
        "microsoft.network/loadbalancers": 2,
        "microsoft.network/networkinterfaces": 6,
        "microsoft.network/publicipaddresses": 1,
    }
    assert refused == []
    found = [c for key in keys for c in claims(world, key)]
    assert sorted(
        (c.ip, c.kind, c.workload, c.network.rpartition("/")[2])
        for c in found
        if isinstance(c, EndpointClaim)
    ) == [
        ("10.0.0.4", "vm", "cctestvm", "myvnet"),
        ("10.1.0.4", "interface", "cctestnic", "cctestvnetnic"),
        ("10.240.0.4", "vm", "k8s-agent-C02B7042-2", "k8s-vnet-c02b7042"),
        ("10.240.0.5", "vm", "k8s-agent-C02B7042-0", "k8s-vnet-c02b7042"),
        ("10.240.0.6", "vm", "k8s-agent-C02B7042-1", "k8s-vnet-c02b7042"),
        ("10.240.255.5", "vm", "k8s-master-C02B7042-0", "k8s-vnet-c02b7042"),
    ]
    assert [c for c in found if isinstance(c, ClusterClaim)] == [
        ClusterClaim("cctestaks", "azure", "westus2")
    ]


@given(
    st.sampled_from(
        ["networkinterfaces", "publicipaddresses", "virtualnetworks", "natgateways", "x"]
    ),
    st.one_of(
        st.binary(max_size=300),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        ["name", "id", "ipConfigurations", "ipAddress", "ipConfiguration"]
                    )
                    | st.text(max_size=3),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=10,
        ).map(lambda value: json.dumps(value).encode()),
    ),
)
def test_any_object_is_claimed_or_refused(resource, text):
    """Nothing an export can hold raises anything but `ObjectError`."""
    world = Azure("agents", "net")
    key = Key("s", f"microsoft.network/{resource}", "x")
    try:
        for one in world.put(key, text):
            list(world.claims(one))
    except ObjectError:
        assert list(world.claims(key)) == []
