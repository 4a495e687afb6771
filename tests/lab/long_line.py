"""
A long line: frames that arrive at one end leave the other one a while later, both ways.

    python long_line.py NEAR FAR MILLISECONDS

Ethernet frames, untouched: who is at the ends sees nothing of it but the time. Each frame
goes with the kernel's note on what it left to network cards (checksums, cutting into
packets), which a veth pair would have handed on, too.

Source: packet(7), PACKET_VNET_HDR and PACKET_IGNORE_OUTGOING.
Before: netns.py makes both ends. After: mesh.py starts it.
"""

from __future__ import annotations

import asyncio
import socket
import sys

_ALL = 0x0003
_SOL_PACKET, _VNET_HDR, _IGNORE_OUTGOING = 263, 15, 23
_LARGEST = 65_536 + 64
"""Octets of the largest frame, with that note before it."""
_AT_ONCE = 64


def end(interface: str) -> socket.socket:
    """Return a socket that takes and sends whole frames, with the kernel's note on each."""
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    made.setsockopt(_SOL_PACKET, _VNET_HDR, 1)
    made.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
    made.setblocking(False)
    made.bind((interface, _ALL))
    return made


def forward(source: socket.socket, target: socket.socket, delay_seconds: float) -> None:
    """Take what has arrived, and let it leave later."""
    loop = asyncio.get_running_loop()
    for _ in range(_AT_ONCE):
        try:
            frame = source.recv(_LARGEST)
        except BlockingIOError:
            return
        loop.call_later(delay_seconds, send, target, frame)


def send(target: socket.socket, frame: bytes) -> None:
    """Let a frame leave; a line that cannot take it loses it, as lines do."""
    try:
        target.send(frame)
    except OSError as error:
        sys.stderr.write(f"lost {len(frame)} octets: {error}\n")


async def connect(near: str, far: str, delay_seconds: float) -> None:
    """Connect both ends until killed."""
    ends = end(near), end(far)
    loop = asyncio.get_running_loop()
    for source, target in (ends, ends[::-1]):
        loop.add_reader(source, forward, source, target, delay_seconds)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(connect(sys.argv[1], sys.argv[2], float(sys.argv[3]) / 1_000))
