"""IPFIX messages of one exporter whose records count their octets on from 1."""

import struct

RECORDS_A_DATAGRAM = 10
TEMPLATE_EVERY = 50


def datagram(number: int) -> bytes:
    """IPFIX message ``number`` of one exporter: its records' octets count on from 1."""
    fields = ((8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (1, 8), (2, 8))
    template = b"".join(struct.pack("!HH", *field) for field in fields)
    sets = b""
    if number % TEMPLATE_EVERY == 0:
        sets += struct.pack("!HHHH", 2, 8 + len(template), 256, len(fields)) + template
    first = number * RECORDS_A_DATAGRAM
    records = b"".join(
        struct.pack("!IIHHBQQ", 0x0A00000B, 0x0A00000C, 40_000, 8080, 6, first + n + 1, 1)
        for n in range(RECORDS_A_DATAGRAM)
    )
    sets += struct.pack("!HH", 256, 4 + len(records)) + records
    return struct.pack("!HHIII", 10, 16 + len(sets), 1_764_000_000, first, 7) + sets
