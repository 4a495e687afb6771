"""
NetFlow v5: fixed records of 48 bytes, 30 a datagram at most.

    header 24 bytes | record 48 bytes | record | ... big-endian

The sampling word of the header is two bits of mode and fourteen of interval;
an interval of 0 or 1 is no sampling.

Before: sets.py. After: flows.py.
Source: Cisco NetFlow Collector user guide, tables B-3 (header) and B-4 (record).
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.decode.netflow.flows import Values
from pipeline.decode.netflow.sets import HEADER, V5, V5_RECORD, be16

I64 = npt.NDArray[np.int64]

_RECORD: Final = np.dtype(
    {
        "names": [
            "src_ipv4",
            "dst_ipv4",
            "ingress_interface",
            "egress_interface",
            "packet_delta",
            "octet_delta",
            "first_switched",
            "last_switched",
            "src_port",
            "dst_port",
            "tcp_flags",
            "protocol",
            "tos",
            "src_asn",
            "dst_asn",
        ],
        "formats": [
            ">u4",
            ">u4",
            ">u2",
            ">u2",
            ">u4",
            ">u4",
            ">u4",
            ">u4",
            ">u2",
            ">u2",
            "u1",
            "u1",
            "u1",
            ">u2",
            ">u2",
        ],
        "offsets": [0, 4, 12, 14, 16, 20, 24, 28, 32, 34, 37, 38, 39, 40, 42],
        "itemsize": V5_RECORD,
    }
)
_INTERVAL_BITS: Final = 0x3FFF


def read_v5(
    buffer: npt.NDArray[np.uint8], begin: I64, end: I64
) -> tuple[Values, I64, npt.NDArray[np.float64], npt.NDArray[np.uint8]]:
    """Raw values of all records; records, sampling factor and where it is from of each message."""
    count = (end - begin - HEADER[V5]) // V5_RECORD
    first = np.cumsum(count) - count
    within = np.arange(int(count.sum())) - np.repeat(first, count)
    start = np.repeat(begin + HEADER[V5], count) + within * V5_RECORD
    windows = np.ndarray((len(buffer) - V5_RECORD + 1,), f"V{V5_RECORD}", buffer, strides=(1,))
    records = windows[start].view(_RECORD)
    values: Values = {
        name: records[name].astype(records[name].dtype.newbyteorder("="))
        for name in _RECORD.names or ()
    }
    interval = (be16(buffer, begin + 22) & _INTERVAL_BITS).astype(np.float64)
    is_sampled = interval > 1
    return values, count, np.maximum(interval, 1.0), is_sampled.astype(np.uint8)
