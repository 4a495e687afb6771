"""
The input that asks the kernel how its TCP connections are doing.

Before: inputs.py. After: agent.py, which runs it.
"""

from typing import Annotated

import msgspec
from msgspec import Meta


class SocketsInput(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="sockets"
):
    """TCP connections of this node: what they sent, what they had to send again, round trips."""

    interval_s: Annotated[
        float, Meta(ge=0.1, le=3_600, description="seconds between two looks at all connections")
    ] = 10.0
    own_namespace: Annotated[
        bool, Meta(description="look at the network namespace the agent itself is in")
    ] = True
    namespaces: Annotated[
        tuple[Annotated[str, Meta(max_length=1_000, pattern=r"^/\S+\Z")], ...],
        Meta(
            max_length=1_000,
            description="files of other network namespaces, those of pods and containers:"
            " '/run/netns/web', '/proc/1234/ns/net', or with wildcards '/run/netns/cni-*', looked"
            " for anew each time; needs CAP_SYS_ADMIN",
        ),
    ] = ()
    max_namespaces: Annotated[
        int, Meta(ge=1, le=10_000, description="more are left out, and told in the log")
    ] = 500
    max_sockets: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000_000,
            description="connections remembered of one namespace; more are counted as"
            " too_many_sockets, once a look",
        ),
    ] = 100_000
    receive_buffer_bytes: Annotated[
        int,
        Meta(
            ge=65_536,
            le=1 << 28,
            description="room for what the kernel tells of connections that end, in each namespace;"
            " what does not fit is counted as kernel",
        ),
    ] = 4 * 1024 * 1024
    loopback: Annotated[
        bool, Meta(description="whether connections of a namespace with itself are told")
    ] = False

    def __post_init__(self) -> None:
        if not self.own_namespace and not self.namespaces:
            raise ValueError("namespaces: name at least one, or set own_namespace")
