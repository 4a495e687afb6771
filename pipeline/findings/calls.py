"""
Findings of calls: who is not well, who is worse than usual, who is refused, who is not safe.

What only suffers is no finding: where a cause is told (`health_1m.caused_by`) and is
found itself, it lists what suffers from it.

Before: kind.py. After: space.py.
"""

from typing import Final

from pipeline.findings.kind import MIN_TIMES, Kind, clusters_of
from pipeline.views.health import DEGRADED_ERRORS

MISSING: Final = 3
"""Refusals there would have been since the last, at the rate there was, by which they are over."""
MIN_MINUTES: Final = 2
"""What is worse than usual is a finding when it is so for so many minutes in a row."""
_STATE: Final = "CASE state WHEN 'failing' THEN 'error' ELSE 'warning' END"
_WELL: Final = """SELECT start_time, client_entity, server_entity, status, response_flags, blame,
    blamed_entity, blame_reason, duration_ms, server_duration_ms, request_id FROM v_calls
WHERE {} AND start_time >= $since AND start_time < $until
ORDER BY error DESC, duration_ms DESC NULLS LAST LIMIT 100"""


_EDGE: Final = "concat_ws(' -> ', coalesce(client_entity, 'unknown'), server_entity)"
_SUFFER: Final = """CASE len(symptoms) WHEN 1 THEN 'another suffers from it'
                ELSE format('{} others suffer from it', len(symptoms)) END"""


def _unhealthy(entity_kind: str, clusters: str, more: str = "true") -> str:
    """
    Entities that are not well, and not because of another one that is found.

    Of one whose certificate is the cause, what suffers from that certificate suffers from it.
    """
    return f"""WITH roots AS (
            SELECT one.*, coalesce(owner.name, one.caused_by) AS root FROM unwell one LEFT JOIN unwell owner
                ON owner.entity_kind IN ('service', 'workload') AND owner.is_own AND owner.name <> one.name
                AND owner.caused_by = one.caused_by AND owner.caused_by = 'certificate ' || owner.entity
        ), suffering AS (
            SELECT root AS name, list(roots.name ORDER BY roots.name) AS symptoms
            FROM roots WHERE root IS NOT NULL GROUP BY root
        ), ways AS (
            SELECT root AS name, list(DISTINCT client_cluster || ' ' || service) AS explains
            FROM edges_1m JOIN roots ON roots.entity_kind = 'edge' AND roots.entity = {_EDGE}
            WHERE root IS NOT NULL GROUP BY root
        )
        SELECT entity, {_STATE} AS severity, {clusters} AS clusters,
            concat_ws('; ', format('{{}}: {{}} ({{}} calls)', state, array_to_string(reasons, '; '), requests),
                'because of ' || caused_by, {_SUFFER}) AS summary,
            split_part(entity, ' -> ', 1) AS client, split_part(entity, ' -> ', 2) AS server, symptoms, explains
        FROM roots found LEFT JOIN suffering USING (name) LEFT JOIN ways USING (name)
        WHERE entity_kind = '{entity_kind}' AND {more} AND (root IS NULL OR root NOT IN (
            SELECT name FROM unwell WHERE entity_kind IN ('service', 'edge', 'gateway')
                OR entity_kind = 'workload' AND is_own))"""


def _worse(what: str, entity_kinds: str, more: str = "true") -> str:
    """Entities that are worse than usual for some minutes, and not because of another one."""
    return f"""WITH minutes AS (
            SELECT *, entity_kind || ' ' || entity AS name FROM health_1m
            WHERE minute >= getvariable('until') - {MIN_MINUTES} * INTERVAL 1 MINUTE
                AND list_contains(regressed, '{what}') AND {more}
        ), worse AS (
            SELECT name, entity_kind, entity, arg_max(caused_by, minute) AS caused_by,
                arg_max(reasons, minute) AS reasons, arg_max(cluster, minute) AS cluster
            FROM minutes GROUP BY name, entity_kind, entity HAVING count(*) >= {MIN_MINUTES}
        ), suffering AS (
            SELECT caused_by AS name, list(worse.name ORDER BY worse.name) AS symptoms
            FROM worse WHERE caused_by IS NOT NULL GROUP BY caused_by
        )
        SELECT entity_kind || ' ' || entity AS entity, 'warning' AS severity,
            list_sort(list_distinct({clusters_of("split_part(entity, ' -> ', 1)", "split_part(entity, ' -> ', 2)")}
                || CASE WHEN cluster IS NULL THEN [] ELSE [cluster] END)) AS clusters,
            array_to_string(list_filter(reasons, lambda reason: contains(reason, ', usually ')), '; ') AS summary,
            symptoms, entity_kind, entity AS entity_name
        FROM worse found LEFT JOIN suffering USING (name)
        WHERE entity_kind IN {entity_kinds} AND (caused_by IS NULL OR caused_by NOT IN (SELECT name FROM worse))
            AND NOT (entity_kind = 'edge' AND (
                'service ' || split_part(entity, ' -> ', 2) IN (SELECT name FROM worse)
                OR 'workload ' || split_part(entity, ' -> ', 1) IN (SELECT name FROM worse)))"""


_MINUTES: Final = """FROM v_health_1m WHERE entity_kind = $entity_kind AND entity = $entity_name
    AND minute >= $since AND minute < $until ORDER BY minute"""


_REFUSED: Final = "(layer = 'L7' OR starts_with(reason, 'POLICY') OR len(policies) > 0)"


def _goes_on(times: str, last: str, span: str) -> str:
    """Whether more may come: it was a minute ago at most, or would not have come yet at its rate."""
    since = f"epoch(getvariable('until') - {last})"
    return f"({since} <= 60 OR {times} * {since} <= {MISSING} * greatest(60, epoch({span})))"


def _refused(which: str) -> str:
    """Refusals of one client at one server, whoever saw them."""
    return f"""SELECT {_EDGE} || coalesce(':' || server_port, '') AS entity,
        CASE WHEN sum(times) >= {MIN_TIMES} THEN 'warning' ELSE 'info' END AS severity,
        {clusters_of("any_value(client_entity)", "any_value(server_entity)")} AS clusters,
        concat_ws(' ', sum(times)::BIGINT, CASE any_value(layer) WHEN 'L7' THEN 'requests' ELSE 'packets' END,
            CASE WHEN bool_and(verdict = 'AUDIT') THEN 'would be refused:' ELSE 'refused:' END,
            array_to_string(list_sort(list(DISTINCT coalesce(reason, 'no reason told'))), ', '),
            nullif('by ' || array_to_string(list_sort(list_distinct(flatten(list(policies)))), ', '), 'by '))
            AS summary,
        client_entity, server_entity, server_port
    FROM v_policy_verdicts WHERE {which} GROUP BY client_entity, server_entity, server_port
    HAVING {_goes_on("sum(times)", "max(last_time)", "max(last_time) - min(first_time)")}"""


_REFUSALS: Final = """FROM v_policy_verdicts WHERE client_entity IS NOT DISTINCT FROM $client_entity
    AND server_entity IS NOT DISTINCT FROM $server_entity
    AND server_port IS NOT DISTINCT FROM $server_port AND last_time >= $since"""

_OPEN: Final = "sum(conversations - encrypted)::BIGINT"
_LAST_OPEN: Final = "max(minute) FILTER (encrypted < conversations)"
_SECURITY: Final = "FROM security_between($since, $until) WHERE client = $client_entity AND server = $server_entity"


def _shown(side: str, peer: str) -> str:
    """Trust domains that peers saw of one side."""
    return f"""SELECT '{side}' AS side, {side}_cluster AS cluster, {peer}_cluster AS peer_cluster,
        {side}_entity AS entity, client_entity, server_entity, unnest({side}_trust_domains) AS seen FROM security_1m"""


_REGRESSED: Final = "FROM health_1m WHERE len(regressed) > 0"

_FOR_A_CLIENT: Final = """(starts_with(coalesce(caused_by, ''), 'workload ')
            OR starts_with(coalesce(caused_by, ''), 'certificate ') AND caused_by <> 'certificate ' || entity)"""
"""A service that fails for what one client does: that client is found, or its edge."""

CALLS: Final = (
    Kind(
        "unhealthy_service",
        "a service that fails, or is degraded, for its clients",
        _unhealthy("service", clusters_of("entity"), f"NOT {_FOR_A_CLIENT}"),
        _WELL.format("server_entity = $entity"),
        "Look at who is blamed: the service's own proxy and logs, or the gateway or policy on the way to it.",
        only_if="FROM unwell WHERE entity_kind = 'service'",
    ),
    Kind(
        "unhealthy_edge",
        "calls of one client that go worse than those of its server's other clients",
        _unhealthy(
            "edge",
            clusters_of("split_part(entity, ' -> ', 1)", "split_part(entity, ' -> ', 2)"),
            f"""NOT exists(FROM unwell service WHERE service.entity_kind = 'service' AND NOT {_FOR_A_CLIENT}
            AND service.entity = split_part(found.entity, ' -> ', 2) AND service.state IN ('failing', found.state))""",
        ),
        _WELL.format("coalesce(client_entity, 'unknown') = $client AND server_entity = $server"),
        "Compare with the server's other clients: what only this one passes (its proxy, its gateway, its certificate) is at fault.",
        only_if="FROM unwell WHERE entity_kind = 'edge'",
    ),
    Kind(
        "unhealthy_client",
        "a workload whose calls fail for what its own proxy does: a route it does not know, a limit",
        _unhealthy("workload", clusters_of("entity"), "is_own"),
        _WELL.format("client_entity = $entity"),
        "Look at its proxy's configuration: what it has for the names that fail, and its circuit breakers.",
        only_if="FROM unwell WHERE entity_kind = 'workload'",
    ),
    Kind(
        "unhealthy_gateway",
        "calls that do not get through a gateway, or are slow on the way through it",
        _unhealthy(
            "gateway",
            "(SELECT list_sort(list(DISTINCT cluster)) FROM v_gateways WHERE name = found.entity)",
        ),
        _WELL.format("(gateway = $entity OR blamed_entity = $entity)"),
        "See whether the gateway runs, whether its address and port are reached, and whether its certificate and SNI routes are those the client expects.",
        only_if="FROM unwell WHERE entity_kind = 'gateway'",
    ),
    Kind(
        "latency_regressed",
        f"a service or edge that is slower than was usual, for {MIN_MINUTES} minutes, and not because of another",
        _worse("latency", "('service', 'edge')"),
        _MINUTES,
        "See what changed when it began: a deployment, its own servers' times (`server_ms`), the path its calls take (`crosspane topology --since`).",
        only_if=_REGRESSED,
    ),
    Kind(
        "errors_regressed",
        f"a service or edge that fails more than was usual, for {MIN_MINUTES} minutes, though less than {DEGRADED_ERRORS:.0%} of its calls",
        _worse("errors", "('service', 'edge')", f"errors < {DEGRADED_ERRORS} * requests"),
        _MINUTES,
        "Look at the calls that fail: their flags and who is blamed say where.",
        only_if=_REGRESSED,
    ),
    Kind(
        "traffic_vanished",
        f"calls that are steady otherwise, and hardly come any more, for {MIN_MINUTES} minutes, from clusters that tell of others",
        _worse(
            "traffic",
            "('service', 'workload', 'edge')",
            # A service whose every caller fell silent is not the one to look at.
            "(entity_kind <> 'service' OR NOT exists(FROM health_1m gone WHERE gone.minute = health_1m.minute"
            " AND gone.entity_kind = 'workload' AND list_contains(gone.regressed, 'traffic')"
            " AND exists(FROM health_1m way WHERE way.minute = gone.minute AND way.entity_kind = 'edge'"
            " AND way.entity = gone.entity || ' -> ' || health_1m.entity AND list_contains(way.regressed, 'traffic'))))",
        ),
        _MINUTES,
        "See whether the callers still run, and whether they are sent elsewhere: a name, a route or a weight that was changed.",
        only_if=_REGRESSED,
    ),
    Kind(
        "gateway_tax_regressed",
        f"a gateway on the way through which calls take longer than was usual, for {MIN_MINUTES} minutes",
        _worse("latency", "('gateway')"),
        _MINUTES,
        "Look at the gateway's load and number, and at the network to it: what its calls take at their servers is not in this figure.",
        only_if=_REGRESSED,
    ),
    Kind(
        "plaintext_edge",
        "calls from cluster to cluster, or from nobody known, without TLS, told by proxies that tell of TLS elsewhere",
        f"""SELECT client_entity || ' -> ' || server_entity AS entity, 'warning' AS severity,
            list_sort(list_distinct(list(client_cluster) || list(server_cluster))) AS clusters,
            format('{{}} of {{}} calls from {{}} to {{}} were not encrypted: {{}}', {_OPEN}, sum(conversations)::BIGINT,
                coalesce(any_value(client_cluster), 'an unknown place'), any_value(server_cluster),
                array_to_string(list_sort(list_distinct(flatten(list(open_legs)))), ', ')) AS summary,
            client_entity, server_entity
        FROM security_1m WHERE coalesce(client_cluster, server_cluster) IN
                (SELECT client_cluster FROM security_1m WHERE encrypted > 0)
            AND (client_cluster <> server_cluster
                OR client_cluster IS NULL AND list_contains(open_legs, 'client -> server ' || server_cluster))
        GROUP BY client_entity, server_entity HAVING {_OPEN} > 0
            AND {_goes_on(_OPEN, _LAST_OPEN, "max(minute) - min(minute)")}""",
        _SECURITY,
        "Require mTLS for the server (PeerAuthentication STRICT or its like), and see why the client's proxy does not offer it.",
    ),
    Kind(
        "trust_domain_unexpected",
        "a peer that shows a SPIFFE ID of another trust domain than its cluster's",
        f"""SELECT concat_ws(' ', cluster, entity, seen) AS entity, 'warning' AS severity,
            list_sort(list_distinct(list(cluster) || list(peer_cluster))) AS clusters,
            format('{{}} of {{}} shows trust domain {{}}, not {{}}', any_value(side), cluster, seen, trust_domain) AS summary,
            any_value(client_entity) AS client_entity, any_value(server_entity) AS server_entity
        FROM ({_shown("client", "server")} UNION ALL BY NAME {_shown("server", "client")})
        JOIN clusters USING (cluster) WHERE seen <> trust_domain
        GROUP BY cluster, entity, seen, trust_domain""",
        _SECURITY,
        "Find out who issued that identity: a mesh that is federated by mistake, or a workload that is not where the inventory has it.",
    ),
    Kind(
        "policy_denials",
        f"refused by policy; a warning from {MIN_TIMES} times on",
        _refused(_REFUSED),
        _REFUSALS,
        "If the client should be let in, allow it in the policy that is named; if not, find out why it tries.",
    ),
    Kind(
        "packets_dropped",
        f"dropped by a datapath, and not by policy; a warning from {MIN_TIMES} times on",
        _refused(f"NOT {_REFUSED}"),
        _REFUSALS,
        "Read the reason: full connection tables, unroutable or stale addresses and wrong interfaces are the node's to mend.",
    ),
)
