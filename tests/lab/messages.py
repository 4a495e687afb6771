"""
Envoy's messages as plain objects: the few that every configuration is made of.

Before: names.py. After: telemetry.py, upstreams.py, envoy.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ipaddress import IPv4Address
    from pathlib import Path

    from .certs import Leaf

Json = dict[str, Any]

TYPE = "type.googleapis.com/envoy."
HTTP_FILTERS = TYPE + "extensions.filters.http."
NETWORK_FILTERS = TYPE + "extensions.filters.network."
LISTENER_FILTERS = TYPE + "extensions.filters.listener."
TRANSPORT_SOCKETS = TYPE + "extensions.transport_sockets.tls.v3."
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def typed(name: str, package: str, message: str, **fields: Any) -> Json:
    """Return an extension's `name` and `typed_config`; v3 of its own package."""
    full = package if ".v3." in package else f"{package}{name}.v3."
    return {
        "name": f"envoy.{name}",
        "typed_config": {"@type": f"{full}{message}", **fields},
    }


def socket_address(address: str, port: int) -> Json:
    """Return an IP address and port."""
    return {"socket_address": {"address": address, "port_value": port}}


def static_cluster(name: str, address: IPv4Address, port: int) -> Json:
    """Return a cluster of one endpoint."""
    return _cluster(name, socket_address(str(address), port))


def pipe_cluster(name: str, path: Path) -> Json:
    """Return a gRPC cluster behind a Unix domain socket; nobody has to listen there."""
    made = _cluster(name, {"pipe": {"path": str(path)}})
    made["typed_extension_protocol_options"] = {
        _HTTP_OPTIONS: {
            "@type": "type.googleapis.com/" + _HTTP_OPTIONS,
            "explicit_http_config": {"http2_protocol_options": {}},
        },
    }
    return made


def http1_options(common: Json) -> Json:
    """Return a cluster's protocol options: HTTP/1.1, with `common` limits."""
    return {
        _HTTP_OPTIONS: {
            "@type": "type.googleapis.com/" + _HTTP_OPTIONS,
            "common_http_protocol_options": common,
            "explicit_http_config": {"http_protocol_options": {}},
        },
    }


def tls_context(leaf: Leaf, peer: str | None) -> Json:
    """Return a side's TLS: its own leaf, the root it trusts, the SPIFFE ID it expects."""
    validation: Json = {"trusted_ca": {"filename": str(leaf.root)}}
    if peer is not None:
        validation["match_typed_subject_alt_names"] = [
            {"san_type": "URI", "matcher": {"exact": peer}},
        ]
    return {
        "tls_params": {
            "tls_minimum_protocol_version": "TLSv1_2",
            "tls_maximum_protocol_version": "TLSv1_3",
        },
        "alpn_protocols": ["http/1.1"],
        "tls_certificates": [
            {
                "certificate_chain": {"filename": str(leaf.chain)},
                "private_key": {"filename": str(leaf.key)},
            },
        ],
        "validation_context": validation,
    }


def _cluster(name: str, address: Json) -> Json:
    endpoint = {"endpoint": {"address": address}}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
