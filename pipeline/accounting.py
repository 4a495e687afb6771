"""
How much was received, decoded, rejected and lost: the completeness of all else.

Counts are additive: a row is a part, and parts of one vantage and minute are
summed by the reader. Every payload received is in exactly one of
``decoded_payloads`` (all of it understood), ``partial_payloads`` (some part
rejected or still waiting for its template) and ``rejected_payloads`` (nothing
of it used).

Before: decode/. After: lake.py (table ``accounting``).
"""

from typing import Final

import polars as pl

COUNTERS: Final = {
    "received_payloads": "datagrams or lines the log held",
    "received_bytes": "their bytes",
    "decoded_payloads": "payloads of which all was understood",
    "partial_payloads": "payloads of which a part was rejected or waits for its template",
    "rejected_payloads": "payloads of which nothing was used",
    "decoded_records": "data records that became rows",
    "option_records": "options records, used for sampling and clocks",
    "template_records": "template definitions and withdrawals",
    "ignored_records": "records understood that are no traffic (for instance counters of the exporter)",
    "waiting_sets": "sets put aside until their template comes; negative when they leave",
    "rejected_sets": "sets rejected, or records of a set that was cut",
    "sequence_units_expected": "units (v5 flows, v9 datagrams, IPFIX data records, Hubble events) that were sent, by the exporter's sequence numbers, or its word of what it lost",
    "sequence_units_received": "units that arrived",
    "sequence_resets": "times an exporter started to count anew",
    "out_of_order_payloads": "datagrams older than one already seen",
}

FRAME: Final = pl.Schema(
    {
        "vantage": pl.Int32(),
        "minute_ns": pl.Int64(),  # start of the minute of receipt, UTC nanoseconds
        **{name: pl.Int64() for name in COUNTERS},
    }
)
