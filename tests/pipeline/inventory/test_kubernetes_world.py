"""What an API server's objects claim: each kind by itself, and all in any order."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.inventory.sources import (
    Claim,
    ClusterClaim,
    EndpointClaim,
    GatewayClaim,
    Key,
    ObjectError,
    PrefixClaim,
)
from pipeline.inventory.sources.kubernetes import RESOURCES, Kubernetes

Object = dict[str, Any]

START_US = 1_767_323_045_000_000  # 2026-01-02T03:04:05Z


def key(resource: str, uid: str = "1") -> Key:
    return Key("", resource, uid)


def put(world: Kubernetes, resource: str, value: Object, uid: str = "1") -> list[Key]:
    return list(world.put(key(resource, uid), json.dumps(value).encode()))


def claims_of(resource: str, value: Object, *others: tuple[str, Object]) -> list[Claim]:
    """What an object claims in a cluster where there are these others."""
    world = Kubernetes("east", "flat")
    for number, (other, told) in enumerate(others):
        put(world, other, told, f"other-{number}")
    put(world, resource, value)
    return list(world.claims(key(resource)))


def endpoint(ip: str, kind: str, network: str = "flat", **more: Any) -> EndpointClaim:
    return EndpointClaim(network, ip, kind, **({"cluster": "east"} | more))


def pod(**more: Any) -> Object:
    """A pod of Deployment web, as an API server has it; ``metadata``, ``spec``, ``status`` add."""
    meta = {
        "name": "web-5d9f-x7k2p",
        "namespace": "shop",
        "uid": "9f1c",
        "labels": {"app": "web", "pod-template-hash": "5d9f"},
        "ownerReferences": [{"kind": "ReplicaSet", "name": "web-5d9f", "controller": True}],
    }
    spec = {"nodeName": "n1", "serviceAccountName": "web"}
    status = {
        "phase": "Running",
        "podIP": "10.1.0.7",
        "podIPs": [{"ip": "10.1.0.7"}],
        "startTime": "2026-01-02T03:04:05Z",
    }
    return {
        "metadata": meta | more.get("metadata", {}),
        "spec": spec | more.get("spec", {}),
        "status": status | more.get("status", {}),
    }


def web(ip: str = "10.1.0.7", **more: Any) -> EndpointClaim:
    """What that pod claims by itself."""
    names = {"namespace": "shop", "workload": "web", "pod": "web-5d9f-x7k2p", "node": "n1"}
    return endpoint(ip, "pod", **(names | {"since_us": START_US} | more))


def labelled(kind: str, name: str, labels: dict[str, str], **more: Any) -> Object:
    return {"kind": kind, "metadata": {"name": name, "namespace": "shop", "labels": labels}} | more


def slice_of(service: str, *endpoints: Object, namespace: str = "shop") -> Object:
    labels = {"kubernetes.io/service-name": service}
    meta = {"name": f"{service}-abc", "namespace": namespace, "labels": labels}
    return {"metadata": meta, "addressType": "IPv4", "endpoints": list(endpoints)}


def to_pod(name: str, ip: str = "10.1.0.7") -> Object:
    return {"addresses": [ip], "targetRef": {"kind": "Pod", "namespace": "shop", "name": name}}


NODE: Object = {
    "metadata": {
        "name": "n1",
        "labels": {
            "topology.kubernetes.io/zone": "eu-west-1a",
            "topology.kubernetes.io/region": "eu-west-1",
        },
    },
    "spec": {
        "providerID": "aws:///eu-west-1a/i-0abc",
        "podCIDR": "10.1.0.0/24",
        "podCIDRs": ["10.1.0.0/24", "fd00:1::/64"],
    },
    "status": {
        "addresses": [
            {"type": "InternalIP", "address": "192.168.0.4"},
            {"type": "ExternalIP", "address": "52.1.2.3"},
            {"type": "Hostname", "address": "n1"},
        ]
    },
}
ROOT: Object = {
    "metadata": {"name": "istio-system", "labels": {"topology.istio.io/network": "network-1"}}
}
IN_MESH = {"security.istio.io/tlsMode": "istio"}


# --- pods ---------------------------------------------------------------------


def test_a_pod_by_itself_is_named_by_its_template():
    """A ReplicaSet nobody told of is the workload and the hash of its template."""
    assert claims_of("pods", pod()) == [web()]


def test_a_pod_is_named_by_all_that_is_known_of_it():
    """Zone of its node, owner of its owner, service of the slice that points to it, identity."""
    replica_set = {
        "metadata": {
            "name": "web-5d9f",
            "namespace": "shop",
            "ownerReferences": [{"kind": "Rollout", "name": "web-canary", "controller": True}],
        }
    }
    mesh = {
        "metadata": {"name": "istio", "namespace": "istio-system"},
        "data": {"mesh": "defaultConfig:\n  meshId: m1\ntrustDomain: acme.example\n"},
    }
    claims = claims_of(
        "pods",
        pod(metadata={"labels": {"app": "web"} | IN_MESH}),
        ("nodes", NODE),
        ("replicasets", replica_set),
        ("endpointslices", slice_of("shop-web", to_pod("web-5d9f-x7k2p"))),
        ("configmaps", mesh),
    )
    assert claims == [
        web(
            workload="web-canary",
            service="shop-web.shop.svc.cluster.local",
            zone="eu-west-1a",
            identity="spiffe://acme.example/ns/shop/sa/web",
        )
    ]


def test_a_pod_has_an_endpoint_for_each_of_its_addresses():
    """Dual stack; an address has one spelling, and is claimed once."""
    ips = [{"ip": "10.1.0.7"}, {"ip": "FD00:0::7"}, {"ip": "fd00::7"}]
    assert claims_of("pods", pod(status={"podIPs": ips})) == [web(), web("fd00::7")]


@pytest.mark.parametrize(
    ("owner", "labels", "workload"),
    [
        (("StatefulSet", "db"), {}, "db"),
        (("DaemonSet", "agent"), {}, "agent"),
        (("Job", "report-29"), {}, "report-29"),
        (("ReplicaSet", "web-5d9f"), {}, "web-5d9f"),
        (("ReplicaSet", "web-5d9f"), {"pod-template-hash": "77"}, "web-5d9f"),
        (("ReplicaSet", "web-5d9f"), {"rollouts-pod-template-hash": "5d9f"}, "web"),
        (("ReplicaSet", "-5d9f"), {"pod-template-hash": "5d9f"}, "-5d9f"),
        (("Node", "n1"), {}, "web-5d9f-x7k2p"),
        (None, {}, "web-5d9f-x7k2p"),
    ],
)
def test_the_workload_is_the_owner(owner, labels, workload):
    """The controller, its stem where its own owner is not known, or the pod if nobody owns it."""
    references = [{"kind": owner[0], "name": owner[1], "controller": True}] if owner else None
    metadata = {"ownerReferences": references, "labels": labels}
    assert claims_of("pods", pod(metadata=metadata)) == [web(workload=workload)]


def test_a_job_of_a_cron_job_is_the_cron_jobs():
    """Pod, Job, CronJob: two owners up."""
    job = {
        "metadata": {
            "name": "report-29",
            "namespace": "shop",
            "ownerReferences": [{"kind": "CronJob", "name": "report", "controller": True}],
        }
    }
    owners = [{"kind": "Job", "name": "report-29", "controller": True}]
    claims = claims_of("pods", pod(metadata={"ownerReferences": owners}), ("jobs", job))
    assert claims == [web(workload="report")]


@pytest.mark.parametrize(
    "more",
    [
        {"spec": {"hostNetwork": True}},
        {"status": {"podIP": None, "podIPs": None}},
        {"status": {"podIP": "", "podIPs": []}},
        {"status": {"phase": "Failed"}},
        {"status": {"phase": None}},
    ],
)
def test_a_pod_without_an_address_of_its_own_claims_nothing(more):
    """The node's address is the node's; a pod that ended, no one knows when, has none."""
    assert claims_of("pods", pod(**more)) == []


def test_a_pod_that_is_to_be_deleted_still_has_its_address():
    """Containers run on for their grace period."""
    deleted = {"deletionTimestamp": "2026-01-02T04:00:00Z", "deletionGracePeriodSeconds": 30}
    assert claims_of("pods", pod(metadata=deleted)) == [web()]


def test_a_pod_that_finished_had_its_address_until_its_last_container_ended():
    """The latest of all ``finishedAt``; whole seconds, as told."""
    ends = ["2026-01-02T03:05:06Z", "2026-01-02T03:05:07Z", "2026-01-02T03:05:05+00:00"]
    containers = [{"state": {"terminated": {"finishedAt": end}}} for end in ends]
    status = {"phase": "Succeeded", "containerStatuses": [*containers, {"state": {"waiting": {}}}]}
    assert claims_of("pods", pod(status=status)) == [web(until_us=START_US + 62_000_000)]


@pytest.mark.parametrize(
    ("services", "service"),
    [
        (["zeta", "web", "alpha"], "web"),
        (["zeta", "alpha"], "alpha"),
        (["zeta", "front"], "front"),
        ([], None),
    ],
)
def test_of_several_services_the_one_called_like_the_workload_or_app_counts(services, service):
    """Else the first by name: the same whatever came first."""
    slices = [("endpointslices", slice_of(name, to_pod("web-5d9f-x7k2p"))) for name in services]
    labels = {"app": "front", "pod-template-hash": "5d9f"}
    expected = service and f"{service}.shop.svc.cluster.local"
    assert claims_of("pods", pod(metadata={"labels": labels}), *slices) == [web(service=expected)]


def test_a_slice_without_names_points_by_address():
    """Endpoints people write have no ``targetRef``; host names among them point to nobody."""
    by_address = slice_of("manual", {"addresses": ["10.1.0.7"]})
    by_name = slice_of("named", {"addresses": ["web.example"]}) | {"addressType": "FQDN"}
    claims = claims_of("pods", pod(), ("endpointslices", by_address), ("endpointslices", by_name))
    assert claims == [web(service="manual.shop.svc.cluster.local")]


@pytest.mark.parametrize(
    ("labels", "annotations", "namespace", "has"),
    [
        (IN_MESH, {}, {}, True),
        ({"security.istio.io/tlsMode": "disabled"}, {}, {}, False),
        ({"service.istio.io/canonical-name": "web"}, {}, {}, True),
        ({"istio.io/dataplane-mode": "ambient"}, {}, {}, True),
        ({}, {"ambient.istio.io/redirection": "enabled"}, {}, True),
        ({}, {"sidecar.istio.io/status": "{}"}, {}, True),
        ({}, {}, {"istio.io/dataplane-mode": "ambient"}, True),
        ({"istio.io/dataplane-mode": "none"}, {}, {"istio.io/dataplane-mode": "ambient"}, False),
        ({}, {}, {"istio-injection": "enabled"}, False),
        ({"linkerd.io/control-plane-ns": "linkerd"}, {}, {}, False),
    ],
)
def test_a_pod_has_an_identity_only_if_it_is_seen_to_be_in_the_mesh(
    labels, annotations, namespace, has
):
    """That its namespace is to be injected is no evidence that it was."""
    told = {"metadata": {"name": "shop", "labels": namespace}}
    metadata = {"labels": labels, "annotations": annotations}
    (claim,) = claims_of("pods", pod(metadata=metadata), ("namespaces", told))
    assert isinstance(claim, EndpointClaim)
    assert claim.identity == ("spiffe://cluster.local/ns/shop/sa/web" if has else None)


def test_a_pod_of_another_network_is_there():
    """The mesh's name of our own network is ours; any other is another network."""
    other = pod(metadata={"labels": {"topology.istio.io/network": "network-2"}})
    ours = pod(metadata={"labels": {"topology.istio.io/network": "network-1"}})
    named = {"workload": "web-5d9f"}
    assert claims_of("pods", other, ("namespaces", ROOT)) == [web(network="network-2", **named)]
    assert claims_of("pods", ours, ("namespaces", ROOT)) == [web(**named)]


# --- nodes --------------------------------------------------------------------


def test_a_node_claims_its_addresses_the_range_of_its_pods_and_what_the_cluster_is():
    """The address inside is the network's, the one outside everybody's."""
    where = {"node": "n1", "zone": "eu-west-1a", "provider": "aws", "region": "eu-west-1"}
    pods = ("pod", "east", "n1", "aws", "eu-west-1", "eu-west-1a")
    assert claims_of("nodes", NODE) == [
        endpoint("52.1.2.3", "node", "internet", **where),
        endpoint("192.168.0.4", "node", **where),
        PrefixClaim("flat", "10.1.0.0/24", *pods),
        PrefixClaim("flat", "fd00:1::/64", *pods),
        ClusterClaim("east", "aws", "eu-west-1", ("eu-west-1a",)),
    ]


@pytest.mark.parametrize(
    ("provider_id", "provider"),
    [
        ("gce://proj/europe-west1-b/gke-1", "gcp"),
        ("azure:///subscriptions/1/vm/0", "azure"),
        ("kind://docker/kind/kind-control-plane", "kind"),
        ("ocid1.instance.oc1", None),
        ("", None),
    ],
)
def test_the_provider_is_the_scheme_of_the_nodes_id(provider_id, provider):
    """Where there is none, nothing is said."""
    bare = {"metadata": {"name": "n1"}, "spec": {"providerID": provider_id}}
    assert claims_of("nodes", bare) == [ClusterClaim("east", provider)]


def test_cilium_tells_of_ranges_and_of_the_hosts_address_among_pods():
    """Under Cilium's own IPAM the node's ``podCIDRs`` are not those in use."""
    cilium = {
        "metadata": {"name": "n1"},
        "spec": {
            "addresses": [
                {"type": "InternalIP", "ip": "192.168.0.4"},
                {"type": "CiliumInternalIP", "ip": "10.9.0.1"},
            ],
            "ipam": {"podCIDRs": ["10.9.0.0/24"]},
        },
    }
    assert claims_of("ciliumnodes", cilium, ("nodes", NODE)) == [
        endpoint("10.9.0.1", "node", node="n1", zone="eu-west-1a"),
        PrefixClaim("flat", "10.9.0.0/24", "pod", "east", "n1"),
    ]


def test_the_mesh_is_what_istios_configuration_says():
    """Of the control plane's namespace only."""
    config = {
        "metadata": {"name": "istio", "namespace": "istio-system"},
        "data": {"mesh": 'defaultConfig:\n  meshId: "m1"\ntrustDomain: acme.example\n'},
    }
    assert claims_of("configmaps", config) == [
        ClusterClaim("east", mesh="m1", trust_domain="acme.example")
    ]
    config["metadata"]["namespace"] = "shop"
    assert claims_of("configmaps", config) == []


# --- services -----------------------------------------------------------------


def test_a_service_claims_what_it_is_reached_by():
    """Inside its cluster addresses; outside its load balancer's, public or not; no host names."""
    service = labelled(
        "Service",
        "web",
        {},
        spec={
            "type": "LoadBalancer",
            "clusterIP": "10.96.0.9",
            "clusterIPs": ["10.96.0.9", "fd00:2::9"],
            "externalIPs": ["192.168.0.80"],
            "ports": [{"port": 80, "nodePort": 30080}],
        },
        status={
            "loadBalancer": {"ingress": [{"ip": "34.1.1.1"}, {"hostname": "x.elb.amazonaws.com"}]}
        },
    )
    names = {"namespace": "shop", "service": "web.shop.svc.cluster.local"}
    assert claims_of("services", service) == [
        endpoint("10.96.0.9", "service", **names),
        endpoint("fd00:2::9", "service", **names),
        endpoint("34.1.1.1", "load_balancer", "internet", **names),
        endpoint("192.168.0.80", "load_balancer", **names),
    ]


@pytest.mark.parametrize(
    "spec",
    [
        {"clusterIP": "None", "clusterIPs": ["None"]},
        {"type": "ExternalName", "externalName": "db.example", "externalIPs": ["10.0.0.1"]},
        {"clusterIP": ""},
    ],
)
def test_a_service_without_addresses_claims_none(spec):
    """Headless, a name only, or not yet given one."""
    assert claims_of("services", labelled("Service", "web", {}, spec=spec)) == []


def test_an_imported_service_has_the_name_of_the_set_of_clusters():
    """Its address means it in this cluster."""
    imported = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"ips": ["10.97.0.1"]}}
    assert claims_of("serviceimports", imported) == [
        endpoint("10.97.0.1", "service", namespace="shop", service="web.shop.svc.clusterset.local")
    ]


def test_a_service_entry_outside_the_mesh():
    """Its own addresses are the host's here; where its endpoints are is outside every cluster."""
    entry = {
        "metadata": {"name": "pay", "namespace": "shop"},
        "spec": {
            "hosts": ["api.pay.example", "old.pay.example"],
            "addresses": ["10.200.0.1", "10.201.0.0/24"],
            "location": "MESH_EXTERNAL",
            "endpoints": [
                {"address": "52.9.9.9", "locality": "us-east-1/us-east-1a/rack1"},
                {"address": "10.7.0.3", "network": "vpn"},
                {"address": "dns.pay.example"},
            ],
        },
        "status": {"addresses": [{"value": "240.240.0.1", "host": "old.pay.example"}]},
    }
    host = "api.pay.example"
    assert claims_of("serviceentries", entry) == [
        EndpointClaim(
            "internet", "52.9.9.9", "external", service=host, zone="us-east-1a", region="us-east-1"
        ),
        EndpointClaim("vpn", "10.7.0.3", "external", service=host),
        endpoint("10.200.0.1", "service", namespace="shop", service=host),
        endpoint("240.240.0.1", "service", namespace="shop", service="old.pay.example"),
        PrefixClaim("flat", "10.201.0.0/24", "service", "east", host),
    ]


def test_vms_of_the_mesh():
    """By themselves or as endpoints of a host: with identity, in the network that is named."""
    spec = {"address": "10.5.0.2", "network": "network-1", "serviceAccount": "legacy"}
    group = [{"kind": "WorkloadGroup", "name": "old-billing"}]
    entry = {
        "metadata": {"name": "vm-1", "namespace": "shop", "ownerReferences": group},
        "spec": spec,
    }
    inside = {
        "metadata": {"name": "bill", "namespace": "shop"},
        "spec": {"hosts": ["bill.example"], "location": "MESH_INTERNAL", "endpoints": [spec]},
    }
    names = {"namespace": "shop", "identity": "spiffe://cluster.local/ns/shop/sa/legacy"}
    assert claims_of("workloadentries", entry, ("namespaces", ROOT)) == [
        endpoint("10.5.0.2", "vm", workload="old-billing", **names)
    ]
    assert claims_of("workloadentries", entry) == [
        endpoint("10.5.0.2", "vm", "network-1", workload="old-billing", **names)
    ]
    assert claims_of("serviceentries", inside, ("namespaces", ROOT)) == [
        endpoint("10.5.0.2", "vm", service="bill.example", **names)
    ]


# --- gateways -----------------------------------------------------------------


def east_west(labels: dict[str, str], *ports: int) -> Object:
    return labelled(
        "Service",
        "istio-eastwestgateway",
        labels,
        spec={
            "clusterIP": "10.96.0.5",
            "externalIPs": ["192.168.0.90"],
            "ports": [{"port": port} for port in ports],
        },
        status={"loadBalancer": {"ingress": [{"ip": "35.0.0.1"}]}},
    )


@pytest.mark.parametrize(
    ("labels", "port", "to_network"),
    [
        ({"topology.istio.io/network": "network-1"}, 15443, "flat"),
        ({"topology.istio.io/network": "network-9"}, 15443, "network-9"),
        ({"istio": "eastwestgateway"}, 15443, "flat"),
        (
            {"topology.istio.io/network": "network-1", "networking.istio.io/gatewayPort": "35443"},
            35443,
            "flat",
        ),
    ],
)
def test_a_service_of_an_east_west_gateway_leads_into_its_network(labels, port, to_network):
    """From outside by its outer addresses; its other ports serve what is named there."""
    claims = claims_of("services", east_west(labels, 15021, port, 15012), ("namespaces", ROOT))
    names = {
        "namespace": "shop",
        "workload": "istio-eastwestgateway",
        "service": "istio-eastwestgateway.shop.svc.cluster.local",
    }
    assert claims == [
        endpoint("10.96.0.5", "service", **names),
        endpoint("35.0.0.1", "load_balancer", "internet", **names),
        endpoint("192.168.0.90", "load_balancer", **names),
        GatewayClaim("internet", "35.0.0.1", port, "east", to_network, "istio-eastwestgateway"),
        GatewayClaim("flat", "192.168.0.90", port, "east", to_network, "istio-eastwestgateway"),
    ]


def test_an_ingress_gateway_leads_nowhere():
    """It serves what it is asked for by name, and is no way into a network."""
    claims = claims_of("services", east_west({"istio": "ingressgateway"}, 15443, 443))
    assert [claim for claim in claims if isinstance(claim, GatewayClaim)] == []


def gateways(corpus: Path, file: str) -> list[Object]:
    """Gateways of a sample of Istio's, each with an address as its controller would give it."""
    with (corpus / "istio-gateway-api" / file).open() as text:
        objects = [one for one in yaml.safe_load_all(text) if one["kind"] == "Gateway"]
    for one in objects:
        address = {"type": "IPAddress", "value": "35.0.0.1"}
        hostname = {"type": "Hostname", "value": "x.elb.amazonaws.com"}
        one["status"] = {"addresses": [hostname, address]}
    return objects


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (
            "east-west-ambient.yaml",
            [("eastwestgateway", 15008), ("with-tls-passthrough", 15008)],
        ),
        ("eastwest.yaml", [("eastwestgateway", 15443)]),
        ("eastwest-labelport.yaml", [("eastwestgateway", 35443)]),
        ("eastwest-tlsoption.yaml", [("eastwestgateway", 35443)]),
        ("multi-gateway.yaml", []),
    ],
)
def test_gateways_of_istios_samples_lead_into_our_network(corpus, file, expected):
    """As Istio takes them: the ports that pass through, or end double HBONE; not istiod's."""
    claims = [
        claim
        for one in gateways(corpus, file)
        for claim in claims_of("gateways.gateway.networking.k8s.io", one, ("namespaces", ROOT))
    ]
    assert claims == [
        GatewayClaim("internet", "35.0.0.1", port, "east", "flat", name) for name, port in expected
    ]


def test_a_remote_gateway_of_istios_samples_leads_into_the_other_network(corpus):
    """It says whose network it leads into by the mesh's name, never into ours."""
    (remote,) = gateways(corpus, "eastwest-remote.yaml")
    assert claims_of("gateways.gateway.networking.k8s.io", remote) == [
        GatewayClaim("internet", "1.1.1.1", 15443, "network-1", "network-1", "eastwestgateway")
    ]


def test_a_link_of_linkerd_leads_into_the_target():
    """Each address of its gateway; a host name is not resolved."""
    link = {
        "metadata": {"name": "west", "namespace": "linkerd-multicluster"},
        "spec": {
            "targetClusterName": "west",
            "gatewayAddress": "34.9.9.9, 192.168.7.7,gw.west.example",
            "gatewayPort": "4143",
        },
    }
    assert claims_of("links", link) == [
        GatewayClaim("internet", "34.9.9.9", 4143, "west", "linkerd/west", "west"),
        GatewayClaim("flat", "192.168.7.7", 4143, "west", "linkerd/west", "west"),
    ]


@pytest.mark.parametrize(
    ("labels", "cluster", "to_network"),
    [
        ({"kuma.io/origin": "global"}, "zone-2", "kuma/zone-2"),
        ({"kuma.io/origin": "zone"}, "east", "flat"),
    ],
)
def test_a_zone_ingress_of_kuma_leads_into_its_zone(labels, cluster, to_network):
    """One of another zone comes from the global control plane; our own is told here first."""
    ingress = labelled("ZoneIngress", "in", labels) | {
        "spec": {
            "zone": "zone-2",
            "networking": {
                "address": "10.1.0.1",
                "port": 10001,
                "advertisedAddress": "34.8.8.8",
                "advertisedPort": 10001,
            },
        }
    }
    assert claims_of("zoneingresses", ingress) == [
        GatewayClaim("internet", "34.8.8.8", 10001, cluster, to_network, "in")
    ]


# --- who changes with whom ----------------------------------------------------


@pytest.mark.parametrize(
    ("resource", "value", "changes"),
    [
        ("nodes", NODE, True),
        ("nodes", {"metadata": {"name": "n2"}}, False),
        ("replicasets", {"metadata": {"name": "web-5d9f", "namespace": "shop"}}, True),
        ("replicasets", {"metadata": {"name": "web-5d9f", "namespace": "bank"}}, False),
        ("endpointslices", slice_of("web", to_pod("web-5d9f-x7k2p")), True),
        ("endpointslices", slice_of("web", to_pod("other")), False),
        ("namespaces", ROOT, True),
        ("services", east_west({"istio": "eastwestgateway"}, 15443), False),
    ],
)
def test_what_tells_of_a_pod_changes_it_and_nothing_else_does(resource, value, changes):
    """Told, told again, and forgotten: the second time nothing is new."""
    world = Kubernetes("east", "flat")
    labels = {"topology.istio.io/network": "network-1"}
    put(world, "pods", pod(metadata={"labels": labels}))
    expected = {key(resource), key("pods")} if changes else {key(resource)}
    assert set(put(world, resource, value)) == expected
    assert put(world, resource, value) == [key(resource)]
    assert set(world.remove(key(resource))) == expected
    assert list(world.remove(key(resource))) == []


def test_what_nobody_reads_is_taken_and_claims_nothing():
    """A collector may know more resources than this."""
    world = Kubernetes("east", "flat")
    assert list(world.put(key("workloadgroups"), b"{}")) == [key("workloadgroups")]
    assert list(world.claims(key("workloadgroups"))) == []


# --- any order ----------------------------------------------------------------

RARELY = st.integers(0, 9).map(lambda number: number == 9)
NAMES = st.sampled_from(["a", "a", "b"])
SPACES = st.sampled_from(["shop", "shop", "istio-system"])
NETWORKS = st.sampled_from([None, "network-1", "network-2"])
TIMES = st.sampled_from([None, "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"])


def maybe(labels: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if value is not None}


PODS = st.builds(
    lambda name, space, owner, node, ips, network, mesh, host, phase: {
        "metadata": {
            "name": name,
            "namespace": space,
            "labels": maybe(
                {"topology.istio.io/network": network, "istio.io/dataplane-mode": mesh}
            ),
            "ownerReferences": [{"kind": owner[0], "name": owner[1]}] if owner else [],
        },
        "spec": {"nodeName": node, "hostNetwork": host, "serviceAccountName": "sa"},
        "status": {"phase": phase, "podIPs": [{"ip": ip} for ip in ips]},
    },
    NAMES,
    SPACES,
    st.tuples(st.sampled_from(["ReplicaSet", "ReplicaSet", "Job", "DaemonSet"]), NAMES) | st.none(),
    NAMES | st.none(),
    st.sampled_from([["10.0.0.1"], ["10.0.0.2"], ["10.0.0.1", "10.0.0.2"], []]),
    NETWORKS,
    st.sampled_from([None, None, "ambient", "none"]),
    RARELY,
    RARELY.map(lambda failed: "Failed" if failed else "Running"),
)
OWNED = st.builds(
    lambda name, space, created, owner: {
        "metadata": {
            "name": name,
            "namespace": space,
            "creationTimestamp": created,
            "ownerReferences": [{"kind": "X", "name": owner}] if owner else None,
        }
    },
    NAMES,
    SPACES,
    TIMES,
    st.sampled_from([None, "one", "two"]),
)
NODES = st.builds(
    lambda name, created, zone: {
        "metadata": {
            "name": name,
            "creationTimestamp": created,
            "labels": maybe({"topology.kubernetes.io/zone": zone}),
        }
    },
    NAMES,
    TIMES,
    st.sampled_from([None, "z1", "z2"]),
)
SLICES = st.builds(
    lambda service, space, pods, ips: slice_of(
        service, *map(to_pod, pods), {"addresses": ips}, namespace=space
    ),
    NAMES,
    SPACES,
    st.lists(NAMES, max_size=3),
    st.lists(st.sampled_from(["10.0.0.1", "10.0.0.2"]), max_size=2),
)
NAMESPACES = st.builds(
    lambda name, network, mode: {
        "metadata": {
            "name": name,
            "labels": maybe(
                {"topology.istio.io/network": network, "istio.io/dataplane-mode": mode}
            ),
        }
    },
    SPACES,
    NETWORKS,
    st.sampled_from([None, "ambient"]),
)
CONFIGS = st.builds(
    lambda domain: {
        "metadata": {"name": "istio", "namespace": "istio-system"},
        "data": {"mesh": f"trustDomain: {domain}"},
    },
    st.sampled_from(["td1", "td2"]),
)
SERVICES = st.builds(
    lambda network: east_west(maybe({"topology.istio.io/network": network}), 15443), NETWORKS
)
VMS = st.builds(
    lambda network: {
        "metadata": {"name": "vm", "namespace": "shop"},
        "spec": {"address": "10.0.0.3", "network": network, "serviceAccount": "sa"},
    },
    NETWORKS,
)
MADE = {
    "pods": PODS,
    "replicasets": OWNED,
    "jobs": OWNED,
    "nodes": NODES,
    "endpointslices": SLICES,
    "namespaces": NAMESPACES,
    "configmaps": CONFIGS,
    "services": SERVICES,
    "workloadentries": VMS,
}
STEPS = st.one_of(
    *(
        st.tuples(st.just(resource), st.sampled_from("12"), st.one_of(made, made, st.none()))
        for resource, made in MADE.items()
    )
)


class Obvious:
    """The same by looking through all objects for each answer."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Object] = {}

    def _all(self, resource: str, **wanted: str) -> list[Object]:
        """Metadata of objects of a resource with these names."""
        return [
            one
            for (of, _), one in self.objects.items()
            if of == resource and all(one["metadata"].get(k) == v for k, v in wanted.items())
        ]

    def _network(self, label: str | None) -> str:
        roots = self._all("namespaces", name="istio-system")
        names = [one["metadata"]["labels"].get("topology.istio.io/network") for one in roots]
        default = max((name for name in names if name), default=None)
        return "flat" if label in (None, default) else label

    def _identity(self, space: str) -> str:
        texts = [one["data"]["mesh"].split()[1] for one in self._all("configmaps")]
        return f"spiffe://{max(texts, default='cluster.local')}/ns/{space}/sa/sa"

    def _latest(self, objects: list[Object], value: Any) -> str | None:
        told = [(one["metadata"]["creationTimestamp"] or "", value(one)) for one in objects]
        return max(told)[1] if told else None

    def _workload(self, meta: Object) -> str:
        if not meta["ownerReferences"]:
            return meta["name"]
        owner = meta["ownerReferences"][0]
        resource = {"ReplicaSet": "replicasets", "Job": "jobs"}.get(owner["kind"], "none")
        return (
            self._latest(
                self._all(resource, name=owner["name"], namespace=meta["namespace"]),
                lambda one: (one["metadata"]["ownerReferences"] or [one["metadata"]])[0]["name"],
            )
            or owner["name"]
        )

    def _service(self, meta: Object, workload: str, ip: str) -> str | None:
        hosts = []
        for one in self._all("endpointslices"):
            space = one["metadata"]["namespace"]
            for end in one["endpoints"]:
                named = end.get("targetRef")
                same = named and (space, named["name"]) == (meta["namespace"], meta["name"])
                if same or (not named and ip in end["addresses"]):
                    name = one["metadata"]["labels"]["kubernetes.io/service-name"]
                    hosts.append(f"{name}.{space}.svc.cluster.local")
        named = f"{workload}.{meta['namespace']}.svc.cluster.local"
        return named if named in hosts else min(hosts, default=None)

    def _pod(self, one: Object) -> list[Claim]:
        meta, spec, status = one["metadata"], one["spec"], one["status"]
        if spec["hostNetwork"] or status["phase"] == "Failed":
            return []
        zone = self._latest(
            self._all("nodes", name=spec["nodeName"]),
            lambda node: node["metadata"]["labels"].get("topology.kubernetes.io/zone", ""),
        )
        spaces = self._all("namespaces", name=meta["namespace"])
        modes = [space["metadata"]["labels"].get("istio.io/dataplane-mode") for space in spaces]
        mode = meta["labels"].get("istio.io/dataplane-mode", max(filter(None, modes), default=""))
        workload = self._workload(meta)
        return [
            EndpointClaim(
                self._network(meta["labels"].get("topology.istio.io/network")),
                ip["ip"],
                "pod",
                "east",
                meta["namespace"],
                workload,
                self._service(meta, workload, ip["ip"]),
                meta["name"],
                spec["nodeName"],
                zone or None,
                self._identity(meta["namespace"]) if mode == "ambient" else None,
            )
            for ip in status["podIPs"]
        ]

    def claims(self, resource: str, one: Object) -> list[Claim]:
        """Of those whose claims depend on others."""
        if resource == "pods":
            return self._pod(one)
        if resource == "services":
            label = one["metadata"]["labels"].get("topology.istio.io/network")
            return [
                GatewayClaim(
                    network, ip, 15443, "east", self._network(label), "istio-eastwestgateway"
                )
                for network, ip in (("internet", "35.0.0.1"), ("flat", "192.168.0.90"))
                if label
            ]
        network = self._network(one["spec"]["network"])
        names = {"namespace": "shop", "workload": "vm", "identity": self._identity("shop")}
        return [endpoint("10.0.0.3", "vm", network, **names)]


@settings(max_examples=150)
@given(st.lists(STEPS, min_size=10, max_size=40))
def test_any_order_comes_to_what_the_last_of_each_object_says(steps):
    """And whoever looks again only at what is returned misses no change."""
    world, obvious, seen = Kubernetes("east", "flat"), Obvious(), {}
    for resource, uid, value in steps:
        if value is None:
            obvious.objects.pop((resource, uid), None)
            changed = world.remove(key(resource, uid))
        else:
            obvious.objects[resource, uid] = value
            changed = put(world, resource, value, uid)
        for one in changed:
            seen[one] = [
                claim
                for claim in world.claims(one)
                if one.resource != "services" or isinstance(claim, GatewayClaim)
            ]
        for (of, number), told in obvious.objects.items():
            if of in ("pods", "services", "workloadentries"):
                assert seen[key(of, number)] == obvious.claims(of, told), (of, number)
    fresh = Kubernetes("east", "flat")
    for (of, number), told in sorted(obvious.objects.items(), key=lambda item: item[0]):
        put(fresh, of, told, number)
    everything = [key(of, number) for of in MADE for number in "12"]
    assert [world.claims(one) for one in everything] == [fresh.claims(one) for one in everything]


@given(st.lists(STEPS, max_size=30))
def test_nothing_is_left_of_what_is_gone(steps):
    """A world that forgot all objects remembers no more than one that never had any."""
    world = Kubernetes("east", "flat")
    for resource, uid, value in steps:
        if value is not None:
            put(world, resource, value, uid)
    for resource, uid, _ in steps:
        world.remove(key(resource, uid))
    assert (world._objects, vars(world._here.board)) == ({}, {"_told": {}, "_readers": {}})


# --- anything -----------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["metadata", "name", "namespace", "spec", "status", "labels", "endpoints", "ports"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("resource", "value", "message"),
    [
        ("pods", pod(status={"podIPs": [{"ip": "10.1.0"}]}), "'10.1.0' is no IPv4 or IPv6 address"),
        ("pods", pod(status={"startTime": "2026-01-02T03:04:05"}), "startTime"),
        ("pods", pod(metadata={"labels": {"app": 1}}), "app"),
        ("pods", {"metadata": {"namespace": "shop"}}, "name"),
        ("nodes", {"metadata": {"name": "n"}, "spec": {"podCIDRs": ["10.0.0.0/33"]}}, "/33"),
        ("services", east_west({"istio": "eastwestgateway"}, 70_000), "65535"),
        ("endpointslices", slice_of("web", {"addresses": ["x"]}), "'x' is no"),
        (
            "links",
            {
                "metadata": {"name": "l"},
                "spec": {"targetClusterName": "w", "gatewayAddress": "1.2.3.4", "gatewayPort": 0},
            },
            "0 is no port",
        ),
    ],
)
def test_what_is_wrong_is_said_and_what_was_known_stays(resource, value, message):
    """An object with a field of another type, or an address that is none, is refused whole."""
    world = Kubernetes("east", "flat")
    put(world, "pods", pod())
    with pytest.raises(ObjectError, match=message):
        put(world, resource, value)
    assert list(world.claims(key("pods"))) == [web()]


@given(
    st.sampled_from(sorted(RESOURCES)),
    st.binary(max_size=100) | JSON.map(lambda value: json.dumps(value).encode()),
)
@example("pods", b'{"metadata":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
@example("pods", b'{"metadata":{"name":"\\ud800","namespace":"\xff"}}')
def test_any_bytes_are_an_object_or_refused(resource, text):
    """And then nothing changes; claims can be made of whatever was taken."""
    world = Kubernetes("east", "flat")
    put(world, "pods", pod())
    before = repr(vars(world._here.board))
    try:
        changed = list(world.put(key(resource, "2"), text))
    except ObjectError:
        assert repr(vars(world._here.board)) == before
        assert list(world.claims(key(resource, "2"))) == []
    else:
        assert key(resource, "2") in changed
        list(world.claims(key(resource, "2")))
    assert list(world.claims(key("pods"))) == [web()]
