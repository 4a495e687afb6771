"""
The script's truth, through agents, log and job to the lake, by both channels at once.

Every proxy streams to its cluster's agent over a Unix domain socket, and
writes the same requests to a file which that agent follows: so each request
has a row by each channel, and the rows can be held against each other.
"""

from __future__ import annotations

import time
from collections import Counter
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl
import pytest

from pipeline.lake import connect
from pipeline.stitch import stitch

from . import admin, agents, exporters, mesh, traffic
from .names import GATEWAY_PORT
from .observing import ask, crosspane_up, is_made, take_flows, wait_until
from .places import LAB
from .telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.root

ALS, FILES, OTLP = "envoy_als", "envoy_json", "envoy_otlp"
REQUESTS = """
SELECT requests.*, vantages.format, vantages.exporter, vantages.cluster AS observer
FROM requests JOIN vantages USING (vantage_id)
"""
EDGES = "SELECT client_entity, server_entity, sum(requests)::BIGINT AS n FROM v_edges GROUP BY ALL"
SIDES = " UNION ALL ".join(
    f"""SELECT '{view}.{side}' AS side, network, {side}_ip AS ip,
        {side}_resolution AS resolution, count(*) AS rows FROM {view} GROUP BY ALL"""
    for view, sides in {
        "v_flows": ("src", "dst", "post_nat_src", "post_nat_dst"),
        "v_requests": ("src", "dst"),
    }.items()
    for side in sides
)
"""Who each address of each fact is said to be, as far as there is one."""
RECONCILED = """SELECT from_cluster, to_cluster, translated, verdict, count(*)::INTEGER AS conversations
    FROM v_reconciled WHERE to_exporter IS NOT NULL GROUP BY ALL ORDER BY ALL"""
STITCHED_OF = (
    "SELECT r.*, v.network, v.cluster FROM requests r JOIN vantages v USING (vantage_id)",
    "FROM gateways",
    "SELECT f.*, v.network FROM flows f JOIN vantages v USING (vantage_id)",
    "SELECT endpoint_id, kind, cluster, identity FROM endpoints",
)
"""What `stitch` joins, of all time."""
KEY = ["reporter", "stream_id", "start_time"]
"""What a request is to one proxy: attempts of one request have its id in common."""
OWN = {"received_time", "vantage_id", "exporter", "format", "proxy"}
"""What a row says of its channel."""
READ_ALIKE: dict[str, Callable[[pl.Expr], pl.Expr]] = {
    "duration_ms": pl.Expr.floor,
    "request_ms": pl.Expr.floor,
    "ttfb_ms": pl.Expr.floor,
    "upstream_failure": lambda text: text.str.replace_all(" ", "_"),
}
"""What a file has less of: whole milliseconds, cut off; and no blanks in this text."""
ONLY_STREAMS_TELL = {
    "proxy_model",
    *("reported_src_cluster", "reported_src_namespace", "reported_src_workload"),
    *("reported_dst_cluster", "reported_dst_namespace", "reported_dst_workload"),
}
"""A stream says whose it is; a file does not."""
ONLY_FILES_TELL = {"upstream_cluster"}
"""Of requests that were denied. Besides, a stream leaves out what is 0."""
LINKS = {
    ("cluster-west/jobs/exports", "cluster-east/shop/cart"): 4,
    ("cluster-west/jobs/exports", "cluster-west/shop/reviews"): 3,
    ("cluster-west/jobs/reports", "cluster-onprem/shop/ledger"): 3,
    ("cluster-east/shop/frontend", "cluster-west/jobs/reports"): 6,
    ("cluster-east/shop/frontend", "cluster-onprem/shop/ledger"): 6,
    ("cluster-west/shop/reviews", "cluster-west/jobs/reports"): 4 + 1,
    ("cluster-onprem/shop/billing", "cluster-onprem/shop/ledger"): 4,
    ("cluster-edge/shop/telemetry", "cluster-onprem/shop/ledger"): 1,
    ("cluster-onprem/shop/ledger", "cluster-onprem/shop/billing"): 4,
    ("cluster-onprem/shop/ledger", "cluster-west/shop/ratings"): 3,
    ("cluster-onprem/shop/billing", "cluster-east/shop/cart"): 7,
    ("cluster-west/shop/reviews", "cluster-east/shop/cart"): 12,
    ("cluster-west/shop/reviews", "cluster-west/shop/ratings"): 24 + 3,
    ("cluster-edge/shop/telemetry", "cluster-onprem/shop/billing"): 15 + 2,
    ("cluster-edge/shop/telemetry", "cluster-onprem/shop/inventory"): 21,
    ("cluster-east/shop/frontend", "cluster-onprem/shop/inventory"): 21,
    ("cluster-east/shop/frontend", "cluster-east/shop/cart"): 33 + 12 + 2 + 1,
    ("cluster-east/shop/frontend", "cluster-west/shop/reviews"): 33 + 4 + 6 + 1,
    ("cluster-east/shop/frontend", "cluster-west/shop/recommendations"): 3,
}
"""Calls by hand: a tenth of each line of the script, rounded down, at least one."""


class Observed(NamedTuple):
    """What a run left behind."""

    lake: Path
    rows: pl.DataFrame
    edges: dict[tuple[str, str], int]
    sides: pl.DataFrame
    rejects: list[Any]
    reconciled: list[Any]
    truth: list[traffic.Truth]
    connections: dict[str, int]


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Observed:
    """Run the script under agents of all clusters, until both channels and flows are in the lake."""
    directory = tmp_path_factory.mktemp("ch")
    streams = agents.sockets(LAB, directory)
    with crosspane_up(LAB, directory, "both") as lake:
        otlp = {agents.OTLP_PROXY: agents.otlp_socket(directory)}
        with mesh.up(directory, LAB, Telemetry(als=streams, otlp=otlp)) as lab:
            sinks = exporters.start(lab)
            script = traffic.scaled(traffic.LAB_SCRIPT, 10)
            truth = traffic.run(LAB, script, seconds=2.0)
            time.sleep(1.0)  # streams are flushed every 0.5 s
            lab.stop(*lab.sidecars())
            connections = {proxy: _closed(lab, proxy) for _, proxy in _gateways(lab)}
            time.sleep(1.0)
            lab.stop(*lab.gateways())
            exporters.stop(lab)
            for sink in sinks:
                sink.close()
        expected = traffic.seen_by_proxies(LAB, traffic.LAB_SCRIPT, truth).total()
        expected += sum(connections.values())
        wait_until(lambda: _count(lake) >= 2 * expected, "rows")
    take_flows(lab, "both")
    with connect(lake) as reader:
        return Observed(
            lake=lake,
            rows=_with_proxy(reader.execute(REQUESTS).pl()),
            edges={(src, dst): n for src, dst, n in reader.execute(EDGES).fetchall()},
            sides=reader.execute(SIDES).pl(),
            rejects=reader.execute("SELECT reason, detail FROM v_rejects").fetchall(),
            reconciled=reader.execute(RECONCILED).fetchall(),
            truth=truth,
            connections=connections,
        )


def test_nothing_is_refused(observed: Observed) -> None:
    """What real proxies send and write is understood, all of it."""
    assert observed.rejects == []


@pytest.mark.parametrize("channel", [ALS, FILES])
def test_rows_are_the_scripts_truth(observed: Observed, channel: str) -> None:
    """By reporter, cluster, proxy, service, request and status: not one more, not one less."""
    told = _traffic(observed.rows).filter(
        (pl.col("format") == channel) & (pl.col("reporter") != "gateway")
    )
    columns = ("reporter", "observer", "proxy", "service", "method", "path", "status")
    # A server is told by SNI, so both sides name the service.
    rows = Counter(traffic.Seen(*row) for row in told.select(columns).iter_rows())
    assert rows == traffic.seen_by_proxies(LAB, traffic.LAB_SCRIPT, observed.truth)
    assert [row.status for row in observed.truth] == [call.status for call in traffic.LAB_SCRIPT]


@pytest.mark.parametrize("channel", [ALS, FILES])
def test_gateways_have_a_row_for_each_connection(observed: Observed, channel: str) -> None:
    """As many as each gateway counted itself, health checks' included."""
    told = observed.rows.filter(format=channel, reporter="gateway")
    assert dict(told["proxy"].value_counts().iter_rows()) == observed.connections


@pytest.mark.parametrize("channel", [ALS, FILES])
def test_health_checks_are_marked(observed: Observed, channel: str) -> None:
    """They are no traffic, and no call of the topology."""
    told = observed.rows.filter(pl.col("format") == channel, pl.col("reporter") != "gateway")
    checks = told.filter("is_health_check")
    assert checks.height > 20
    assert checks["path"].unique().to_list() == ["/healthz"]
    assert checks["reporter"].unique().to_list() == ["destination"]
    assert told.filter(pl.col("path") == "/healthz").height == checks.height


def test_both_channels_tell_the_same(observed: Observed) -> None:
    """Record for record and column for column, but for what only one of them has."""
    rows = _traffic(observed.rows).with_columns(
        (read(pl.col(name)).alias(name) for name, read in READ_ALIKE.items())
    )
    stream, file = rows.filter(format=ALS), rows.filter(format=FILES)
    assert stream.height == file.height
    assert stream.select(KEY).is_duplicated().sum() == 0
    pairs = stream.join(file, on=KEY, how="inner", suffix="_file", validate="1:1")
    assert pairs.height == stream.height
    more = {"stream": set(), "file": set()}
    for name in set(rows.columns) - {*KEY, *OWN}:
        one, other = pairs[name], pairs[f"{name}_file"]
        if other.dtype.is_numeric():
            other = other.set(one.is_null() & (other == 0), None)
        both = one.is_not_null() & other.is_not_null()
        assert one.filter(both).to_list() == other.filter(both).to_list(), name
        if (one.is_not_null() & other.is_null()).any():
            more["stream"].add(name)
        if (one.is_null() & other.is_not_null()).any():
            more["file"].add(name)
    assert more == {"stream": ONLY_STREAMS_TELL, "file": ONLY_FILES_TELL}


def test_opentelemetry_tells_the_same_of_one_proxy(observed: Observed) -> None:
    """The third channel: what the proxy sends as attributes is what it writes to its file."""
    sent = _traffic(observed.rows).filter(format=OTLP)
    written = _traffic(observed.rows).filter(format=FILES, proxy=agents.OTLP_PROXY)
    assert sent.height == written.height > 0
    pairs = sent.join(written, on=KEY, how="inner", suffix="_file", validate="1:1")
    assert pairs.height == sent.height
    differing = {
        name
        for name in set(sent.columns) - {*KEY, *OWN}
        if pairs[name].to_list() != pairs[f"{name}_file"].to_list()
    }
    assert differing <= {"proxy_model"}


def test_what_is_private_stays_where_it_was(observed: Observed) -> None:
    """A query string that was sent and logged is in no row, by either channel."""
    paths = observed.rows.filter(pl.col("path").str.starts_with("/ledger"))["path"]
    assert len(paths) > 0
    assert set(paths) == {"/ledger"}


def test_models_are_told_or_declared(observed: Observed) -> None:
    """Streams tell sidecars and gateways by node id; a host's proxy is declared."""
    stream = observed.rows.filter(format=ALS)
    models = dict(stream.select("proxy", "proxy_model").unique().iter_rows())
    assert models.pop("nodeproxy-west-node-3") == "host"
    assert {proxy for proxy, model in models.items() if model == "gateway"} == {
        *("east-eastwest", "west-eastwest", "flat-eastwest"),
    }
    assert set(models.values()) == {"gateway", "sidecar"}
    file = observed.rows.filter(format=FILES)
    assert set(file["proxy_model"]) == {None, "host"}


def test_grpc_retries_and_denials_are_columns(observed: Observed) -> None:
    """The status of gRPC calls, attempts as the client counts them, the policy that denied."""
    for channel in (ALS, FILES):
        rows = _traffic(observed.rows).filter(format=channel)
        grpc = rows.filter(pl.col("path").str.starts_with("/shop.Reviews/"))
        assert set(grpc.select("path", "grpc_status").iter_rows()) == {
            ("/shop.Reviews/Get", 0),
            ("/shop.Reviews/Find", 5),
        }
        asked = rows.filter(reporter="source", proxy="frontend-0")
        tried = dict(asked.select("path", "attempts").unique().iter_rows())
        assert (tried["/cart/flaky"], tried["/for-you"], tried["/cart"]) == (2, 3, 1)
        denied = rows.filter(authz="denied")
        assert set(denied["status"]) == {403}
        assert set(denied["policy"]) == {
            "ns[shop]-policy[billing-read-only]-rule[0]",
            "ns[shop]-policy[ledger-read-only]-rule[0]",
            "ns[jobs]-policy[reports-read-only]-rule[0]",
        }


def test_identities_are_both_sides_certificates(observed: Observed) -> None:
    """A pod behind a host's proxy has its own, at its servers and at its clients."""
    for channel in (ALS, FILES):
        rows = _traffic(observed.rows).filter(format=channel)
        served = rows.filter(reporter="destination", proxy="ledger", method="GET")
        assert set(served["downstream_peer_identity"]) == {
            "spiffe://cluster.local/ns/shop/sa/frontend",
            "spiffe://cluster.local/ns/shop/sa/billing",
            "spiffe://cluster.local/ns/jobs/sa/reports",
        }
        called = rows.filter(reporter="source", service="reports.jobs.svc.cluster.local")
        assert set(called["upstream_peer_identity"]) == {
            "spiffe://cluster.local/ns/jobs/sa/reports"
        }
        assert set(called["upstream_tls"]) == {"TLSv1.3"}


def test_only_what_was_planted_is_unknown_or_ambiguous(observed: Observed) -> None:
    """Of every other address of every request and flow it is known who has it."""
    known = observed.sides.filter(resolution="resolved")
    sides = ("v_flows.src", "v_flows.dst", "v_requests.src", "v_requests.dst")
    networks = ("net-east", "net-west", "net-flat")
    assert set(known.select("side", "network").rows()) == set(product(sides, networks))
    others = observed.sides.filter(pl.col("resolution").ne_missing("resolved"))
    assert sorted(others.filter(pl.col("ip").is_not_null()).rows()) == [
        # Called twice past the mesh: a flow there and a flow back.
        ("v_flows.dst", "net-east", "198.51.100.77", "unknown", 2),
        # Called three times, and both clusters of the flat network saw it.
        ("v_flows.dst", "net-flat", "10.20.0.50", "ambiguous", 6),
        ("v_flows.src", "net-east", "198.51.100.77", "unknown", 2),
        ("v_flows.src", "net-flat", "10.20.0.50", "ambiguous", 6),
    ]
    # softflowd tells no translated address; nothing else is without one.
    nowhere = others.filter(pl.col("ip").is_null())
    assert set(nowhere.select("side", "resolution").rows()) == {
        ("v_flows.post_nat_src", None),
        ("v_flows.post_nat_dst", None),
    }


def test_each_call_is_one_edge_of_the_topology(observed: Observed) -> None:
    """Two channels, two sides, retries and gateways: a call counts once, pod to pod."""
    assert observed.edges == LINKS


def test_each_call_is_stitched_from_end_to_end(observed: Observed) -> None:
    """By id: client, gateway where the networks differ, and server; what is left over is probes."""
    with connect(observed.lake) as reader:
        rows = reader.execute("""SELECT client_workload, service, method, path, status, path_model, hops
            FROM v_stitched WHERE match_method = 'request_id'""").fetchall()
        rest = reader.execute("""SELECT DISTINCT path_model, hops, method FROM v_stitched
            WHERE match_method <> 'request_id'""").fetchall()
    expected: Counter[Any] = Counter()
    for row in observed.truth:
        if row.direct is None:
            client, _ = LAB.home_of(row.client)
            server, pod = LAB.home_of(row.service)
            path = ("flat", 2) if client.network is server.network else ("gateway", 3)
            if client is server:
                path = ("local", 2)
            what = (row.method, row.path.partition("?")[0], row.status, *path)
            expected[row.client, pod.host_name, *what] += row.count
    assert Counter(rows) == expected
    # Connections of the clients' health checks, which only a gateway tells of.
    assert rest == [("gateway", 1, None)]


def test_without_ids_connections_tell_who_it_was(observed: Observed) -> None:
    """The same ends of every call, from addresses and ports behind two NATs and overlapping networks."""
    with connect(observed.lake) as reader:
        requests, *others = (reader.execute(query).pl() for query in STITCHED_OF)
    ends = ["start_time", "client_endpoint_id", "server_endpoint_id", "path", "path_model", "hops"]
    by_id, without = (
        stitch(frame, *others).edges.filter(pl.col("client_ms") + pl.col("server_ms") >= 0)
        for frame in (requests, requests.with_columns(request_id=pl.lit(None, pl.String)))
    )
    calls = sum(row.count for row in observed.truth if row.direct is None)
    assert (by_id.height, without.height) == (calls, calls)
    assert without.sort(ends).select(ends).equals(by_id.sort(ends).select(ends))
    assert set(without["match_method"]) == {"connection", "nat_port"}


def test_exporters_at_both_ends_counted_the_same(observed: Observed) -> None:
    """
    Of every connection of a call through a gateway, behind two NATs: to the packet and the octet.

    Of calls that were sent again nobody knows which attempt's connection the gateway tells of,
    and no exporter watches the cable of the machine outside Kubernetes.
    Pod to pod there are health checks' as well, which had begun before one exporter or both.
    """
    through = {"reporter": "source", "upstream_remote_port": GATEWAY_PORT, "attempts": 1}
    sent = observed.rows.filter(pl.col("proxy") != "ledger", format=ALS, **through)
    connections = sent.select("observer", "upstream_local_ip_lo", "upstream_local_port").n_unique()
    translated = [row for row in observed.reconciled if row[2]]
    pairs = {row[:2] for row in translated}
    assert {(there, here) for here, there in pairs} == pairs
    assert {row[3] for row in translated} == {"agree"}
    assert sum(row[-1] for row in translated) == 2 * connections
    flat = {row[:2]: row[-1] for row in observed.reconciled if row[2:4] == (False, "agree")}
    assert flat.keys() == {
        ("cluster-edge", "cluster-onprem"),
        ("cluster-onprem", "cluster-edge"),
    }
    # Calls with a connection of their own: 17 to billing, 3 to batch.
    assert min(flat.values()) >= 17 + 3
    assert {row[3] for row in observed.reconciled} <= {"agree", "incomplete"}


def _count(lake: Path) -> int:
    """Rows that are no health checks, of both channels."""
    query = """SELECT count(*) FROM requests JOIN vantages USING (vantage_id)
        WHERE is_health_check IS NOT TRUE AND list_contains(?, format)"""
    return int(ask(lake, query, [ALS, FILES])[0][0]) if is_made(lake) else 0


def _gateways(lab: mesh.Mesh) -> list[tuple[Any, str]]:
    return [place for name, place in lab.proxies().items() if name.startswith("gateway-")]


def _closed(lab: mesh.Mesh, proxy: str) -> int:
    """Wait until a gateway has no connection any more; return how many it had."""
    cluster = next(cluster for cluster, name in _gateways(lab) if name == proxy)
    prefix = "listener.0.0.0.0_15443.downstream_cx_"
    counts: dict[str, str] = {}

    def idle() -> bool:
        answer = admin.ask(lab.admin(cluster, proxy), f"/stats?filter=^{prefix}(total|active)$")
        counts.update(line.split(": ") for line in answer.splitlines())
        return counts[prefix + "active"] == "0"

    wait_until(idle, proxy)
    return int(counts[prefix + "total"])


def _with_proxy(rows: pl.DataFrame) -> pl.DataFrame:
    """Add the proxy's name, from its node id or its file."""
    exporter = pl.col("exporter")
    by_node = exporter.str.extract(r"^[a-z]+~[0-9.]+~([^.]+)\.")
    by_file = exporter.str.extract(r"([^/]+)\.access\.jsonl$")
    return rows.with_columns(proxy=pl.coalesce(by_node, by_file))


def _traffic(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("is_health_check").ne_missing(other=True))
