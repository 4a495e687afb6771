"""
A slow, obvious decoder of IPFIX, v9 and v5, to compare with.

It shares nothing with the decoder but the RFCs: one record at a time, one field
at a time. One exporter, no waiting, templates that never change; what the
strategies in test_netflow_properties.py make.
"""

import struct

NAMES = {1: "bytes", 2: "packets", 4: "protocol", 7: "src_port", 10: "ingress_interface"}
WIDEST = {"bytes": 8, "packets": 8, "protocol": 1, "src_port": 2, "ingress_interface": 4}
ADDRESSES = {8: ("src", 4), 12: ("dst", 4), 27: ("src", 16), 28: ("dst", 16)}
Row = dict[str, object]


def decode(messages: list[bytes]) -> list[Row]:
    """Rows of all messages, in the order of their records."""
    templates: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    found: list[Row] = []
    for message in messages:
        (version,) = struct.unpack_from("!H", message)
        if version == 5:
            found += _netflow5(message)
            continue
        at = 20 if version == 9 else 16
        (domain,) = struct.unpack_from("!I", message, at - 4)
        while len(message) - at >= 4:
            number, length = struct.unpack_from("!HH", message, at)
            body = message[at + 4 : at + length]
            if number in (0, 2):
                _learn(templates, domain, body)
            elif number >= 256:
                found += _records(templates[domain, number], body)
            at += length
    return found


def _learn(
    templates: dict[tuple[int, int], list[tuple[int, int, int]]], domain: int, body: bytes
) -> None:
    at = 0
    while len(body) - at >= 4:
        number, count = struct.unpack_from("!HH", body, at)
        at += 4
        if number == 0:
            return
        fields = []
        for _ in range(count):
            element, length = struct.unpack_from("!HH", body, at)
            at += 4
            enterprise = 0
            if element >= 0x8000:
                element -= 0x8000
                (enterprise,) = struct.unpack_from("!I", body, at)
                at += 4
            fields.append((enterprise, element, length))
        templates[domain, number] = fields


def _records(fields: list[tuple[int, int, int]], body: bytes) -> list[Row]:
    least = sum(1 if length == 65535 else length for _, _, length in fields)
    found = []
    at = 0
    while len(body) - at >= least:
        row: Row = {}
        seen = set()
        for enterprise, element, told in fields:
            length = told
            if told == 65535:
                length = body[at]
                at += 1
                if length == 255:
                    (length,) = struct.unpack_from("!H", body, at)
                    at += 2
            value = body[at : at + length]
            at += length
            if enterprise or element in seen or told == 65535:
                continue
            if element in NAMES and 1 <= told <= 8:
                seen.add(element)
                number = int.from_bytes(value)
                name = NAMES[element]
                row[name] = number if number < 256 ** WIDEST[name] else None
            elif element in ADDRESSES and told == ADDRESSES[element][1]:
                seen.add(element)
                row[ADDRESSES[element][0] + str(told)] = int.from_bytes(value)
        found.append(row)
    return [
        _with_addresses(row)
        for row in found
        if any(k[:3] in ("src", "dst") and k[3:].isdigit() for k in row)
    ]


def _with_addresses(row: Row) -> Row:
    for side in ("src", "dst"):
        v4, v6 = row.pop(f"{side}4", None), row.pop(f"{side}16", None)
        if v4 is None and v6 is None:
            continue
        use_v6 = v4 is None or (v4 == 0 and v6)
        row[side] = v6 if use_v6 else (0xFFFF << 32) | v4  # type: ignore[operator]
    if row.get("protocol") in (1, 58):
        row.pop("src_port", None)
    return row


def _netflow5(message: bytes) -> list[Row]:
    (count,) = struct.unpack_from("!H", message, 2)
    found = []
    for number in range(count):
        body = message[24 + 48 * number : 72 + 48 * number]
        source, destination = struct.unpack_from("!II", body)
        found.append(
            _with_addresses(
                {
                    "src4": source,
                    "dst4": destination,
                    "ingress_interface": int.from_bytes(body[12:14]),
                    "packets": int.from_bytes(body[16:20]),
                    "bytes": int.from_bytes(body[20:24]),
                    "src_port": int.from_bytes(body[32:34]),
                    "protocol": body[38],
                }
            )
        )
    return found
