"""
Every table, defined once: DDL, frames, and docs/reference/schema.md come from here.

Addresses are two 64-bit numbers of the 16-byte (v4-mapped) form, high and low
half, so that they compare, join and compress as numbers; views show text.
Times are TIMESTAMPTZ in microseconds, UTC. Names, workloads and clusters are
not repeated in fact rows: a fact holds the 64-bit id of a row of `endpoints`,
`prefixes` or `vantages`, and views join them.

    model      column, table, view, and their types
    literals   values as SQL has them
    facts      flows (L3 and L4)
    requests   requests and connections, as proxies saw them (L7)
    rollups    who called whom, and what went over the wire, by the minute, ten minutes, hour and day
    health     how well each service, gateway, cluster... was, by the minute
    verdicts   what a datapath that enforces policy said of packets
    proxies    statistics of proxies, and what control planes say of them
    probes     what agents reach, tried by them
    edges      conversations: records of all proxies of a path, joined
    entities   who, where, and when
    inventory  how that is known: objects of sources, and what they corrected
    job        the pipeline itself
    findings   what a person should look at

Before: config.py. After: run.py. Views: views/.
"""

from typing import Final

from pipeline.schema.edges import EDGES, LEGS
from pipeline.schema.entities import (
    CLUSTERS,
    ENDPOINTS,
    GATEWAYS,
    NETWORKS,
    PEERINGS,
    PREFIXES,
    VANTAGES,
)
from pipeline.schema.facts import DECODED_FLOWS, FLOWS
from pipeline.schema.findings import FINDING_RUNS, FINDINGS
from pipeline.schema.health import HEALTH_1M, SECURITY_1M
from pipeline.schema.inventory import CHANGES, CORRECTIONS, INVENTORY_SOURCES, OBJECTS
from pipeline.schema.job import (
    ACCOUNTING,
    AGENT_DROPS,
    CHECKPOINTS,
    COMMITS,
    REJECTS,
    WINDOWS,
)
from pipeline.schema.model import (
    AUTHZ,
    LOG_TYPE,
    METHOD,
    PROXY_MODEL,
    REPORTER,
    RESOLUTION,
    TIME,
    Column,
    Function,
    Table,
    View,
    complete,
    create,
    create_function,
    create_view,
    sql_type,
)
from pipeline.schema.probes import DECODED_PROBES, PROBES
from pipeline.schema.proxies import (
    CONTROL_PLANE,
    DECODED_CONTROL_PLANE,
    DECODED_SAMPLES,
    PROXY_SAMPLES,
)
from pipeline.schema.requests import DECODED_REQUESTS, REQUESTS
from pipeline.schema.rollups import (
    EDGES_1D,
    EDGES_1H,
    EDGES_1M,
    EDGES_10M,
    LEGS_1D,
    LEGS_1H,
    LEGS_1M,
    LEGS_10M,
)
from pipeline.schema.verdicts import DECODED_VERDICTS, VERDICTS

__all__ = [
    "ACCOUNTING",
    "AGENT_DROPS",
    "AUTHZ",
    "CHANGES",
    "CHECKPOINTS",
    "CLUSTERS",
    "COMMITS",
    "CONTROL_PLANE",
    "CORRECTIONS",
    "DECODED_CONTROL_PLANE",
    "DECODED_FLOWS",
    "DECODED_PROBES",
    "DECODED_REQUESTS",
    "DECODED_SAMPLES",
    "DECODED_VERDICTS",
    "EDGES",
    "EDGES_1D",
    "EDGES_1H",
    "EDGES_1M",
    "EDGES_10M",
    "ENDPOINTS",
    "FINDINGS",
    "FINDING_RUNS",
    "FLOWS",
    "GATEWAYS",
    "HEALTH_1M",
    "INVENTORY_SOURCES",
    "LEGS",
    "LEGS_1D",
    "LEGS_1H",
    "LEGS_1M",
    "LEGS_10M",
    "LOG_TYPE",
    "METHOD",
    "NETWORKS",
    "OBJECTS",
    "PEERINGS",
    "PREFIXES",
    "PROBES",
    "PROXY_MODEL",
    "PROXY_SAMPLES",
    "REJECTS",
    "REPORTER",
    "REQUESTS",
    "RESOLUTION",
    "SECURITY_1M",
    "TABLES",
    "TIME",
    "VANTAGES",
    "VERDICTS",
    "WINDOWS",
    "Column",
    "Function",
    "Table",
    "View",
    "complete",
    "create",
    "create_function",
    "create_view",
    "sql_type",
]

TABLES: Final = (
    FLOWS,
    REQUESTS,
    EDGES,
    LEGS,
    EDGES_1M,
    EDGES_10M,
    EDGES_1H,
    EDGES_1D,
    LEGS_1M,
    LEGS_10M,
    LEGS_1H,
    LEGS_1D,
    HEALTH_1M,
    SECURITY_1M,
    VERDICTS,
    PROXY_SAMPLES,
    CONTROL_PLANE,
    PROBES,
    NETWORKS,
    CLUSTERS,
    ENDPOINTS,
    PREFIXES,
    GATEWAYS,
    PEERINGS,
    OBJECTS,
    INVENTORY_SOURCES,
    CORRECTIONS,
    VANTAGES,
    REJECTS,
    ACCOUNTING,
    AGENT_DROPS,
    COMMITS,
    CHECKPOINTS,
    WINDOWS,
    FINDINGS,
    FINDING_RUNS,
)
