"""
Octets on the wire, once: flows of a stretch, as the exporter saw a leg that saw most of it.

What two exporters saw of one pair of addresses is not added. Which of them counts is
decided by pair of addresses, before there are names: exporters of different machines
see different pods of one workload. It is decided for each minute, by what each saw of the
pair in it and `MARGIN` around, so that a flow two clocks put on either side of a full
minute is counted in one; exporters that tell a long flow in parts of different length
may still each count for some of its minutes.
Flows are added up by a part of a minute first, `MARGIN` long: which minutes one is near is
the same for all of a part.

Ports are a service's or none: of the two of a flow the lower, if clients do not pick
from there; of those, the `_PORTS` that carried most between two nodes.

Before: topology.py. After: rollups.py.
"""

from typing import Final

from pipeline.schema import rollups
from pipeline.schema.rollups import Rollup
from pipeline.views.topology import MARGIN, MARGIN_S, begin_of

_PAIR: Final = ", ".join(
    f"{side}_{column}"
    for side in ("src", "dst")
    for column in ("endpoint_id", "prefix_id", "method", "ip_hi", "ip_lo")
)
_AROUND: Final = ", ".join(
    f"time_bucket(INTERVAL 1 MINUTE, part {shift})" for shift in ("", f"- {MARGIN}", f"+ {MARGIN}")
)
_EPHEMERAL: Final = 32_768
"""Linux's clients pick ports from here on; others', from later."""
_PORTS: Final = 32
"""What a scan of ports makes of two nodes is so many rows a minute and one."""

_SERVICE_PORTS: Final = f"""CASE WHEN src_port < least({_EPHEMERAL}, coalesce(dst_port, 65535)) THEN src_port END AS src_port,
            CASE WHEN dst_port < {_EPHEMERAL} AND dst_port <= coalesce(src_port, 65535) THEN dst_port END AS dst_port"""
_LOSSES: Final = (
    *("dropped_packets", "drops_told_packets"),
    *("retransmitted_packets", "retransmits_told_packets", "rtt_timed", "rtt_us"),
)

_PROTOCOL: Final = """CASE protocol WHEN 1 THEN 'ICMP' WHEN 6 THEN 'TCP' WHEN 17 THEN 'UDP'
        WHEN 58 THEN 'ICMPv6' WHEN 132 THEN 'SCTP'
        ELSE coalesce('IP protocol ' || protocol, 'unknown') END"""


def wire_sql(
    flows: str, begun: str, of: Rollup = rollups.LEGS, minutes: str = "minute IS NOT NULL"
) -> str:
    """
    SQL of flows that began at some time, summed by ``minute`` and leg: the key of ``of``.

    Parameters
    ----------
    flows
        SQL of rows of `schema.FLOWS` that began then, and what began around.
    begun
        Condition on ``start_time``.
    minutes
        Condition on ``minute``: those that are asked for, if it is known.
    """
    key = ", ".join(column.name for column in of.key)
    leg = f"minute, network, {_PAIR}, protocol"
    return f"""WITH gateway_of AS (
        SELECT ip AS gateway_ip, cluster AS gateway_cluster, min(name) AS gateway
        FROM v_gateways GROUP BY ALL
    ), parts AS (
        SELECT {begin_of(MARGIN_S)} AS part, {begun} AS begun, vantage_id, {_PAIR}, protocol,
            {_SERVICE_PORTS},
            count(*) AS flows, sum(bytes * sampling_factor) AS bytes, sum(packets * sampling_factor) AS packets,
            min(start_time) AS first_time, max(end_time) AS last_time
        FROM ({flows}) GROUP BY ALL
    ), seen AS (
        SELECT minute, vantage_id, {_PAIR}, protocol, src_port, dst_port,
            sum(flows) FILTER (own) AS flows, sum(bytes) FILTER (own) AS bytes, sum(packets) FILTER (own) AS packets,
            min(first_time) FILTER (own) AS first_time, max(last_time) FILTER (own) AS last_time,
            sum(bytes) AS size
        FROM (SELECT *, begun AND minute = time_bucket(INTERVAL 1 MINUTE, part) AS own
            FROM (SELECT *, unnest(list_distinct([{_AROUND}])) AS minute FROM parts))
        WHERE {minutes} GROUP BY ALL
    ), sized AS (
        SELECT seen.*, v.network, hash({leg}) AS leg,
            sum(coalesce(size, 0)) OVER (PARTITION BY hash({leg}), vantage_id) AS all_of_it
        FROM seen LEFT JOIN vantages v USING (vantage_id)
    ), most AS (
        SELECT *, count(DISTINCT vantage_id) OVER (PARTITION BY leg) AS exporters FROM sized
        QUALIFY vantage_id = first_value(vantage_id)
                OVER (PARTITION BY leg ORDER BY all_of_it DESC, vantage_id) AND flows > 0
    ), once AS (
        SELECT minute, network, {_PAIR}, protocol, src_port, dst_port, flows, bytes, packets, exporters,
            first_time, last_time
        FROM most
        UNION ALL BY NAME ({_losses(flows, begun)})
    ), known AS MATERIALIZED (
        SELECT endpoint_id, network, kind, provider, region, cluster, namespace, service, node, entity,
            gateway
        FROM v_endpoints LEFT JOIN gateway_of ON gateway_ip = ip AND gateway_cluster = cluster
        WHERE endpoint_id IN (SELECT unnest([src_endpoint_id, dst_endpoint_id]) FROM once)
    ), named AS (
        SELECT minute, {_end("src")}, {_end("dst")}, {_PROTOCOL} AS protocol, src_port, dst_port, flows, bytes,
            packets, exporters, first_time, last_time,
            {", ".join(_LOSSES)}, min_rtt_us
        FROM once {_joins("src")} {_joins("dst")}
    ), legs AS (
        SELECT minute, {key}, sum(flows) AS flows, sum(bytes) AS bytes, sum(packets) AS packets,
            max(exporters) AS exporters, min(first_time) AS first_time, max(last_time) AS last_time,
            {", ".join(f"sum({name}) AS {name}" for name in _LOSSES)}, min(min_rtt_us) AS min_rtt_us
        FROM named GROUP BY minute, {key}
    ), ranked AS (
        SELECT *, row_number() OVER (PARTITION BY minute, src_entity, dst_entity, protocol
            ORDER BY bytes DESC NULLS LAST, src_port, dst_port) <= {_PORTS} AS told FROM legs
    )
    SELECT * REPLACE (CASE WHEN told THEN src_port END AS src_port, CASE WHEN told THEN dst_port END AS dst_port)
    FROM ranked"""


def _losses(flows: str, begun: str) -> str:
    """
    SQL of what exporters tell of losses, by minute and leg, in rows of their own without flows.

    Each drops packets of its own; what was sent again and how long round trips took, the one
    counts who tells of most. Where nobody tells, there are no rows, and they cost nothing.
    """
    return f"""SELECT minute, network, {_PAIR}, protocol, src_port, dst_port, 0 AS flows, 1 AS exporters,
            min(first_time) AS first_time, max(last_time) AS last_time,
            sum(dropped) AS dropped_packets, max(drops_of) AS drops_told_packets,
            arg_max(again, again_of) AS retransmitted_packets, max(again_of) AS retransmits_told_packets,
            max(timed) AS rtt_timed, arg_max(rtt_us, timed) AS rtt_us, arg_max(min_rtt_us, timed) AS min_rtt_us
        FROM (
            SELECT {begin_of(60)} AS minute, vantage_id, {_PAIR}, protocol,
                {_SERVICE_PORTS}, min(start_time) AS first_time, max(end_time) AS last_time,
                sum(dropped_packets * sampling_factor) AS dropped,
                sum(packets * sampling_factor) FILTER (dropped_packets IS NOT NULL) AS drops_of,
                sum(retransmitted_packets * sampling_factor) AS again,
                sum(packets * sampling_factor) FILTER (retransmitted_packets IS NOT NULL) AS again_of,
                nullif(count(rtt_us), 0) AS timed, sum(rtt_us) AS rtt_us,
                min(coalesce(min_rtt_us, rtt_us)) AS min_rtt_us
            FROM ({flows}) WHERE ({begun}) AND (dropped_packets IS NOT NULL
                OR retransmitted_packets IS NOT NULL OR rtt_us IS NOT NULL)
            GROUP BY ALL
        ) LEFT JOIN vantages USING (vantage_id)
        GROUP BY minute, network, {_PAIR}, protocol, src_port, dst_port"""


def _end(side: str) -> str:
    """A flow's end: an endpoint, a range outside, or unknown in its network."""
    places = ", ".join(
        f"{side}.{name} AS {side}_{name}"
        for name in ("cluster", "namespace", "service", "gateway", "node")
    )
    return f"""coalesce({side}.entity, CASE WHEN {side}_method = 'external' THEN {side}_range.name END,
            'unknown in ' || coalesce({side}_range.network, once.network), 'unknown') AS {side}_entity,
        coalesce({side}.kind, CASE WHEN {side}_method = 'external' THEN 'external' END) AS {side}_kind,
        coalesce({side}.provider, {side}_range.provider) AS {side}_provider,
        coalesce({side}.region, {side}_range.region) AS {side}_region,
        coalesce({side}.network, {side}_range.network, once.network) AS {side}_network, {places}"""


def _joins(side: str) -> str:
    return f"""
        LEFT JOIN known {side} ON {side}.endpoint_id = {side}_endpoint_id
        LEFT JOIN prefixes {side}_range ON {side}_range.prefix_id = {side}_prefix_id"""
