"""
Who, where, and when: networks, clusters, endpoints, prefixes, gateways, vantages.

Before: facts.py. After: job.py.
"""

from typing import Final

import polars as pl

from pipeline.schema.model import TEXT, TIME, U8, U16, U32, U64, Column, Table, address

_VALID: Final = (
    Column("valid_from", TIME, "from when it held, inclusive; null: always"),
    Column("valid_to", TIME, "until when it held, exclusive; null: still"),
)

NETWORKS: Final = Table(
    "networks",
    "IP routing domains: within one, an address means one thing at a time.",
    (
        Column("network", TEXT, "name"),
        Column(
            "model",
            TEXT,
            "flat: clusters share it and addresses are unique; gateway: one cluster's own, addresses may recur elsewhere; internet: what is routed everywhere",
        ),
        *_VALID,
    ),
)

CLUSTERS: Final = Table(
    "clusters",
    "One API server's worth of nodes, or a group of VMs.",
    (
        Column("cluster", TEXT, "name"),
        Column("provider", TEXT, "aws, gcp, azure, onprem..."),
        Column("region", TEXT, "provider's region"),
        Column("zones", pl.List(pl.String), "provider's zones"),
        Column("network", TEXT, "`networks` row its pods are in"),
        Column("mesh", TEXT, "service mesh"),
        Column("trust_domain", TEXT, "SPIFFE trust domain"),
        *_VALID,
    ),
)

ENDPOINTS: Final = Table(
    "endpoints",
    "What an address was, in a network, during [valid_from, valid_to).",
    (
        Column("endpoint_id", U64, "hash of network, address, start and names"),
        Column("network", TEXT, "`networks` row"),
        *address("endpoint", "address", ""),
        Column(
            "kind",
            TEXT,
            "pod, node, vm, gateway, load_balancer, service, interface (a cloud's network interface of which no more is known), external",
        ),
        Column("cluster", TEXT, "`clusters` row; null if outside every cluster"),
        Column("namespace", TEXT, "Kubernetes namespace"),
        Column("workload", TEXT, "owner: Deployment, StatefulSet..."),
        Column("service", TEXT, "host name it is called by"),
        Column("pod", TEXT, "pod name"),
        Column("node", TEXT, "node it runs on"),
        Column("zone", TEXT, "zone of that node"),
        Column("identity", TEXT, "SPIFFE ID"),
        Column("provider", TEXT, "aws, gcp, azure...; null: its cluster's"),
        Column("region", TEXT, "provider's region; null: its cluster's"),
        Column("source", TEXT, "who says so: file, kubernetes, aws, gcp, azure, netbox"),
        Column("object_id", U64, "`objects` row that claims it; null in files"),
        *_VALID,
        Column(
            "seen_from",
            TIME,
            "when it was first observed; what lies before, from `valid_from` on, is the object's own word, and holds where nobody else is known to have had the address",
        ),
        Column("seen_to", TIME, "when it was last observed, if that is earlier than `valid_to`"),
    ),
)

PREFIXES: Final = Table(
    "prefixes",
    "Address ranges with an owner.",
    (
        Column("prefix_id", U64, "hash of network, range and names"),
        Column("network", TEXT, "`networks` row"),
        *address("prefix", "first address", ""),
        Column("prefix_length", U8, "bits of the 16-byte form: a v4 /24 is 120"),
        Column(
            "kind",
            TEXT,
            "pod, service, node, subnet, vpc (all of a cloud network's space), external (a named range outside)",
        ),
        Column("cluster", TEXT, "`clusters` row; null if none"),
        Column("name", TEXT, "what people call it"),
        Column("provider", TEXT, "aws, gcp, azure...; null: its cluster's, if any"),
        Column("region", TEXT, "provider's region"),
        Column("zone", TEXT, "provider's zone"),
        Column("account", TEXT, "account, project or subscription"),
        Column("vpc", TEXT, "cloud network's id"),
        Column("subnet", TEXT, "subnet's id"),
        Column("source", TEXT, "who says so: file, kubernetes, aws, gcp, azure, netbox"),
        Column("object_id", U64, "`objects` row that claims it; null in files"),
        *_VALID,
    ),
)

GATEWAYS: Final = Table(
    "gateways",
    "Addresses that lead into another network, as seen from this one.",
    (
        Column("gateway_id", U64, "hash of network, address, port and where it leads"),
        Column("network", TEXT, "`networks` row it is seen from"),
        *address("gateway", "address", ""),
        Column("port", U16, "port"),
        Column("cluster", TEXT, "cluster whose gateway it is"),
        Column("to_network", TEXT, "network it leads into"),
        Column("name", TEXT, "name"),
        Column("source", TEXT, "who says so"),
        Column("object_id", U64, "`objects` row that claims it; null in files"),
        *_VALID,
    ),
)

PEERINGS: Final = Table(
    "peerings",
    "Networks whose addresses are routed to each other; one row each way.",
    (
        Column("peering_id", U64, "hash of both networks, kind and name"),
        Column("network", TEXT, "`networks` row"),
        Column("peer_network", TEXT, "network whose addresses it reaches"),
        Column("kind", TEXT, "vpc_peering, transit, vpn, interconnect, declared"),
        Column("name", TEXT, "name or id"),
        Column("source", TEXT, "who says so"),
        Column("object_id", U64, "`objects` row that claims it; null in files"),
        *_VALID,
    ),
)

VANTAGES: Final = Table(
    "vantages",
    "Who saw: one exporting process as one agent heard it.",
    (
        Column("vantage_id", U64, "hash of the columns below"),
        Column("cluster", TEXT, "cluster of the agent"),
        Column("network", TEXT, "network in which the addresses it reports mean something"),
        Column("agent", TEXT, "agent that took it"),
        Column("exporter", TEXT, "exporter's address, or the proxy"),
        Column(
            "format",
            TEXT,
            "netflow5, netflow9, ipfix, envoy_json, prometheus, istiod...; unknown where the payload told nothing",
        ),
        Column("observation_domain", U32, "IPFIX observation domain, v9 source id, v5 engine"),
    ),
)
