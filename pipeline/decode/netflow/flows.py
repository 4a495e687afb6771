"""
Raw values of records to flow rows.

Before: losses.py. After: __init__.py puts the parts together; normalize.py.
Source: RFC 3954 section 8, RFC 7012, RFC 5103 (biflows).
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from pipeline import schema
from pipeline.decode.netflow import losses

I64 = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.unsignedinteger[Any]]
F64 = npt.NDArray[np.float64]
Values = dict[str, Numbers]
Mask = npt.NDArray[np.bool_]

_V4: Final = np.uint64(0xFFFF << 32)
_NTP_EPOCH_S: Final = 2_208_988_800
_MAX_S: Final = 9_000_000_000  # beyond it, nanoseconds do not fit 64 bits
_REVERSE: Final = 128
_ICMP, _ICMP6 = 1, 58

NO_TIME: Final = np.iinfo(np.int64).min


class Context(NamedTuple):
    """
    What the message of each record says, n long.

    Attributes
    ----------
    vantage, received_ns
        Whose record, and when it came.
    export_ns, boot_ns
        The message's time, and the exporter's start; `NO_TIME` where not told.
    factor, factor_source
        Sampling by options: 1 and 0 where not told.
    """

    vantage: npt.NDArray[np.int32]
    received_ns: I64
    export_ns: I64
    boot_ns: I64
    factor: F64
    factor_source: npt.NDArray[np.uint8]

    def take(self, rows: npt.NDArray[np.bool_]) -> "Context":
        """Only these rows."""
        return Context(
            self.vantage[rows],
            self.received_ns[rows],
            self.export_ns[rows],
            self.boot_ns[rows],
            self.factor[rows],
            self.factor_source[rows],
        )


_BACK: Final = ("reverse_octet_delta", "reverse_octet_total", "responder_octets")
_BACK_PACKETS: Final = ("reverse_packet_delta", "reverse_packet_total", "responder_packets")


def to_rows(values: Values, context: Context) -> list[pl.DataFrame]:
    """
    Frames of `schema.DECODED_FLOWS`, of records that name an end of a flow.

    A record with values for the reverse direction gives a second row with the
    ends exchanged (RFC 5103; or initiator and responder counters; or nProbe's).
    """
    values = losses.both_ways(values)
    forward = _rows(values, context)
    octets, packets = _first(values, *_BACK), _first(values, *_BACK_PACKETS)
    if octets is None and packets is None:
        return [forward]
    answered = np.zeros(len(context.vantage), np.bool_)
    for column in (octets, packets):
        if column is not None:
            answered |= column > 0
    reverse = _rows(
        _reversed({name: column[answered] for name, column in values.items()}),
        context.take(answered),
    )
    direction = pl.coalesce(pl.col("biflow_direction"), pl.lit(0, pl.UInt8))
    return [
        forward.with_columns(direction.alias("biflow_direction")),
        reverse.with_columns((direction | _REVERSE).alias("biflow_direction")),
    ]


_SWAPPED: Final = (("src_", "dst_"), ("ingress_", "egress_"), ("post_nat_src_", "post_nat_dst_"))
_OF_ONE_WAY: Final = (
    frozenset(
        {
            "octet_delta",
            "packet_delta",
            "octet_total",
            "packet_total",
            "initiator_octets",
            "initiator_packets",
            "out_octets",
            "out_packets",
            "layer2_octets",
            "tcp_flags",
            "end_reason",
            "icmp_v4",
            "icmp_v6",
            "icmp_v4_type",
            "icmp_v4_code",
            "icmp_v6_type",
            "icmp_v6_code",
        }
    )
    | losses.OF_ONE_WAY
)
"""What is told of the forward direction says nothing about the reverse."""
_RESPONDER: Final = {"responder_octets": "octet_delta", "responder_packets": "packet_delta"}


def _reversed(values: Values) -> Values:
    """The same records as the other side would have exported them."""
    swapped: Values = {
        _RESPONDER.get(name) or _exchanged(name): column
        for name, column in values.items()
        if name not in _OF_ONE_WAY and not name.startswith("reverse_")
    }
    swapped |= {
        name.removeprefix("reverse_"): column
        for name, column in values.items()
        if name.startswith("reverse_")
    }
    return swapped


def _exchanged(name: str) -> str:
    for one, other in _SWAPPED:
        if name.startswith(one):
            return other + name.removeprefix(one)
        if name.startswith(other):
            return one + name.removeprefix(other)
    return name


def _rows(values: Values, context: Context) -> pl.DataFrame:
    count = len(context.vantage)
    columns: dict[str, pl.Series | None] = {
        "vantage": pl.Series(context.vantage),
        "received_ns": pl.Series(context.received_ns),
        "start_ns": _time(_first_time(values, context, "start", "first_switched")),
        "end_ns": _time(_first_time(values, context, "end", "last_switched")),
    }
    for side in ("src", "dst", "post_nat_src", "post_nat_dst"):
        columns |= _address(side, values, count)
    is_icmp = _is_icmp(values.get("protocol"))
    for name in ("src_port", "dst_port"):
        columns[name] = _number(name, values.get(name), null=is_icmp)
    columns["icmp_type_code"] = _icmp(values, is_icmp)
    for name in (
        "protocol",
        "tcp_flags",
        "tos",
        "direction",
        "ingress_interface",
        "egress_interface",
        "post_nat_src_port",
        "post_nat_dst_port",
        "end_reason",
    ):
        columns[name] = _number(name, values.get(name))
    told = values.get("biflow_direction")
    columns["biflow_direction"] = _number(
        "biflow_direction", told, null=None if told is None else told >= _REVERSE
    )
    for name in ("src_asn", "dst_asn"):
        number = values.get(name)
        columns[name] = _number(name, number, null=None if number is None else number == 0)
    columns["vlan_id"] = _number("vlan_id", _first(values, "vlan_id", "dot1q_vlan_id"))
    columns["event"] = _number("event", _first(values, "firewall_event", "nat_event"))
    octets = _first(
        values, "octet_delta", "octet_total", "initiator_octets", "out_octets", "layer2_octets"
    )
    packets = _first(values, "packet_delta", "packet_total", "initiator_packets", "out_packets")
    columns["bytes"] = _number("bytes", octets)
    columns["packets"] = _number("packets", packets)
    for name, (number, null) in losses.losses(values, octets, packets).items():
        columns[name] = _number(name, number, null)
    factor, source = _sampling(values, context)
    columns["sampling_factor"] = pl.Series(factor)
    columns["sampling_source"] = pl.Series(source)
    nulls = _FEW_NULLS if count <= _FEW else _nulls(count)
    return pl.DataFrame(
        [
            nulls[name].head(count) if (series := columns.get(name)) is None else series.alias(name)
            for name in nulls
        ]
    )


def _nulls(count: int) -> dict[str, pl.Series]:
    return {
        name: pl.Series(name, [None], dtype).new_from_index(0, count)
        for name, dtype in schema.DECODED_FLOWS.items()
    }


_FEW: Final = 4_096
_FEW_NULLS: Final = _nulls(_FEW)
"""Columns of nulls, to take from: making them costs more than reading a few records does."""


def _first(values: Values, *names: str) -> Numbers | None:
    return next((values[name] for name in names if name in values), None)


def _number(name: str, column: Numbers | None, null: Mask | None = None) -> pl.Series | None:
    """A raw value in its column's type; null where it does not fit, or where ``null``."""
    if column is None:
        return None
    has_null = null is not None and null.any()
    series = pl.Series(name, pa.array(column, mask=null) if has_null else column)
    dtype = schema.DECODED_FLOWS[name]
    return series if series.dtype == dtype else series.cast(dtype, strict=False)


def _is_icmp(protocol: Numbers | None) -> Mask | None:
    return None if protocol is None else (protocol == _ICMP) | (protocol == _ICMP6)


def _icmp(values: Values, is_icmp: Mask | None) -> pl.Series | None:
    """Type and code, wherever they stand; many exporters put them where the port is."""
    if is_icmp is not None and not is_icmp.any():
        return None
    v4, v6 = _type_code(values, "icmp_v4"), _type_code(values, "icmp_v6")
    column = v6 if v4 is None else v4
    if v4 is not None and v6 is not None and "protocol" in values:
        column = np.where(values["protocol"] == _ICMP6, v6, v4)
    if column is None and is_icmp is not None and "dst_port" in values:
        column = values["dst_port"]
        is_icmp &= values.get("src_port", np.zeros(1, np.uint8)) == 0  # else they are no such thing
    return _number("icmp_type_code", column, null=None if is_icmp is None else ~is_icmp)


def _type_code(values: Values, version: str) -> Numbers | None:
    kind, code = values.get(f"{version}_type"), values.get(f"{version}_code")
    if version not in values and kind is not None and code is not None:
        return kind.astype(np.uint64) << np.uint64(8) | code
    return values.get(version)


def _time(nanoseconds: I64 | None) -> pl.Series | None:
    if nanoseconds is None:
        return None
    missing = nanoseconds == NO_TIME
    return (
        pl.Series(pa.array(nanoseconds, mask=missing)) if missing.any() else pl.Series(nanoseconds)
    )


def _address(side: str, values: Values, count: int) -> dict[str, pl.Series]:
    """Two halves; of a record with both families, the one that is not zero."""
    v4, high, low = (
        values.get(f"{side}_ipv4"),
        values.get(f"{side}_ipv6_hi"),
        values.get(f"{side}_ipv6_lo"),
    )
    if v4 is None and high is None:
        return {}
    if v4 is None:
        chosen_high, chosen_low = high, low
    elif high is None or low is None:
        chosen_high, chosen_low = np.zeros(count, np.uint64), v4.astype(np.uint64) | _V4
    else:
        is_v6 = (v4 == 0) & ((high | low) != 0)
        chosen_high = np.where(is_v6, high, np.uint64(0))
        chosen_low = np.where(is_v6, low, v4.astype(np.uint64) | _V4)
    return {f"{side}_ip_hi": pl.Series(chosen_high), f"{side}_ip_lo": pl.Series(chosen_low)}


def _first_time(values: Values, context: Context, which: str, uptime: str) -> I64 | None:
    """Nanoseconds by the clock the record has; `NO_TIME` where it makes no sense."""
    told = _absolute(values, which)
    if told is not None:
        return told
    if f"{which}_delta_us" in values:
        delta_ns = (values[f"{which}_delta_us"] & np.uint64(0xFFFF_FFFF)).astype(np.int64) * 1_000
        return context.export_ns - delta_ns
    if uptime not in values:
        return _absolute(values, "observation")  # an event has one time
    boot = context.boot_ns
    if "system_init_ms" in values:
        boot = _scaled(values["system_init_ms"], 10**6)
    up_ms = (values[uptime] & np.uint64(0xFFFF_FFFF)).astype(np.int64)
    known = boot != NO_TIME
    # Uptime wraps every 49.7 days: the flow is the one within 2^31 ms of the export.
    age_ms = (context.export_ns - np.where(known, boot, 0)) // 10**6 - up_ms
    age_ms = (age_ms + (1 << 31)) % (1 << 32) - (1 << 31)
    return np.where(known, context.export_ns - age_ms * 10**6, NO_TIME)


def _absolute(values: Values, which: str) -> I64 | None:
    for name, unit_ns in ((f"{which}_ms", 10**6), (f"{which}_s", 10**9)):
        if name in values:
            return _scaled(values[name], unit_ns)
    ntp = _first(values, f"{which}_ntp_us", f"{which}_ntp_ns")
    return None if ntp is None else _ntp(ntp)


def _scaled(column: Numbers, unit_ns: int) -> I64:
    """Units since 1970 to nanoseconds; 0 and what does not fit is no time."""
    sane = (column > 0) & (column <= _MAX_S * 10**9 // unit_ns)
    return np.where(sane, np.where(sane, column, 0).astype(np.int64) * unit_ns, NO_TIME)


def _ntp(column: Numbers) -> I64:
    """NTP 32.32 seconds since 1900 (since 2036 where that has wrapped) to UTC nanoseconds."""
    seconds = (column >> np.uint64(32)).astype(np.int64)
    seconds = np.where(seconds < _NTP_EPOCH_S, seconds + (1 << 32), seconds) - _NTP_EPOCH_S
    fraction = ((column & np.uint64(0xFFFF_FFFF)).astype(np.int64) * 10**9 + (1 << 31)) >> 32
    return np.where(column == 0, NO_TIME, seconds * 10**9 + fraction)


def _sampling(values: Values, context: Context) -> tuple[F64, npt.NDArray[np.uint8]]:
    factor, source = context.factor, context.factor_source
    told = factor_of(values)
    if told is None:
        return factor, source
    known = told > 0
    return np.where(known, told, factor), np.where(known, np.uint8(2), source)


def factor_of(values: Values) -> F64 | None:
    """Sampling factor that values themselves tell; 0 where they tell none."""
    if "sampling_packet_interval" in values and "sampling_packet_space" in values:
        taken = values["sampling_packet_interval"].astype(np.float64)
        space = values["sampling_packet_space"].astype(np.float64)
        return np.where(taken > 0, (taken + space) / np.maximum(taken, 1), 0.0)
    if "sampling_size" in values and "sampling_population" in values:
        size = values["sampling_size"].astype(np.float64)
        population = values["sampling_population"].astype(np.float64)
        return np.where((size > 0) & (population >= size), population / np.maximum(size, 1), 0.0)
    for name in ("sampling_interval", "sampler_interval"):
        if name in values:
            return values[name].astype(np.float64)
    return None
