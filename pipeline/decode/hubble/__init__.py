"""
Hubble over gRPC: one GetFlowsResponse in, one event out, many at once.

A response with a message in it that is none, or that is cut, is refused as a
whole, and so is one that holds nothing known, and a flow without a time.
Status of nodes is no traffic; lost events are counted.

    wire, layouts     protobuf to events
    json_export       exported JSON lines to events: a decoder of its own
    events            what both give
    flows, names      what the events mean: requests and verdicts

Before: protobuf. After: wire.py, flows.py (what the events mean).
"""

from typing import Final

import numpy as np
import polars as pl

from pipeline.decode import Decoded, Payloads, Stateless
from pipeline.decode.hubble import events as hubble_events
from pipeline.decode.hubble.flows import frames
from pipeline.decode.hubble.wire import Messages, held
from pipeline.decode.outcome import Refused, rejected
from pipeline.decode.protobuf import Fault
from pipeline.rejects import Reason

_FORMAT: Final = "hubble"
_FAULTS: Final = {
    Fault.MALFORMED: Reason.PROTOBUF_MALFORMED,
    Fault.TOO_MANY_FIELDS: Reason.PROTOBUF_FIELDS,
}


class Hubble(Stateless):
    """The decoder of kind ``hubble``; see `pipeline.decode.Decoder`."""

    def decode(self, payloads: Payloads) -> Decoded:
        """Rows, rejects and counts of these responses."""
        messages = Messages(payloads.payload)
        responses = messages.responses()
        lost = messages.lost(responses)
        rows, events = messages.events(responses)
        node = messages.text(responses.spans["node_name"])
        vantages, vantage = hubble_events.by_node(payloads, node, _FORMAT)
        kind = held(responses, hubble_events.KINDS)
        untimed = np.zeros(len(vantage), np.bool_)
        untimed[rows] = events["event_ns"].is_null().to_numpy()
        unused = (messages.fault != 0) | untimed | kind.is_null().to_numpy()
        refused = [
            Refused(row, reason, detail, raw, len(raw))
            for row in np.flatnonzero(unused).tolist()
            for raw in [payloads.payload[row].as_py()]
            for reason, detail in [_why(messages.fault[row], kind[row])]
        ]
        kind = kind.set(pl.Series(unused), None)
        events = events.with_columns(
            vantage=pl.Series(vantage[rows]), received_ns=pl.Series(payloads.received_ns[rows])
        )
        lines = pl.DataFrame(
            {
                "vantage": vantage,
                "received_ns": payloads.received_ns,
                "bytes": messages.wire.end - messages.wire.begin,
                "kind": kind,
                "lost": np.minimum(lost, hubble_events.MAX_LOST),
            }
        )
        return Decoded(
            vantages=vantages,
            frames=frames(
                events.select(hubble_events.EVENTS.names()).filter(pl.Series(~unused[rows]))
            ),
            rejects=rejected(refused, vantage),
            counts=hubble_events.counts(lines),
        )


def _why(fault: int, kind: str | None) -> tuple[Reason, str]:
    if fault != Fault.NONE:
        return _FAULTS[Fault(fault)], "GetFlowsResponse"
    return Reason.REQUIRED_MISSING, "time" if kind else "flow"
