"""
Answers of istiod's debug endpoints: one JSON document in, rows of ``control_plane`` out.

    /debug/syncz            proxies connected, and what each was sent and has taken
    /debug/connections      proxies connected, since when, from where; adsz the same
    /debug/clusterz         clusters it reads endpoints of, and whether they synced
    /debug/endpointShardz   endpoints by service, namespace and registry/cluster

The exporter names the endpoint (``istiod-1/debug/syncz``); where it does not,
the document's shape does. Also read is what istiod answers over xDS as
``istio.io/debug/syncz``, and `istioctl proxy-status` asks: a list of
ClientConfig, or of resources that hold one.

What a proxy was sent and has taken is judged as istiod does itself: an error
is *rejected*, nothing sent *not_sent*, the same sent and taken *synced*,
anything else *stale*. Answers of newer releases have all types of resource,
with times; older ones five types and no times. Each answer gives one row more,
of the control plane itself: an answer that lists nothing is one.

Before: decode/__init__.py. After: outcome.py, normalize.py.
Source: istio/pilot/pkg/xds/debug.go, statusgen.go; pkg/cluster/debug.go.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
import numpy as np
import polars as pl
from msgspec import Meta

from pipeline import schema
from pipeline.decode import Decoded, Payloads, Stateless, Vantage
from pipeline.decode.addresses import parse_addresses
from pipeline.decode.outcome import Refused, counted, rejected
from pipeline.rejects import Reason

_Row = dict[str, Any]
_Time = Annotated[datetime, Meta(tz=True)]

_TYPES: Final = {
    "Cluster": "cds",
    "Listener": "lds",
    "RouteConfiguration": "rds",
    "ScopedRouteConfiguration": "srds",
    "ClusterLoadAssignment": "eds",
    "TypedExtensionConfig": "ecds",
    "Secret": "sds",
    "NameTable": "nds",
    "ProxyConfig": "pcds",
    "Address": "wds",
    "Authorization": "wads",
    "Workload": "wds",
}
"""Last part of a resource's type URL to what istio calls its discovery service."""

_OLD_TYPES: Final = {
    "cds": "cluster",
    "lds": "listener",
    "rds": "route",
    "eds": "endpoint",
    "ecds": "extensionconfig",
}
_STATUSES: Final = {
    "SYNCED": "synced",
    "STALE": "stale",
    "NOT_SENT": "not_sent",
    "ERROR": "rejected",
}
_YEARS: Final = (1900, 2262)
_HEALTHY: Final = (0, 1)
"""Health of an endpoint: 1 healthy, 2 not, 3 draining, 4 ending; 0 not told, and used."""


class _Resource(msgspec.Struct):
    sent: str = ""
    acked: str = ""
    sentTime: _Time | None = None  # noqa: N815 istiod's key
    lastError: str = ""  # noqa: N815


class _Sync(msgspec.Struct):
    """``SyncStatus`` of debug.go."""

    proxy: str
    cluster_id: str | None = None
    proxy_type: str | None = None
    proxy_version: str | None = None
    istio_version: str | None = None
    cluster_sent: str = ""
    cluster_acked: str = ""
    listener_sent: str = ""
    listener_acked: str = ""
    route_sent: str = ""
    route_acked: str = ""
    endpoint_sent: str = ""
    endpoint_acked: str = ""
    extensionconfig_sent: str = ""
    extensionconfig_acked: str = ""
    resources: dict[str, _Resource] | None = None


class _Failure(msgspec.Struct):
    details: str = ""


class _Config(msgspec.Struct, rename="camel"):
    type_url: str = ""
    config_status: str = ""
    last_updated: _Time | None = None
    version_info: str = ""
    error_state: _Failure | None = None


class _Node(msgspec.Struct):
    id: str
    metadata: dict[str, Any] = {}


class _Client(msgspec.Struct, rename="camel"):
    """``envoy.service.status.v3.ClientConfig`` as JSON."""

    node: _Node
    generic_xds_configs: list[_Config] = []


class _Clients(msgspec.Struct):
    resources: list[_Client]


class _Connection(msgspec.Struct, rename="camel"):
    connection_id: str
    connected_at: _Time | None = None
    address: str = ""


class _Connections(msgspec.Struct, rename="camel"):
    total_clients: Annotated[int, Meta(ge=0, le=2**32 - 1)]
    clients: list[_Connection] = []


class _Cluster(msgspec.Struct, rename="camel"):
    id: str
    sync_status: str


class _Endpoint(msgspec.Struct, rename="pascal"):
    health_status: int = 0


class _Shards(msgspec.Struct, rename="pascal"):
    shards: dict[str, list[_Endpoint]]


def _syncz(raw: bytes, received_ns: int) -> Iterator[_Row]:
    try:
        proxies = msgspec.json.decode(raw, type=list[_Sync])
    except msgspec.ValidationError:
        yield from _client_configs(raw, received_ns)
        return
    yield {"subject": "control_plane", "proxies": len(proxies)}
    for one in proxies:
        row = {
            "subject": "proxy",
            "proxy": one.proxy,
            "proxy_cluster": one.cluster_id,
            "proxy_type": one.proxy_type,
            "proxy_version": one.istio_version or one.proxy_version,
            "connected": True,
        }
        resources = one.resources
        if resources is None:
            resources = {
                name: _Resource(getattr(one, f"{key}_sent"), getattr(one, f"{key}_acked"))
                for name, key in _OLD_TYPES.items()
            }
        if not resources:
            yield row
        for url, resource in resources.items():
            sent = resource.sentTime
            yield (
                row
                | _state(_judged(resource), sent, received_ns)
                | {
                    "resource_type": _short(url),
                    "sent_version": resource.sent or None,
                    "acked_version": resource.acked or None,
                    "error": resource.lastError or None,
                }
            )


def _judged(resource: _Resource) -> str:
    if resource.lastError:
        return "rejected"
    if not resource.sent:
        return "not_sent"
    return "synced" if resource.acked == resource.sent else "stale"


def _state(state: str | None, sent: datetime | None, received_ns: int) -> _Row:
    """State, when it was sent, and for how long it waits to be taken."""
    sent = _utc(sent)
    staleness_ms = None
    if state == "synced":
        staleness_ms = 0.0
    elif sent is not None and received_ns and state in ("stale", "rejected"):
        staleness_ms = max(received_ns / 1e6 - sent.timestamp() * 1e3, 0.0)
    return {"state": state, "last_update_time": sent, "staleness_ms": staleness_ms}


def _utc(time: datetime | None) -> datetime | None:
    """Give the time in UTC; null for Go's that was never set, in the year 1."""
    return time.astimezone(UTC) if time is not None and _YEARS[0] < time.year < _YEARS[1] else None


def _short(url: str) -> str:
    return _TYPES.get(url.rpartition(".")[2], url)


def _client_configs(raw: bytes, received_ns: int) -> Iterator[_Row]:
    """Read what `istioctl proxy-status` asks for, as JSON of protobuf."""
    answer = msgspec.json.decode(raw, type=list[_Client] | _Clients)
    clients = answer.resources if isinstance(answer, _Clients) else answer
    yield {"subject": "control_plane", "proxies": len(clients)}
    for one in clients:
        metadata = one.node.metadata
        row = {
            "subject": "proxy",
            "proxy": one.node.id,
            "proxy_cluster": _text(metadata.get("CLUSTER_ID")),
            "proxy_version": _text(metadata.get("ISTIO_VERSION")),
            "connected": True,
        }
        if not one.generic_xds_configs:
            yield row
        for config in one.generic_xds_configs:
            state = _STATUSES.get(config.config_status)
            yield (
                row
                | _state(state, config.last_updated, received_ns)
                | {
                    "resource_type": _short(config.type_url),
                    "sent_version": config.version_info or None,
                    "error": config.error_state.details if config.error_state else None,
                }
            )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _connections(raw: bytes, received_ns: int) -> Iterator[_Row]:
    del received_ns
    answer = msgspec.json.decode(raw, type=_Connections)
    yield {"subject": "control_plane", "proxies": answer.total_clients}
    for one in answer.clients:
        proxy, _, number = one.connection_id.rpartition("-")
        yield {
            "subject": "proxy",
            "proxy": proxy if number.isdigit() and proxy else one.connection_id,
            "connected": True,
            "connected_time": _utc(one.connected_at),
            "peer": one.address or None,
        }


def _clusterz(raw: bytes, received_ns: int) -> Iterator[_Row]:
    del received_ns
    clusters = msgspec.json.decode(raw, type=list[_Cluster])
    yield {"subject": "control_plane"}
    for one in clusters:
        yield {"subject": "cluster", "remote_cluster": one.id, "cluster_state": one.sync_status}


def _endpoint_shardz(raw: bytes, received_ns: int) -> Iterator[_Row]:
    """One row a cluster: services, endpoints, and those that are healthy."""
    del received_ns
    answer = msgspec.json.decode(raw, type=dict[str, dict[str, _Shards]])
    providers: dict[str, set[str]] = {}
    services: dict[str, set[str]] = {}
    known: Counter[str] = Counter()
    healthy: Counter[str] = Counter()
    for service, namespaces in answer.items():
        for one in namespaces.values():
            for shard, endpoints in one.shards.items():
                if not endpoints:
                    continue
                provider, _, cluster = shard.partition("/")
                providers.setdefault(cluster, set()).add(provider)
                services.setdefault(cluster, set()).add(service)
                known[cluster] += len(endpoints)
                healthy[cluster] += sum(end.health_status in _HEALTHY for end in endpoints)
    yield {"subject": "control_plane"}
    for cluster, names in services.items():
        yield {
            "subject": "cluster",
            "remote_cluster": cluster,
            "provider": ", ".join(sorted(providers[cluster])),
            "services": len(names),
            "endpoints": known[cluster],
            "endpoints_healthy": healthy[cluster],
        }


ENDPOINTS: Final[dict[str, Callable[[bytes, int], Iterator[_Row]]]] = {
    "syncz": _syncz,
    "connections": _connections,
    "adsz": _connections,
    "clusterz": _clusterz,
    "endpointshardz": _endpoint_shardz,
}
"""Last part of an endpoint's path, in lower case, to what reads its answer."""


class Istiod(Stateless):
    """The decoder of kind ``istiod``; see `pipeline.decode.Decoder`."""

    def decode(self, payloads: Payloads) -> Decoded:
        """Rows, rejects and counts of these answers."""
        used, codes = np.unique(payloads.source, return_inverse=True)
        vantage = codes.astype(np.int32)
        refused: list[Refused] = []
        records = np.zeros(len(vantage), np.int64)
        rows: list[_Row] = []
        for place, raw in enumerate(payloads.payload.to_pylist()):
            exporter = payloads.sources[payloads.source[place]].exporter
            target, _, _ = exporter.partition("/debug/")
            try:
                read = list(_reader(exporter)(raw, int(payloads.received_ns[place])))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                reason = _reason(raw, error)
                refused.append(Refused(place, reason, str(error), raw, len(raw)))
                continue
            common = {
                "vantage": vantage[place],
                "received_ns": payloads.received_ns[place],
                "control_plane": target,
            }
            rows += [common | row for row in read]
            records[place] = len(read)
        return Decoded(
            vantages=[Vantage(payloads.sources[code], "istiod", 0) for code in used],
            frames={schema.CONTROL_PLANE.name: _frame(rows)},
            rejects=rejected(refused, vantage),
            counts=counted(payloads, vantage, records, refused),
        )


def _reader(exporter: str) -> Callable[[bytes, int], Iterator[_Row]]:
    path, _, _ = exporter.partition("?")
    return ENDPOINTS.get(path.rpartition("/")[2].lower(), _by_shape)


def _by_shape(raw: bytes, received_ns: int) -> Iterator[_Row]:
    """Of an endpoint nobody named, what its answer can be read as, the first that can."""
    readers = (_syncz, _clusterz, _connections, _endpoint_shardz)
    for reader in readers[:-1]:
        try:
            rows = list(reader(raw, received_ns))
        except msgspec.ValidationError:
            continue
        yield from rows
        return
    yield from readers[-1](raw, received_ns)


def _reason(raw: bytes, error: Exception) -> Reason:
    if not raw.strip():
        return Reason.PAYLOAD_EMPTY
    return (
        Reason.FIELD_INVALID
        if isinstance(error, msgspec.ValidationError)
        else Reason.JSON_MALFORMED
    )


def _frame(rows: list[_Row]) -> pl.DataFrame:
    peers = parse_addresses(pl.Series([row.pop("peer", None) for row in rows], dtype=pl.String))
    frame = pl.DataFrame(rows, schema=schema.DECODED_CONTROL_PLANE)
    return frame.with_columns(peer_ip_hi=peers.ip_hi, peer_ip_lo=peers.ip_lo, peer_port=peers.port)
