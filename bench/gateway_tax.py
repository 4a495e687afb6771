"""
The gateway tax, beside what clients measure: a real Envoy mesh, root only.

Two clients call the same server, one in its cluster, one through two clusters' gateways, turn by
turn on connections of their own. What the far one waits longer, by its own clock, is held against
what `v_stitched` says the two paths cost. ``python -m bench.gateway_tax [CALLS]``.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from lab import agents, mesh, traffic
from lab.observing import ask, crosspane_up, is_made, wait_until
from lab.places import LAB
from lab.telemetry import Telemetry

_NEAR = traffic.Call("frontend", "cart", "GET", "/cart", 200, 1)
_FAR = traffic.Call("reviews", "cart", "GET", "/cart", 200, 1)
_COST = """SELECT client_workload, median(tax_ms), count(*) FROM v_stitched
    WHERE tax_ms IS NOT NULL AND path = '/cart' GROUP BY ALL"""


def main() -> None:
    """Measure, and print both."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    directory = Path(tempfile.mkdtemp(prefix="crosspane-tax-"))
    waited: dict[str, list[float]] = {_NEAR.client: [], _FAR.client: []}
    with crosspane_up(LAB, directory, "als") as lake:
        with mesh.up(directory, LAB, Telemetry(als=agents.sockets(LAB, directory))) as lab:
            traffic.statuses(LAB, _NEAR, 20)
            traffic.statuses(LAB, _FAR, 20)
            for _ in range(calls):
                for call in (_NEAR, _FAR):
                    waited[call.client].append(_timed(call))
            time.sleep(1.0)
            lab.stop(*lab.sidecars())
            time.sleep(1.0)
        wait_until(lambda: is_made(lake))
    told = {client: (tax, n) for client, tax, n in ask(lake, _COST)}
    near, far = (statistics.median(waited[call.client]) for call in (_NEAR, _FAR))
    near_tax, far_tax = told[_NEAR.client][0], told[_FAR.client][0]
    measured, stitched = far - near, far_tax - near_tax
    print(f"clients' medians: {far:.3f} ms through gateways, {near:.3f} ms near: {measured:.3f} ms")
    print(f"stitched:         {far_tax:.3f} ms and {near_tax:.3f} ms on the way: {stitched:.3f} ms")
    print(
        f"stitched / measured: {stitched / measured:.3f}, of {[n for _, n in told.values()]} calls"
    )


def _timed(call: traffic.Call) -> float:
    """Milliseconds of one call, at its client."""

    async def once() -> float:
        began_ns = time.perf_counter_ns()
        status, _ = await traffic._request(LAB, call)  # noqa: SLF001 the lab's own way to call
        if status != call.status:
            raise RuntimeError(f"{call}: {status}")
        return (time.perf_counter_ns() - began_ns) / 1e6

    return asyncio.run(once())


if __name__ == "__main__":
    main()
