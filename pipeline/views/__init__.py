"""
What readers see: the views, each with its question, its columns and its SQL.

Views are the contract. Tables may change shape; a view's columns keep their
name, unit and meaning. They live in the lake's catalog, so any DuckDB that
attaches it has them.

    addresses  text of addresses and ranges, for the numbers that tables hold
    facts      flows, requests and endpoints, with names
    verdicts   what was let through and what was refused, by policy
    topology   calls, each once, and gateways
    stitched   conversations over all hops, and the records they are made of
    gateway_tax what paths cost, through gateways and without
    wire       octets on the wire, once, whichever exporters saw them
    reconciled octets and packets, as each exporter counted them
    rollups    calls and flows by the minute, ten minutes, hour and day, and of a span
    whole      edges, and the graph of workloads, of all time
    levels     what provider, region, cluster ... workload call a thing
    graph      the graph of a span at a level, of rollups
    security   encryption, identities and policy of each pair of workloads, end to end
    failed     calls that failed, with their blame: SQL of the stage that judges minutes
    health     health, completeness, rejects, and the pipeline itself
    unwell     who is not well now: what findings ask each minute, not in the lake
    places     clusters, and where in the world they are
    sources    every source by the minute: what came, what was lost, what has a name
    ranges     address ranges as numbers: SQL that the next four share
    exhaustion when ranges are full
    inventory  who tells the inventory, and what it corrected
    ipspace    what is wrong with the address space
    flat       which clusters could share one network
    blind_spots what inventory knows and nobody observes
    findings   what a person should look at
    probes     what agents reach, and the certificates they are shown
    proxies    upstreams, certificates and policies as proxies count them; control planes; targets

Before: lake.py. After: pane.py, dashboards/, notebooks/.
Generated from here: docs/reference/schema.md.
"""

from typing import Final

from pipeline.views import (
    addresses,
    blind_spots,
    exhaustion,
    facts,
    findings,
    flat,
    gateway_tax,
    graph,
    health,
    inventory,
    ipspace,
    places,
    probes,
    proxies,
    reconciled,
    rollups,
    security,
    sources,
    stitched,
    topology,
    verdicts,
    whole,
)

_GROUPS: Final = ", ".join(
    f"{half} >> {shift} & 65535" for half in ("hi", "lo") for shift in (48, 32, 16, 0)
)
_SHORTEN: Final = " ".join(
    f"WHEN contains(text, '{':0' * n}:') THEN regexp_replace(text, '{':0' * n}:', '::')"
    for n in range(8, 1, -1)
)
MACROS: Final = (
    # RFC 5952: lower case, no leading zeros, the longest run of zero groups as "::".
    f"""CREATE OR REPLACE MACRO ip_text(hi, lo) AS CASE
        WHEN hi = 0 AND lo >> 32 = 65535
        THEN format('{{}}.{{}}.{{}}.{{}}', lo >> 24 & 255, lo >> 16 & 255, lo >> 8 & 255, lo & 255)
        WHEN hi IS NOT NULL THEN regexp_replace(regexp_replace(list_transform(
            [':' || format('{":".join(["{:x}"] * 8)}', {_GROUPS}) || ':'],
            lambda text: CASE {_SHORTEN} ELSE text END)[1], '^:([^:])', '\\1'), '([^:]):$', '\\1')
        END""",
    """CREATE OR REPLACE MACRO cidr_text(hi, lo, length) AS ip_text(hi, lo) || '/' ||
        CASE WHEN hi = 0 AND lo >> 32 = 65535 AND length >= 96 THEN length - 96 ELSE length END""",
    *addresses.MACROS,
    *rollups.MACROS,
)

VIEWS: Final = (
    facts.ENDPOINTS,
    facts.FLOWS,
    facts.REQUESTS,
    facts.RESPONSE_FLAGS,
    verdicts.VERDICTS,
    verdicts.POLICY_VERDICTS,
    topology.GATEWAYS,
    topology.CALLS,
    stitched.STITCHED,
    stitched.LEGS,
    gateway_tax.GATEWAY_TAX,
    reconciled.RECONCILED,
    reconciled.LINKS,
    rollups.EDGES_1M,
    rollups.EDGES_10M,
    rollups.EDGES_1H,
    rollups.EDGES_1D,
    whole.EDGES,
    whole.TOPOLOGY_EDGES,
    whole.TOPOLOGY_NODES,
    health.COMPLETENESS,
    sources.SOURCES_1M,
    sources.DROPS,
    proxies.UPSTREAMS,
    proxies.CERTIFICATES,
    proxies.AUTHZ,
    proxies.CONTROL_PLANE,
    proxies.TARGETS,
    probes.PROBES,
    probes.PROBE_HEALTH,
    probes.PROBE_CERTIFICATES,
    probes.PROBE_TARGETS,
    security.SECURITY_EDGES,
    health.HEALTH_1M,
    health.HEALTH,
    health.PIPELINE,
    health.REJECTS,
    exhaustion.EXHAUSTION,
    places.CLUSTERS,
    inventory.INVENTORY,
    inventory.CHANGES,
    inventory.CORRECTIONS,
    ipspace.IPSPACE,
    flat.CONFLICTS,
    flat.READINESS,
    blind_spots.BLIND_SPOTS,
    blind_spots.COVERAGE,
    findings.FINDINGS,
)
"""Every view, each after those it reads."""

FUNCTIONS: Final = (
    security.SECURITY_BETWEEN,
    security.PLAINTEXT_BETWEEN,
    places.CLUSTERS_PICKED,
    places.ENTITIES_CALLED,
    sources.NAMING_BETWEEN,
    rollups.EDGES_BETWEEN,
    rollups.LEGS_BETWEEN,
    gateway_tax.GATEWAY_TAX_BETWEEN,
    reconciled.RECONCILED_BETWEEN,
    reconciled.LINKS_BETWEEN,
    graph.TOPOLOGY_EDGES,
    graph.TOPOLOGY_NODES,
    graph.EDGES_PICKED,
    verdicts.POLICY_VERDICTS_BETWEEN,
)
"""Every table function: views of a span. Their tables are found in the schema in use."""
