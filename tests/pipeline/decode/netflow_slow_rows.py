"""What a record of `netflow_slow` says, column by column: one line, one column."""

from typing import Any

Row = dict[str, Any]
Record = dict[tuple[int, int], bytes]

REVERSE = 29305
NPROBE, NPROBE_BASE = 35632, 57_472
V4 = 0xFFFF << 32
MAX_S = 9_000_000_000
TEXT = {5: "netflow5", 9: "netflow9", 10: "ipfix"}


_ONE_WAY = (1, 2, 85, 86, 231, 298, 23, 24, 352, 6, 136, 232, 299)
_ONE_WAY += (32, 139, 176, 177, 178, 179)
_ONE_WAY += (89, 132, 133, 134, 135, 57_581, 57_599, 57_582, 57_600)
_PAIRS = {8: 12, 27: 28, 7: 11, 10: 14, 16: 17, 225: 226, 281: 282, 227: 228}
_OTHER = _PAIRS | {two: one for one, two in _PAIRS.items()}


def mirrored(record: Record) -> Record:
    """The record as the other side would have exported it."""
    back: Record = {}
    for (enterprise, element), raw in record.items():
        if enterprise == 0 and element not in _ONE_WAY:
            back[0, _OTHER.get(element, element)] = raw
    for mine, theirs in ((1, 232), (2, 299)):
        if (0, theirs) in record:
            back[0, mine] = record[0, theirs]
    for mine, theirs in ((57_581, 57_582), (57_599, 57_600)):
        if (0, theirs) in record:
            back[0, mine] = record[0, theirs]
    for element in (1, 2, 6, 85, 86, 132, 133, 134, 135, 136, 150, 151, 152, 153):
        if (REVERSE, element) in record:
            back[0, element] = record[REVERSE, element]
    return back


def of_nprobe(record: Record) -> Record:
    """What nProbe calls out is the other way; its elements as NetFlow v9 numbers them."""
    told: Record = {}
    for (enterprise, element), raw in record.items():
        if enterprise == NPROBE:
            told.setdefault((0, element + NPROBE_BASE), raw)
        else:
            told[enterprise, element] = raw
    if (0, 57_582) in told or (0, 57_600) in told:
        for out, reverse in (((0, 23), (REVERSE, 1)), ((0, 24), (REVERSE, 2))):
            if out in told and reverse not in told:
                told[reverse] = told.pop(out)
    return told


def first(record: Record, *keys: tuple[int, int]) -> int | None:
    return next((integer(record[key]) for key in keys if key in record), None)


def factor_of(record: Record) -> float:
    taken, space = uint(record, 305), uint(record, 306)
    if taken is not None and space is not None:
        return (taken + space) / taken if taken else 0.0
    size, population = uint(record, 309), uint(record, 310)
    if size is not None and population is not None:
        return population / size if size and population >= size else 0.0
    for element in (34, 50):
        interval = uint(record, element)
        if interval is not None:
            return float(interval)
    return 0.0


def integer(raw: bytes) -> int:
    return int.from_bytes(raw, "big")


def uint(record: Record, *elements: int) -> int | None:
    """Value of the first of these elements that the record has."""
    for element in elements:
        if (0, element) in record:
            return integer(record[0, element])
    return None


def address(record: Record, v4: int, v6: int) -> tuple[int, int] | None:
    four, six = uint(record, v4), uint(record, v6)
    if four is None and six is None:
        return None
    if six is not None and (four is None or (four == 0 and six != 0)):
        return six >> 64, six & (1 << 64) - 1
    return 0, V4 | (four or 0)


def _narrow(value: int | None, bits: int) -> int | None:
    """Null where the column cannot hold it."""
    return value if value is not None and value < 1 << bits else None


def _time(  # noqa: C901, PLR0911, PLR0912 - one clock after the other
    about: Row, record: Record, which: int
) -> int | None:
    """``which``: 0 start, 1 end."""
    for element, unit_ns in ((152, 10**6), (150, 10**9)):
        value = uint(record, element + which)
        if value is not None:
            return value * unit_ns if 0 < value <= MAX_S * 10**9 // unit_ns else None
    for element in (154, 156):
        value = uint(record, element + which)
        if value is not None:
            return _ntp(value)
    delta = uint(record, 158 + which)
    if delta is not None:
        return int(about["export_ns"]) - (delta & 0xFFFF_FFFF) * 1_000
    value = uint(record, (22, 21)[which])
    if value is None:
        for element, unit_ns in ((323, 10**6), (322, 10**9)):
            seen = uint(record, element)
            if seen is not None:
                return seen * unit_ns if 0 < seen <= MAX_S * 10**9 // unit_ns else None
        for element in (324, 325):
            seen = uint(record, element)
            if seen is not None:
                return _ntp(seen)
        return None
    export_ns = int(about["export_ns"])
    up_ms = about["up_ms"]
    if (0, 160) in record:
        init_ms = uint(record, 160) or 0
        if not 0 < init_ms <= MAX_S * 1_000:
            return None
        up_ms = export_ns // 10**6 - init_ms
    elif up_ms is None and about.get("init_ms"):
        up_ms = export_ns // 10**6 - about["init_ms"]
    if up_ms is None:
        return None
    age_ms = (up_ms - (value & 0xFFFF_FFFF)) % (1 << 32)
    age_ms -= (1 << 32) if age_ms >= 1 << 31 else 0
    return export_ns - age_ms * 10**6


def _ntp(value: int) -> int | None:
    if value == 0:
        return None
    seconds, fraction = value >> 32, value & 0xFFFF_FFFF
    since_1970 = seconds - 2_208_988_800
    if since_1970 < 0:
        since_1970 += 1 << 32
    return since_1970 * 10**9 + (fraction * 10**9 + (1 << 31) >> 32)


def row_of(about: Row, record: Record) -> Row:
    src, dst = address(record, 8, 27), address(record, 12, 28)
    is_icmp = uint(record, 4) in (1, 58)
    nat_src, nat_dst = address(record, 225, 281), address(record, 226, 282)
    return {
        "exporter": about["exporter"],
        "format": TEXT[about["version"]],
        "domain": about["domain"],
        "received_ns": about["received_ns"],
        "start_ns": _time(about, record, 0),
        "end_ns": _time(about, record, 1),
        "src_ip_hi": src and src[0],
        "src_ip_lo": src and src[1],
        "dst_ip_hi": dst and dst[0],
        "dst_ip_lo": dst and dst[1],
        "src_port": None if is_icmp else _narrow(uint(record, 7), 16),
        "dst_port": None if is_icmp else _narrow(uint(record, 11), 16),
        "protocol": _narrow(uint(record, 4), 8),
        "tcp_flags": _narrow(uint(record, 6), 16),
        "tos": _narrow(uint(record, 5), 8),
        "icmp_type_code": _icmp(record),
        "direction": _narrow(uint(record, 61), 8),
        "ingress_interface": _narrow(uint(record, 10), 32),
        "egress_interface": _narrow(uint(record, 14), 32),
        "src_asn": _narrow(uint(record, 16), 32) or None,
        "dst_asn": _narrow(uint(record, 17), 32) or None,
        "vlan_id": _narrow(uint(record, 58, 243), 16),
        "post_nat_src_ip_hi": nat_src and nat_src[0],
        "post_nat_src_ip_lo": nat_src and nat_src[1],
        "post_nat_dst_ip_hi": nat_dst and nat_dst[0],
        "post_nat_dst_ip_lo": nat_dst and nat_dst[1],
        "post_nat_src_port": _narrow(uint(record, 227), 16),
        "post_nat_dst_port": _narrow(uint(record, 228), 16),
        "end_reason": _narrow(uint(record, 136), 8),
        "event": _narrow(uint(record, 233, 230), 8),
        "biflow_direction": _narrow(uint(record, 239), 7),
        "bytes": uint(record, 1, 85, 231, 23, 352),
        "packets": uint(record, 2, 86, 298, 24),
        "dropped_bytes": _dropped(record, (132, 134), (1, 85, 231, 23, 352)),
        "dropped_packets": _dropped(record, (133, 135), (2, 86, 298, 24)),
        "retransmitted_bytes": _of_tcp(record, 57_599),
        "retransmitted_packets": _of_tcp(record, 57_581),
        "rtt_us": _rtt_us(record),
        "min_rtt_us": None,
        "forwarding_status": None if uint(record, 89) is None else uint(record, 89) & 0xFF,
        "sampling_factor": about["factor"],
        "sampling_source": about["factor_source"],
    }


def _icmp(record: Record) -> int | None:
    protocol = uint(record, 4)
    if protocol not in (None, 1, 58):
        return None
    families = (139, 178, 179), (32, 176, 177)
    for both, kind, code in families if protocol == 58 else reversed(families):
        if (0, both) in record:
            return _narrow(uint(record, both), 16)
        kind_value, code_value = uint(record, kind), uint(record, code)
        if kind_value is not None and code_value is not None:
            return _narrow(kind_value << 8 | code_value, 16)
    if protocol is None or uint(record, 7):
        return None
    return _narrow(uint(record, 11), 16)


def _dropped(record: Record, told: tuple[int, ...], observed: tuple[int, ...]) -> int | None:
    """As told; else all or nothing of what was observed, by the forwarding status."""
    if uint(record, *told) is not None:
        return uint(record, *told)
    status = uint(record, 89)
    if status is None or uint(record, *observed) is None or not status & 0xC0:
        return None
    return uint(record, *observed) if status & 0xC0 == 0x80 else 0


def _of_tcp(record: Record, element: int) -> int | None:
    return uint(record, element) if uint(record, 4) in (None, 6) else None


def _rtt_us(record: Record) -> int | None:
    halves = [uint(record, element) for element in (57_595, 57_596)]
    if None in halves or not sum(halves):
        return None
    return _narrow(2_000 * (sum(halves) % 2**64) % 2**64, 32)
