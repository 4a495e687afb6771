"""
Results of active probes: one JSON object in, one row of ``probes`` out.

    {"target":"reviews","kind":"tls","address":"10.0.0.7:15443","attempt":1,
     "start_ns":1795719600000000000,"outcome":"ok","peer":"10.0.0.7:15443",
     "connect_ms":1.2,"tls_ms":4.9,"total_ms":6.3,"certificate":"MIIB..."}

Certificates recur from try to try: each distinct one is read once. One that
cannot be read keeps its fingerprint, and its other fields are null: whatever a
server shows, the try is a row.

Before: json_lines.py, collectors/probe_attempt.py (which writes them).
After: normalize.py.
"""

import base64
import binascii
import hashlib
from typing import Final

import numpy as np
import polars as pl

from pipeline import schema
from pipeline.decode import Decoded, Payloads, Stateless
from pipeline.decode.addresses import distinct, parse_addresses
from pipeline.decode.json_lines import (
    FAULTS,
    NO_FAULT,
    Fault,
    decoded_lines,
    line_texts,
    observed,
    read_objects,
)
from pipeline.decode.x509 import read_certificate
from pipeline.rejects import Reason
from pipeline.schema.probes import OUTCOME, PROBE_KIND

_DURATIONS: Final = ("resolve_ms", "connect_ms", "tls_ms", "first_byte_ms", "total_ms")
_TEXTS: Final = ("target", "address", "server_name", "error", "tls_version")
_REQUIRED: Final = ("target", "kind", "outcome", "start_ns")
_FAULTS: Final = (
    *FAULTS,
    *(Fault(Reason.REQUIRED_MISSING, name) for name in _REQUIRED),
    Fault(Reason.FIELD_INVALID, "kind, outcome, attempt, status, time or duration"),
    Fault(Reason.FIELD_INVALID, "certificate"),
)
_MISSING: Final = len(FAULTS)
_INVALID, _BAD_CERTIFICATE = len(_FAULTS) - 2, len(_FAULTS) - 1
_MAX_MS: Final = 1e9

_JSON: Final = pl.Schema(
    dict.fromkeys(
        (
            *(*_TEXTS, *_DURATIONS, "kind", "outcome", "attempt"),
            *("start_ns", "peer", "status", "certificate"),
        ),
        pl.String(),
    )
)
_CERTIFICATE: Final = pl.Schema(
    {
        name: dtype
        for name, dtype in schema.DECODED_PROBES.items()
        if name.startswith("certificate_")
    }
)


class Probe(Stateless):
    """The decoder of kind ``probe``; see `pipeline.decode.Decoder`."""

    def decode(self, payloads: Payloads) -> Decoded:
        """Rows, rejects and counts of these results."""
        raw = pl.Series(payloads.payload, dtype=pl.Binary)
        faults = np.full(len(raw), NO_FAULT, np.int8)
        read, line = read_objects(line_texts(raw, faults), faults, (_JSON,))
        rows, invalid = _typed(read)
        certificates, unreadable = _certificates(read["certificate"])
        for fault, wrong in (
            (_BAD_CERTIFICATE, unreadable),
            (_INVALID, invalid),
            *((_MISSING + at, read[name].is_null()) for at, name in enumerate(_REQUIRED)),
        ):
            faults[line[wrong.to_numpy()]] = fault
        kept = faults[line] == NO_FAULT
        at = line[kept]
        rows = (
            pl.concat([rows, certificates], how="horizontal")
            .filter(pl.Series(kept))
            .with_columns(observed(payloads, at))
        )
        frames = {schema.PROBES.name: schema.complete(rows, schema.DECODED_PROBES)}
        return decoded_lines(payloads, "probe", frames, at, (faults, _FAULTS))


def _typed(read: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
    """Columns of n results, and which hold a value that is none of its field."""
    numbers = {
        "attempt": pl.col("attempt").cast(pl.UInt16, strict=False),
        "start_ns": pl.col("start_ns").cast(pl.Int64, strict=False),
        "status": pl.col("status").cast(pl.UInt16, strict=False),
        **{name: pl.col(name).cast(pl.Float64, strict=False) for name in _DURATIONS},
    }
    bounds = {
        "attempt": (1, 65_535),
        "start_ns": (0, 2**63 - 1),
        "status": (100, 999),
        **dict.fromkeys(_DURATIONS, (0.0, _MAX_MS)),
    }
    names = {"kind": PROBE_KIND, "outcome": OUTCOME}
    fits = [
        *(number.is_between(*bounds[name]) for name, number in numbers.items()),
        *(pl.col(name).is_in(list(dtype.categories)) for name, dtype in names.items()),
    ]
    # A value that is no number is null by now, and so is its comparison.
    given = [pl.col(name).is_not_null() for name in (*numbers, *names)]
    invalid = read.select(
        pl.any_horizontal(
            there & ~fit.fill_null(value=False) for there, fit in zip(given, fits, strict=True)
        ).alias("invalid")
    )["invalid"]
    peers = parse_addresses(read["peer"])
    rows = read.select(
        *_TEXTS,
        *(number.alias(name) for name, number in numbers.items()),
        *(pl.col(name).cast(dtype, strict=False) for name, dtype in names.items()),
        peer_ip_hi=peers.ip_hi,
        peer_ip_lo=peers.ip_lo,
        peer_port=peers.port,
    )
    return rows, invalid


def _certificates(text: pl.Series) -> tuple[pl.DataFrame, pl.Series]:
    """Columns of n certificates in base64, and which are not even that."""
    known = distinct(text)
    ders = [_bytes(value) for value in known.values]
    fields = [(None,) * len(_CERTIFICATE) if der is None else _fields(der) for der in ders]
    columns = pl.DataFrame(fields, _CERTIFICATE, orient="row")
    unreadable = pl.Series([der is None for der in ders], dtype=pl.Boolean)
    return (
        columns.select(pl.all().gather(known.codes)),
        known.rows(unreadable).fill_null(value=False),
    )


def _bytes(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _fields(der: bytes) -> tuple[object, ...]:
    """In the order of `_CERTIFICATE`."""
    read = read_certificate(der)
    return (hashlib.sha256(der).hexdigest(), *(read or (None,) * (len(_CERTIFICATE) - 1)))
