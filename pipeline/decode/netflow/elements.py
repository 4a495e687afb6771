"""
Which field becomes which column: the literal table of elements that are used.

NetFlow v9 field types and IPFIX element ids are one number space below 32768.
A field that is not in the table is skipped by its length. A length its element
cannot have (a 5-byte IPv4 address) makes the field be skipped too: a template
is not thrown away for one field nobody could read.

Before: templates.py. After: records.py.
Source: IANA IPFIX Information Elements; RFC 3954 section 8; RFC 5103; nProbe's user
guide, flow information elements.
"""

from typing import Final, NamedTuple

REVERSE_PEN: Final = 29305
"""Private enterprise number that mirrors every element for the reverse direction, RFC 5103."""
NPROBE_PEN: Final = 35632
NPROBE_BASE: Final = 57_472
"""NetFlow v9 has no enterprises: there nProbe's elements are this much higher."""


class Element(NamedTuple):
    """Name of the raw value, and how it is read: uint, ipv4, ipv6, or ntp (32.32 bits)."""

    name: str
    kind: str = "uint"


_UINTS: Final = {
    1: "octet_delta",
    2: "packet_delta",
    4: "protocol",
    5: "tos",
    6: "tcp_flags",
    7: "src_port",
    10: "ingress_interface",
    11: "dst_port",
    14: "egress_interface",
    16: "src_asn",
    17: "dst_asn",
    21: "last_switched",
    22: "first_switched",
    23: "out_octets",
    24: "out_packets",
    32: "icmp_v4",
    34: "sampling_interval",
    48: "sampler_id",
    50: "sampler_interval",
    58: "vlan_id",
    61: "direction",
    85: "octet_total",
    86: "packet_total",
    89: "forwarding_status",
    132: "dropped_octet_delta",
    133: "dropped_packet_delta",
    134: "dropped_octet_total",
    135: "dropped_packet_total",
    136: "end_reason",
    139: "icmp_v6",
    150: "start_s",
    151: "end_s",
    152: "start_ms",
    153: "end_ms",
    158: "start_delta_us",
    159: "end_delta_us",
    160: "system_init_ms",
    176: "icmp_v4_type",
    177: "icmp_v4_code",
    178: "icmp_v6_type",
    179: "icmp_v6_code",
    227: "post_nat_src_port",
    228: "post_nat_dst_port",
    230: "nat_event",
    231: "initiator_octets",
    232: "responder_octets",
    233: "firewall_event",
    239: "biflow_direction",
    243: "dot1q_vlan_id",
    298: "initiator_packets",
    299: "responder_packets",
    302: "selector_id",
    305: "sampling_packet_interval",
    306: "sampling_packet_space",
    309: "sampling_size",
    310: "sampling_population",
    322: "observation_s",
    323: "observation_ms",
    352: "layer2_octets",
}

_NPROBE: Final = {
    109: "retransmitted_packets",
    110: "reverse_retransmitted_packets",
    123: "client_latency_ms",
    124: "server_latency_ms",
    127: "retransmitted_octets",
    128: "reverse_retransmitted_octets",
}

ELEMENTS: Final[dict[tuple[int, int], Element]] = {
    **{(0, number): Element(name) for number, name in _UINTS.items()},
    **{
        (0, number): Element(name, kind)
        for number, name, kind in (
            (8, "src_ipv4", "ipv4"),
            (12, "dst_ipv4", "ipv4"),
            (27, "src_ipv6", "ipv6"),
            (28, "dst_ipv6", "ipv6"),
            (225, "post_nat_src_ipv4", "ipv4"),
            (226, "post_nat_dst_ipv4", "ipv4"),
            (281, "post_nat_src_ipv6", "ipv6"),
            (282, "post_nat_dst_ipv6", "ipv6"),
            (154, "start_ntp_us", "ntp"),
            (155, "end_ntp_us", "ntp"),
            (156, "start_ntp_ns", "ntp"),
            (157, "end_ntp_ns", "ntp"),
            (324, "observation_ntp_us", "ntp"),
            (325, "observation_ntp_ns", "ntp"),
        )
    },
    **{
        (REVERSE_PEN, number): Element("reverse_" + _UINTS[number])
        for number in (1, 2, 6, 85, 86, 132, 133, 134, 135, 136, 150, 151, 152, 153)
    },
    **{(NPROBE_PEN, number): Element(name) for number, name in _NPROBE.items()},
    **{(0, NPROBE_BASE + number): Element(name) for number, name in _NPROBE.items()},
}
"""(enterprise number, element id) to what is made of it. One line here adds one."""

_WIDTHS: Final = {"uint": range(1, 9), "ipv4": (4,), "ipv6": (16,), "ntp": (8,)}


def readable(element: Element, length: int) -> bool:
    """Whether an element can have this length; reduced-size encoding, RFC 7011 section 6.2."""
    return length in _WIDTHS[element.kind]
