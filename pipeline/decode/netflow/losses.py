"""
What records tell of packets that were lost: dropped, sent again, and how long round trips took.

Elements of IANA tell of drops only. Retransmissions and round trips are told by
nProbe, which watches both directions of a TCP connection in one record: what it
calls out is from destination to source, and its two latencies are each half a
round trip, to the client and to the server.

Before: records.py. After: flows.py.
Source: IANA IPFIX Information Elements 89 and 132 to 135, RFC 7270 section 4.12
(forwarding status); nProbe's user guide, flow information elements (109, 110, 123,
124, 127 and 128 of enterprise 35632; 57472 more in NetFlow v9, which has no enterprises).
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.unsignedinteger[Any]]
Values = dict[str, Numbers]
Mask = npt.NDArray[np.bool_]

_UNKNOWN, _DROPPED = 0, 2
"""The upper two bits of a forwarding status; 1 is forwarded, 3 consumed."""
_TCP: Final = 6
_US_OF_HALVES_MS: Final = 2_000
"""Microseconds of a round trip, of milliseconds of half of one."""

_COUNTERS: Final = {
    "dropped_bytes": ("dropped_octet_delta", "dropped_octet_total"),
    "dropped_packets": ("dropped_packet_delta", "dropped_packet_total"),
}
_SENT_AGAIN: Final = {
    "retransmitted_bytes": "retransmitted_octets",
    "retransmitted_packets": "retransmitted_packets",
}
OF_ONE_WAY: Final = frozenset(
    {*sum(_COUNTERS.values(), ()), *_SENT_AGAIN.values(), "forwarding_status"}
)
"""Raw values that say nothing of the reverse direction."""


def losses(
    values: Values, octets: Numbers | None, packets: Numbers | None
) -> dict[str, tuple[Numbers, Mask | None]]:
    """
    Columns of n records that tell of losses: numbers, and which of them are null.

    A record whose forwarding status is known tells of its drops by that alone: all that was
    observed, or none.

    Parameters
    ----------
    octets, packets
        What each record observed; None where it does not say.
    """
    told: dict[str, tuple[Numbers, Mask | None]] = {}
    for name, raws in _COUNTERS.items():
        raw = next((raw for raw in raws if raw in values), None)
        if raw is not None:
            told[name] = values[raw], None
    if "forwarding_status" in values:
        status = (values["forwarding_status"] & 0xFF).astype(np.uint8)
        told["forwarding_status"] = status, None
        outcome = status >> 6
        for name, observed in (("dropped_bytes", octets), ("dropped_packets", packets)):
            if name not in told and observed is not None:
                told[name] = np.where(outcome == _DROPPED, observed, 0), outcome == _UNKNOWN
    is_other = values["protocol"] != _TCP if "protocol" in values else None
    for name, raw in _SENT_AGAIN.items():
        if raw in values:
            told[name] = values[raw], is_other
    if "client_latency_ms" in values and "server_latency_ms" in values:
        halves = values["client_latency_ms"].astype(np.uint64) + values["server_latency_ms"]
        told["rtt_us"] = halves * np.uint64(_US_OF_HALVES_MS), halves == 0
    return told


def both_ways(values: Values) -> Values:
    """The same, with counters of nProbe's that are of the reverse direction named so."""
    if not any(f"reverse_{raw}" in values for raw in _SENT_AGAIN.values()):
        return values
    back = {"out_octets": "reverse_octet_delta", "out_packets": "reverse_packet_delta"}
    return {
        name if back.get(name, name) in values else back[name]: column
        for name, column in values.items()
    }
