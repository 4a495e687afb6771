"""
Octets and packets of one conversation as several exporters counted them: do they agree?

    flows --seen--> by exporter --one name--> by conversation --pairs--> v_reconciled --> v_reconciled_links

A conversation is one direction of a 5-tuple, between addresses in their networks. Where
it was translated on the way, exporters before and behind saw other addresses: a flow
record that tells both joins them, and the proxies' own records of a connection to a
declared gateway (``legs``), whose two ends are one connection. A name that would lead
to two conversations leads to none.

Exporters are compared two by two, the one nearer to the source first: what it saw and
the other did not was lost between them. That is said only of what both watched for the same
time, and all of it: exporters cut long flows where they like, begin and end in the middle
of one, and lose datagrams. Nothing is said of octets counted with headers beside octets
without.

Sampling multiplies, so what it tells is off by chance: by three standard deviations of
the number of packets taken, at most, in 997 of 1,000 cases. Of conversations so short that
this is all of them, only those of which a packet was taken by chance are told at all: they
would add up to more than there was, and nothing is said of them.

Source: RFC 7011 and 5103 (what is counted), RFC 3022 (translation); RFC 5475 section 5
(random sampling).
Before: wire.py. After: dashboards/.
"""

from typing import Final, NamedTuple

from pipeline.inventory.numbers import PRIVATE
from pipeline.schema import Function, View
from pipeline.views.rollups import SINCE, SPAN, UNTIL

_SKEW: Final = "INTERVAL 2 SECOND"
"""How far clocks may be apart, as in stitching, and how coarse an exporter's is."""
_SIGMAS: Final = 3
_HEADERS: Final = 80
"""Octets of the headers that a network card writes again when it cuts a packet, at most: IPv6 and TCP."""
_TCP: Final = 6
_SYN, _FIN_RST = 2, 1 | 4
"""TCP flags with which a connection begins, and one of which ends it."""
_LOW: Final = 2**64 - 1


def private_sql(hi: str, lo: str) -> str:
    """SQL: whether an address means something else in each network."""
    parts = []
    for network in PRIVATE:
        mapped = (0xFFFF << 32) if network.version == 4 else 0  # noqa: PLR2004 as in IPv4
        first, last = (mapped | int(network[at]) for at in (0, -1))
        low = f"{lo} BETWEEN {first & _LOW} AND {last & _LOW}"
        high = f"{hi} BETWEEN {first >> 64} AND {last >> 64}"
        parts.append(f"{high} AND {low}" if first >> 64 == last >> 64 else high)
    return f"({' OR '.join(parts)})"


def _place(hi: str, lo: str, network: str) -> str:
    """SQL: the network in which an address means what it does; one for all public addresses."""
    return f"CASE WHEN {private_sql(hi, lo)} THEN {network} ELSE 'internet' END"


_END: Final = ("ip_hi", "ip_lo", "port")
_ENDS: Final = tuple(f"{side}_{part}" for side in ("src", "dst") for part in _END)
_TUPLE: Final = ", ".join((*_ENDS, "protocol"))


def _name(*ends: str) -> str:
    """SQL of the number of a conversation, of prefixes of the columns of both of its ends."""
    parts = [f"{end}_{part}" for end in ends for part in ("place", *_END)]
    return f"hash({', '.join(parts)}, protocol)"


def _renamed(rows: str) -> str:
    """
    SQL of ``behind`` and ``before``: names of a translated conversation, both ways.

    Parameters
    ----------
    rows
        SQL of ``protocol``, and columns of ends ``src``, ``dst`` (before), ``new_src`` and ``new_dst``.
    """
    return f"""SELECT {_name("new_src", "new_dst")} AS behind, {_name("src", "dst")} AS before FROM ({rows})
        UNION SELECT {_name("dst", "src")}, {_name("new_dst", "new_src")} FROM ({rows})"""


def _flow_ends() -> str:
    """SQL of flow records that tell a translation, with both ends before and behind it."""
    new = [
        f"coalesce(post_nat_{side}_{part}, f.{side}_{part}) AS new_{side}_{part}"
        for side in ("src", "dst")
        for part in _END
    ]
    told = f"SELECT {', '.join(f'f.{name}' for name in (*_ENDS, 'protocol'))}, {', '.join(new)}, v.network"
    return _placed(
        f"{told} FROM spanned f JOIN vantages v USING (vantage_id)"
        " WHERE post_nat_src_ip_lo IS NOT NULL OR post_nat_dst_ip_lo IS NOT NULL",
        dict.fromkeys(("src", "dst", "new_src", "new_dst"), "network"),
    )


def _leg_ends(legs: str) -> str:
    """
    SQL of connections to gateways, as the proxy that opened them and the gateway have them.

    Of a call that was sent again, client and gateway may tell of different attempts.
    """
    ends = {
        "src": "l.upstream_local",
        "dst": "l.upstream_remote",
        "new_src": "n.downstream_remote",
        "new_dst": "n.downstream_local",
    }
    columns = ", ".join(f"{of}_{part} AS {end}_{part}" for end, of in ends.items() for part in _END)
    return _placed(
        f"""SELECT DISTINCT {columns}, {_TCP}::UTINYINT AS protocol, l.network, n.network AS new_network
        FROM edges e JOIN legs l USING (edge_id) JOIN legs n ON n.edge_id = l.edge_id AND n.hop = l.hop + 1
        JOIN vantages v ON v.vantage_id = n.vantage_id
        JOIN v_gateways g ON g.network = l.network AND g.port = l.upstream_remote_port
            AND g.gateway_ip_hi = l.upstream_remote_ip_hi AND g.gateway_ip_lo = l.upstream_remote_ip_lo
        WHERE l.role <> 'server' AND n.role = 'gateway' AND g.cluster = v.cluster AND coalesce(attempts, 1) = 1
            AND {" AND ".join(legs.format(alias) for alias in "eln")}""",
        {"src": "network", "dst": "network", "new_src": "new_network", "new_dst": "new_network"},
    )


def _placed(rows: str, networks: dict[str, str]) -> str:
    """The same rows, with ``{end}_place`` of each end."""
    places = ", ".join(
        f"{_place(f'{end}_ip_hi', f'{end}_ip_lo', network)} AS {end}_place"
        for end, network in networks.items()
    )
    return f"SELECT *, {places} FROM ({rows})"


_MOST: Final = (
    *("bytes", "packets", "all_bytes", "all_packets", "variance", "sampling", "last_time"),
    *("last_received", "src_endpoint_id", "dst_endpoint_id"),
)
"""Of what one exporter counted on the way in and again on the way out: the more."""


def _seen(flows: str, legs: str) -> str:
    """
    SQL of common tables up to ``seen``: one row per conversation and exporter.

    Parameters
    ----------
    flows
        Condition on rows of `schema.FLOWS`.
    legs
        Condition on rows of `schema.LEGS`, of which ``{}`` is the alias.
    """
    sums = ", ".join(f"sum({what}) AS {what}" for what in ("bytes", "packets"))
    most = ", ".join(f"max({what}) AS {what}" for what in _MOST)
    return f"""spanned AS (FROM flows WHERE {flows}), translations AS (
        FROM ({_renamed(_flow_ends())} UNION {_renamed(_leg_ends(legs))}) WHERE behind <> before
        QUALIFY count(*) OVER (PARTITION BY behind) = 1 AND count(*) OVER (PARTITION BY before) = 1
    ), losing AS (
        SELECT vantage_id, list(minute) AS minutes FROM (
            SELECT vantage_id, minute FROM accounting GROUP BY ALL
            HAVING sum(sequence_units_expected) > sum(sequence_units_received))
        GROUP BY vantage_id
    ), by_way AS (
        SELECT vantage_id, {_TUPLE}, {sums}, sum(bytes * sampling_factor) AS all_bytes,
            sum(packets * sampling_factor) AS all_packets,
            sum(packets * sampling_factor * (sampling_factor - 1)) AS variance,
            max(sampling_factor) AS sampling, min(start_time) AS first_time, max(end_time) AS last_time,
            bit_or(coalesce(tcp_flags, 0)) AS flags, min(received_time) AS first_received,
            max(received_time) AS last_received, any_value(src_endpoint_id) AS src_endpoint_id,
            any_value(dst_endpoint_id) AS dst_endpoint_id
        FROM spanned GROUP BY vantage_id, {_TUPLE}, direction
    ), counted AS (
        SELECT vantage_id, {_TUPLE}, {most}, min(first_time) AS first_time, bit_or(flags) AS flags,
            min(first_received) AS first_received
        FROM by_way GROUP BY vantage_id, {_TUPLE}
    ), watched AS (
        SELECT vantage_id, min(start_time) AS began, max(end_time) AS ended FROM spanned GROUP BY vantage_id
    ), named AS (
        SELECT c.*, began, ended, v.exporter, v.network, v.cluster, coalesce(v.format = 'inet_diag', false) AS without_headers,
            coalesce(src.entity, v.network || '/' || ip_text(src_ip_hi, src_ip_lo)) AS src_entity,
            coalesce(dst.entity, v.network || '/' || ip_text(dst_ip_hi, dst_ip_lo)) AS dst_entity,
            {_place("src_ip_hi", "src_ip_lo", "coalesce(src.network, v.network)")} AS src_place,
            {_place("dst_ip_hi", "dst_ip_lo", "coalesce(dst.network, v.network)")} AS dst_place,
            CASE WHEN src.cluster = v.cluster AND dst.cluster IS DISTINCT FROM v.cluster THEN 0
                WHEN dst.cluster = v.cluster AND src.cluster IS DISTINCT FROM v.cluster THEN 2 ELSE 1 END AS along,
            coalesce(list_bool_or(list_transform(minutes, lambda one: one BETWEEN
                first_received - INTERVAL 2 MINUTE AND last_received + INTERVAL 1 MINUTE)), false) AS lost_datagrams
        FROM counted c JOIN vantages v USING (vantage_id) JOIN watched USING (vantage_id)
        LEFT JOIN losing USING (vantage_id)
        LEFT JOIN v_endpoints src ON src.endpoint_id = src_endpoint_id
        LEFT JOIN v_endpoints dst ON dst.endpoint_id = dst_endpoint_id
    ), seen AS (
        SELECT n.*, coalesce(second.before, first.before, own) AS conversation,
            (along, -coalesce(all_bytes, 0), vantage_id, own) AS place
        FROM (SELECT *, {_name("src", "dst")} AS own FROM named) n
        LEFT JOIN translations first ON first.behind = own
        LEFT JOIN translations second ON second.behind = first.before
    ), told AS (
        SELECT conversation, without_headers, count(*) AS exporters FROM seen GROUP BY ALL
    )"""


class _Read(NamedTuple):
    """What is read: conditions on rows of `schema.FLOWS` and of `schema.LEGS` (alias ``{}``), its ends."""

    flows: str
    legs: str
    ends: tuple[str, ...]


def _compared(read: _Read) -> str:
    """SQL of pairs of exporters of each conversation, judged."""
    began = ", ".join(("a.began", "b.began", *read.ends[:1]))
    ended = ", ".join(("a.ended", "b.ended", *read.ends[1:]))
    other = " OR ".join(f"a.{name} IS DISTINCT FROM b.{name}" for name in _ENDS)
    told = ", ".join(
        f"{end}.{name} AS {at}_{name}"
        for end, at in (("a", "from"), ("b", "to"))
        for name in _OF_EACH
    )
    return f"""WITH {_seen(read.flows, read.legs)}, pairs AS (
        SELECT a.src_entity, coalesce(b.dst_entity, a.dst_entity) AS dst_entity, a.network, a.src_ip_hi, a.src_ip_lo,
            a.src_port, a.dst_ip_hi, a.dst_ip_lo, a.dst_port, a.protocol, {told},
            b.vantage_id IS NOT NULL AS is_pair, is_pair AND ({other}) AS translated,
            least(a.first_time, b.first_time) AS first_time, greatest(a.last_time, b.last_time) AS last_time,
            a.variance + b.variance AS variance, greatest(a.sampling, b.sampling) > 1 AS is_sampled,
            a.lost_datagrams OR b.lost_datagrams AS lost_datagrams,
            a.first_time BETWEEN b.first_time - {_SKEW} AND b.first_time + {_SKEW}
                AND a.last_time BETWEEN b.last_time - {_SKEW} AND b.last_time + {_SKEW}
                AND (is_sampled OR a.flags = 0 OR b.flags = 0 OR a.flags & {_SYN} = b.flags & {_SYN}) AS same_time,
            (a.flags & b.flags & {_SYN} = 0 AND least(a.first_time, b.first_time) < greatest({began}) + {_SKEW})
                OR (a.flags & {_FIN_RST} = 0 OR b.flags & {_FIN_RST} = 0)
                AND greatest(a.last_time, b.last_time) > least({ended}) - {_SKEW} AS goes_on
        FROM seen a JOIN told USING (conversation, without_headers)
        LEFT JOIN seen b ON b.conversation = a.conversation AND b.without_headers = a.without_headers
            AND b.place > a.place
        WHERE exporters = 1 OR b.vantage_id IS NOT NULL
    ), measured AS (
        SELECT *, CASE WHEN is_sampled THEN {_SIGMAS} * sqrt(variance) / nullif(from_all_packets, 0) END AS tolerance,
            to_all_bytes / nullif(from_all_bytes, 0) AS bytes_ratio,
            to_all_packets / nullif(from_all_packets, 0) AS packets_ratio,
            coalesce(from_all_packets - to_all_packets, from_all_bytes - to_all_bytes) AS missing,
            coalesce(from_all_bytes - to_all_bytes, missing) AS missing_bytes
        FROM pairs
    ), judged AS (SELECT *, CASE {_VERDICTS} END AS judged FROM measured)
    SELECT *, split_part(judged, ': ', 1) AS verdict, nullif(split_part(judged, ': ', 2), '') AS reason,
        time_bucket(INTERVAL 1 MINUTE, first_time) AS minute,
        CASE verdict WHEN 'agree' THEN 0 WHEN 'lost_between' THEN 1 WHEN 'sampled' THEN 1 END AS counts,
        counts * (from_all_bytes - to_all_bytes) AS lost_bytes,
        counts * (from_all_packets - to_all_packets) AS lost_packets,
        coalesce(lost_packets / nullif(from_all_packets, 0), lost_bytes / nullif(from_all_bytes, 0)) AS lost_share
    FROM judged"""


_OF_EACH: Final = (
    "exporter",
    "cluster",
    "bytes",
    "packets",
    "all_bytes",
    "all_packets",
    "sampling",
)

_VERDICTS: Final = f"""
    WHEN NOT is_pair THEN 'unknown: nobody else told of it'
    WHEN missing IS NULL THEN 'unknown: one of them counts nothing'
    WHEN NOT is_sampled AND (missing = 0 OR missing_bytes = 0) THEN 'agree'
    WHEN is_sampled AND tolerance IS NULL THEN 'unknown: sampled, and packets are not counted'
    WHEN is_sampled AND tolerance > 1 THEN 'unknown: too few packets for how few are sampled'
    WHEN is_sampled AND abs(1 - packets_ratio) <= tolerance THEN 'sampled'
    WHEN lost_datagrams THEN 'incomplete: datagrams of an exporter were lost'
    WHEN NOT same_time THEN 'incomplete: they tell of different times'
    WHEN goes_on THEN 'incomplete: it goes on before or after what an exporter told'
    WHEN missing * missing_bytes > 0 AND abs(missing_bytes) <= abs(missing) * {_HEADERS}
            AND (missing > 0) = (to_all_bytes / to_all_packets > from_all_bytes / from_all_packets)
        THEN 'unknown: fewer and larger packets, which a network card joined, or only short ones lost'
    WHEN missing_bytes < 0 THEN 'incomplete: who is nearer to the source saw less'
    ELSE 'lost_between'"""
"""Of ``missing`` packets (octets, where one does not count packets), the first that holds: verdict, reason."""

_SIDES: Final = {
    f"{at}_{name}": meaning.format(which)
    for at, which in (
        ("from", "the exporter nearer to the source (of two as near, that which saw more)"),
        ("to", "the other exporter"),
    )
    for name, meaning in (
        ("exporter", "{}"),
        ("cluster", "cluster of {}"),
        ("bytes", "octets that {} counted, as exported"),
        ("packets", "packets that {} counted, as exported"),
        ("sampling", "what {} multiplies by, at most"),
    )
}

_COLUMNS: Final = {
    "minute": "minute of its first packet, as far as is read",
    "network": "network of the first exporter",
    "src_ip": "source address there, text",
    "src_port": "source port there",
    "dst_ip": "destination address there",
    "dst_port": "destination port there",
    "protocol": "IP protocol number",
    "src_entity": "source: `v_endpoints.entity`, else network/address",
    "dst_entity": "destination, as the second exporter saw it",
    **_SIDES,
    "to_exporter": f"{_SIDES['to_exporter']}; null if nobody else told of it",
    "translated": "true if addresses or ports were others where the second exporter is",
    "bytes_ratio": "octets of the second for one of the first, after sampling",
    "packets_ratio": "packets likewise",
    "verdict": "agree; lost_between: some were lost between the two; sampled: equal as far as sampling can tell; incomplete: what is missing was not lost, or need not have been; unknown",
    "reason": "why it is incomplete or unknown; else null",
    "lost_share": "share of packets (of octets, where packets are not counted) that the second did not see, below zero where sampling has it; null if incomplete or unknown",
    "tolerance": "how far off that is by sampling, at most, in 997 of 1,000 cases; null where nothing was sampled",
    "first_time": "first packet",
    "last_time": "last packet",
}

_LINK_COLUMNS: Final = {
    **{
        name: _SIDES[name]
        for name in ("from_exporter", "from_cluster", "to_exporter", "to_cluster")
    },
    "minute": "minute in which the conversations began",
    "conversations": "that both told of: one direction of a 5-tuple each",
    **{
        verdict: f"of them {verdict}"
        for verdict in ("agree", "lost_between", "sampled", "incomplete", "unknown")
    },
    "from_bytes": "octets at the first of those that agree, lost some or are sampled; after sampling",
    "from_packets": "packets likewise",
    "lost_bytes": "of those octets, what the second did not see; below zero where sampling has it",
    "lost_packets": "packets likewise",
    "lost_bytes_share": "share of the octets",
    "lost_packets_share": "share of the packets",
    "tolerance": "how far off that is by sampling, at most, in 997 of 1,000 cases; null where nothing was sampled",
}
"""Sums: those of several minutes add up, the shares are of the sums."""


def _conversations(read: _Read) -> str:
    return f"""SELECT * REPLACE (from_bytes::UBIGINT AS from_bytes, to_bytes::UBIGINT AS to_bytes,
            from_packets::UBIGINT AS from_packets, to_packets::UBIGINT AS to_packets),
        ip_text(src_ip_hi, src_ip_lo) AS src_ip, ip_text(dst_ip_hi, dst_ip_lo) AS dst_ip
    FROM ({_compared(read)})"""


def _links(read: _Read) -> str:
    counts = ", ".join(
        f"count(*) FILTER (verdict = '{name}') AS {name}"
        for name in ("agree", "lost_between", "sampled", "incomplete", "unknown")
    )
    return f"""SELECT *, lost_bytes / nullif(from_bytes, 0) AS lost_bytes_share,
        lost_packets / nullif(from_packets, 0) AS lost_packets_share,
        CASE WHEN variance > 0 THEN {_SIGMAS} * sqrt(variance) / nullif(from_packets, 0) END AS tolerance
    FROM (SELECT from_exporter, from_cluster, to_exporter, to_cluster, minute, count(*) AS conversations, {counts},
            sum(from_all_bytes) FILTER (counts IS NOT NULL) AS from_bytes,
            sum(from_all_packets) FILTER (counts IS NOT NULL) AS from_packets,
            sum(lost_bytes) AS lost_bytes, sum(lost_packets) AS lost_packets,
            sum(variance) FILTER (counts IS NOT NULL) AS variance
        FROM ({_compared(read)}) WHERE is_pair GROUP BY ALL)"""


_ALL: Final = _Read("true", "{}.edge_id IS NOT NULL", ())
_BETWEEN: Final = _Read(
    f"start_time < {UNTIL} AND end_time >= {SINCE}",
    f"{{0}}.window_start >= {SINCE} - INTERVAL 1 HOUR AND {{0}}.window_start < {UNTIL}",
    (SINCE, UNTIL),
)
"""Records that touch the span, whole. Of a connection that goes on, calls may have been before it."""

RECONCILED: Final = View(
    "v_reconciled",
    "Do the exporters that saw a conversation agree on its octets and packets, and if not, where were some lost?",
    _COLUMNS,
    _conversations(_ALL),
)
LINKS: Final = View(
    "v_reconciled_links",
    "What share of what one exporter saw did another not see, by pair of exporters and minute: does the link between them lose?",
    _LINK_COLUMNS,
    _links(_ALL),
)
RECONCILED_BETWEEN: Final = Function(
    "reconciled_between",
    "Did the exporters that saw a conversation in a span agree on its octets and packets?",
    SPAN,
    _COLUMNS,
    _conversations(_BETWEEN),
)
LINKS_BETWEEN: Final = Function(
    "reconciled_links_between",
    "What share of what one exporter saw did another not see in a span, by minute?",
    SPAN,
    _LINK_COLUMNS,
    _links(_BETWEEN),
)
