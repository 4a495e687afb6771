"""
Names of Hubble's numbers: protobuf has the number, JSON the name, rows the name.

A number without a name here stays a number, as text; the names that mean
"not told" are null. Names are Cilium's own.

Before: flows.py. After: flows.py (what it reads its columns with).
Source: cilium api/v1/flow/flow.proto; cilium pkg/monitor/api.
"""

from collections.abc import Sequence
from typing import Final

import polars as pl


def _numbered(*names: str, first: int = 1) -> dict[str, str]:
    return {str(number): name for number, name in enumerate(names, first)}


VERDICTS: Final = _numbered(
    "FORWARDED", "DROPPED", "ERROR", "AUDIT", "REDIRECTED", "TRACED", "TRANSLATED"
)
TYPES: Final = _numbered("L3_L4", "L7", "SOCK")
DIRECTIONS: Final = _numbered("INGRESS", "EGRESS")
L7_TYPES: Final = _numbered("REQUEST", "RESPONSE", "SAMPLE")
POINTS: Final = _numbered(
    "TO_PROXY",
    "TO_HOST",
    "TO_STACK",
    "TO_OVERLAY",
    "FROM_ENDPOINT",
    "FROM_PROXY",
    "FROM_HOST",
    "FROM_STACK",
    "FROM_OVERLAY",
    "FROM_NETWORK",
    "TO_NETWORK",
    "FROM_CRYPTO",
    "TO_CRYPTO",
) | {"101": "TO_ENDPOINT"}
TRACE_REASONS: Final = _numbered(
    "NEW",
    "ESTABLISHED",
    "REPLY",
    "RELATED",
    "REOPENED",
    "SRV6_ENCAP",
    "SRV6_DECAP",
    "ENCRYPT_OVERLAY",
)
DROP_REASONS: Final = _numbered(
    "INVALID_SOURCE_MAC",
    "INVALID_DESTINATION_MAC",
    "INVALID_SOURCE_IP",
    "POLICY_DENIED",
    "INVALID_PACKET_DROPPED",
    "CT_TRUNCATED_OR_INVALID_HEADER",
    "CT_MISSING_TCP_ACK_FLAG",
    "CT_UNKNOWN_L4_PROTOCOL",
    "CT_CANNOT_CREATE_ENTRY_FROM_PACKET",
    "UNSUPPORTED_L3_PROTOCOL",
    "MISSED_TAIL_CALL",
    "ERROR_WRITING_TO_PACKET",
    "UNKNOWN_L4_PROTOCOL",
    "UNKNOWN_ICMPV4_CODE",
    "UNKNOWN_ICMPV4_TYPE",
    "UNKNOWN_ICMPV6_CODE",
    "UNKNOWN_ICMPV6_TYPE",
    "ERROR_RETRIEVING_TUNNEL_KEY",
    "ERROR_RETRIEVING_TUNNEL_OPTIONS",
    "INVALID_GENEVE_OPTION",
    "UNKNOWN_L3_TARGET_ADDRESS",
    "STALE_OR_UNROUTABLE_IP",
    "NO_MATCHING_LOCAL_CONTAINER_FOUND",
    "ERROR_WHILE_CORRECTING_L3_CHECKSUM",
    "ERROR_WHILE_CORRECTING_L4_CHECKSUM",
    "CT_MAP_INSERTION_FAILED",
    "INVALID_IPV6_EXTENSION_HEADER",
    "IP_FRAGMENTATION_NOT_SUPPORTED",
    "SERVICE_BACKEND_NOT_FOUND",
    first=130,
) | _numbered(
    "NO_TUNNEL_OR_ENCAPSULATION_ENDPOINT",
    "FAILED_TO_INSERT_INTO_PROXYMAP",
    "REACHED_EDT_RATE_LIMITING_DROP_HORIZON",
    "UNKNOWN_CONNECTION_TRACKING_STATE",
    "LOCAL_HOST_IS_UNREACHABLE",
    "NO_CONFIGURATION_AVAILABLE_TO_PERFORM_POLICY_DECISION",
    "UNSUPPORTED_L2_PROTOCOL",
    "NO_MAPPING_FOR_NAT_MASQUERADE",
    "UNSUPPORTED_PROTOCOL_FOR_NAT_MASQUERADE",
    "FIB_LOOKUP_FAILED",
    "ENCAPSULATION_TRAFFIC_IS_PROHIBITED",
    "INVALID_IDENTITY",
    "UNKNOWN_SENDER",
    "NAT_NOT_NEEDED",
    "IS_A_CLUSTERIP",
    "FIRST_LOGICAL_DATAGRAM_FRAGMENT_NOT_FOUND",
    "FORBIDDEN_ICMPV6_MESSAGE",
    "DENIED_BY_LB_SRC_RANGE_CHECK",
    "SOCKET_LOOKUP_FAILED",
    "SOCKET_ASSIGN_FAILED",
    "PROXY_REDIRECTION_NOT_SUPPORTED_FOR_PROTOCOL",
    "POLICY_DENY",
    "VLAN_FILTERED",
    "INVALID_VNI",
    "INVALID_TC_BUFFER",
    "NO_SID",
    "MISSING_SRV6_STATE",
    "NAT46",
    "NAT64",
    "AUTH_REQUIRED",
    "CT_NO_MAP_FOUND",
    "SNAT_NO_MAP_FOUND",
    "INVALID_CLUSTER_ID",
    "UNSUPPORTED_PROTOCOL_FOR_DSR_ENCAP",
    "NO_EGRESS_GATEWAY",
    "UNENCRYPTED_TRAFFIC",
    "TTL_EXCEEDED",
    "NO_NODE_ID",
    "DROP_RATE_LIMITED",
    "IGMP_HANDLED",
    "IGMP_SUBSCRIBED",
    "MULTICAST_HANDLED",
    "DROP_HOST_NOT_READY",
    "DROP_EP_NOT_READY",
    "DROP_NO_EGRESS_IP",
    "DROP_PUNT_PROXY",
    first=160,
)
EVENT_TYPES: Final = _numbered(
    "drop", "debug", "capture", "trace", "policy_verdict", "recorded_capture", "trace_sock"
) | {"129": "access_log", "130": "agent"}
POLICY_MATCHES: Final = _numbered(
    "none", "l3_only", "l3_l4", "l4_only", "all", "l3_proto", "proto_only", first=0
)
RCODES: Final = _numbered(
    "NOERROR",
    "FORMERR",
    "SERVFAIL",
    "NXDOMAIN",
    "NOTIMP",
    "REFUSED",
    "YXDOMAIN",
    "YXRRSET",
    "NXRRSET",
    "NOTAUTH",
    "NOTZONE",
    first=0,
)

_NOT_TOLD: Final[Sequence[str]] = (
    "",
    "0",
    "VERDICT_UNKNOWN",
    "DROP_REASON_UNKNOWN",
    "UNKNOWN_POINT",
    "TRACE_REASON_UNKNOWN",
    "TRAFFIC_DIRECTION_UNKNOWN",
    "UNKNOWN_TYPE",
    "UNKNOWN_L7_TYPE",
)


def named(column: str, names: dict[str, str]) -> pl.Expr:
    """Numbers of a text column to names; names stay, what means "not told" is null."""
    text = pl.col(column)
    return pl.when(~text.is_in(list(_NOT_TOLD))).then(text.replace(names))
