"""
What TCP connections did in some seconds, as the kernel counts: a JSON object to two flows.

    {"local":"10.0.0.7:40000","remote":"10.1.0.9:443","start_ns":1795719600000000000,
     "end_ns":1795719610000000000,"bytes_sent":5200,"bytes_received":700,
     "bytes_retransmitted":1400,"segments_sent":9,"segments_received":6,
     "segments_retransmitted":1,"rtt_us":1810,"min_rtt_us":1500}

What was sent is one flow, what was received another, in the other direction; the
second is left out if nothing came. What was sent again is known of the first alone.
Octets are those TCP carried, without headers: of two exporters that saw a
connection, one that counts packets on the wire saw more of it, and is the one
whose octets count (views/wire.py).

Before: json_lines.py, collectors/sockets.py (which writes them). After: normalize.py.
"""

from typing import Final

import numpy as np
import polars as pl

from pipeline import schema
from pipeline.decode import Decoded, Payloads, Stateless
from pipeline.decode.addresses import parse_addresses
from pipeline.decode.json_lines import (
    FAULTS,
    NO_FAULT,
    Fault,
    decoded_lines,
    line_texts,
    observed,
    read_objects,
)
from pipeline.rejects import Reason

FORMAT: Final = "inet_diag"
_TCP: Final = 6
_ACTIVE, _ENDED = 2, 3
"""Flow end reasons: told because it is time to, or because it is over."""
_REVERSE: Final = 128

_ENDS: Final = ("local", "remote")
_REQUIRED: Final = (
    *(*_ENDS, "start_ns", "end_ns", "bytes_sent", "bytes_received", "bytes_retransmitted"),
    *("segments_sent", "segments_received", "segments_retransmitted"),
)
_TIMES_US: Final = ("rtt_us", "min_rtt_us")
_NUMBERS: Final = (*_REQUIRED[len(_ENDS) :], *_TIMES_US)
_FAULTS: Final = (
    *FAULTS,
    *(Fault(Reason.REQUIRED_MISSING, name) for name in _REQUIRED),
    Fault(Reason.FIELD_INVALID, "address, time or count"),
)
_MISSING: Final = len(FAULTS)
_INVALID: Final = len(_FAULTS) - 1
_MOST: Final = dict.fromkeys(_NUMBERS, 2**63 - 1) | dict.fromkeys(_TIMES_US, 2**32 - 1)

_JSON: Final = pl.Schema(dict.fromkeys((*_ENDS, *_NUMBERS, "closed"), pl.String()))


class Sockets(Stateless):
    """The decoder of kind ``sockets``; see `pipeline.decode.Decoder`."""

    def decode(self, payloads: Payloads) -> Decoded:
        """Rows, rejects and counts of these connections."""
        raw = pl.Series(payloads.payload, dtype=pl.Binary)
        faults = np.full(len(raw), NO_FAULT, np.int8)
        read, line = read_objects(line_texts(raw, faults), faults, (_JSON,))
        rows, invalid = _typed(read)
        missing = [(_MISSING + at, read[name].is_null()) for at, name in enumerate(_REQUIRED)]
        for fault, wrong in ((_INVALID, invalid), *missing):
            faults[line[wrong.to_numpy()]] = fault
        kept = faults[line] == NO_FAULT
        at = line[kept]
        rows = rows.filter(pl.Series(kept)).with_columns(observed(payloads, at))
        frames = {schema.FLOWS.name: _flows(rows)}
        return decoded_lines(payloads, FORMAT, frames, at, (faults, _FAULTS))


def _typed(read: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
    """Columns of n connections, and which hold a value that is none of its field."""
    ends = {end: parse_addresses(read[end]) for end in _ENDS}
    numbers = {name: pl.col(name).cast(pl.Int64, strict=False) for name in _NUMBERS}
    # A value that is no number is null by now, and so is its comparison.
    wrong = [
        pl.col(name).is_not_null() & ~number.is_between(0, _MOST[name]).fill_null(value=False)
        for name, number in numbers.items()
    ]
    lost = [pl.col(end).is_not_null() & ends[end].ip_lo.is_null() for end in _ENDS]
    invalid = read.select(pl.any_horizontal(*wrong, *lost).alias("invalid"))["invalid"]
    rows = read.select(
        *(number.alias(name) for name, number in numbers.items()),
        *(
            column.alias(f"{end}_{name}")
            for end, found in ends.items()
            for name, column in found._asdict().items()
        ),
        is_over=pl.col("closed") == "true",
    )
    return rows, invalid


def _flows(rows: pl.DataFrame) -> pl.DataFrame:
    """What was sent by each connection, and behind those what was received, if anything was."""
    common = {
        "protocol": pl.lit(_TCP),
        "end_reason": pl.when("is_over").then(_ENDED).otherwise(_ACTIVE),
        "sampling_factor": pl.lit(1.0),
        "sampling_source": pl.lit(0),
    }
    sent = _one_way(rows, "local", "remote").with_columns(
        bytes="bytes_sent",
        packets="segments_sent",
        retransmitted_bytes="bytes_retransmitted",
        retransmitted_packets="segments_retransmitted",
        biflow_direction=pl.lit(0),
        **common,
    )
    received = (
        _one_way(rows, "remote", "local")
        .filter((pl.col("bytes_received") > 0) | (pl.col("segments_received") > 0))
        .with_columns(
            bytes="bytes_received",
            packets="segments_received",
            biflow_direction=pl.lit(_REVERSE),
            **common,
        )
    )
    return pl.concat(schema.complete(one, schema.DECODED_FLOWS) for one in (sent, received))


def _one_way(rows: pl.DataFrame, source: str, destination: str) -> pl.DataFrame:
    return rows.rename(
        {
            f"{end}_{name}": f"{side}_{name}"
            for end, side in ((source, "src"), (destination, "dst"))
            for name in ("ip_hi", "ip_lo", "port")
        }
    )
