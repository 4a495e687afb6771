"""
What a gateway costs, by the client's clock and by what proxies tell: the same calls, timed twice.

One client calls one service by turns pod to pod and through a gateway behind a long line,
20 ms each way. The client takes the time of each call itself. Crosspane knows nothing of
that: it has the logs of three proxies, in whole milliseconds.
"""

from __future__ import annotations

from statistics import median
from typing import Any, NamedTuple

import pytest

from pipeline.lake import connect

from . import mesh, traffic
from .observing import take_logs
from .places import TWO_WAYS
from .upstreams import BY_GATEWAY

pytestmark = pytest.mark.root

ROUNDS = 200
DIRECT = traffic.Call("telemetry", "inventory", "GET", "/stock", 200, 1)
THROUGH = traffic.Call("telemetry", "inventory", "GET", "/stock", 200, 1, subset=BY_GATEWAY)
PATHS = """SELECT path_model, gateway, timed_by, services, match_methods, calls, errors, timed_calls,
        client_p50_ms, server_p50_ms, overhead_p50_ms, hop_p50_ms, direct_calls, gateway_tax_ms
    FROM v_gateway_tax WHERE client_entity = 'cluster-edge/shop/telemetry'
        AND server_entity = 'cluster-onprem/shop/inventory' ORDER BY path_model"""


class Taxed(NamedTuple):
    """How long calls took their client, in ms, and what crosspane says of both paths."""

    direct: list[float]
    through: list[float]
    told: list[dict[str, Any]]


@pytest.fixture(scope="module")
def taxed(tmp_path_factory: pytest.TempPathFactory) -> Taxed:
    """Call both ways by turns, then take what proxies wrote."""
    with mesh.up(tmp_path_factory.mktemp("tax"), TWO_WAYS) as lab:
        direct, through = traffic.waited(TWO_WAYS, (DIRECT, THROUGH), ROUNDS)
        lab.end_traffic()
    with connect(take_logs(lab)) as reader:
        told = reader.execute(PATHS).pl().to_dicts()
    return Taxed(direct, through, told)


def test_both_ways_are_told_of_the_same_pair(taxed: Taxed) -> None:
    """Every call by its path, joined by id, with the gateway that it went to."""
    same = ("match_methods", "calls", "errors", "timed_calls", "direct_calls", "timed_by")
    flat, gateway = taxed.told
    assert (flat["path_model"], flat["gateway"]) == ("flat", None)
    assert (gateway["path_model"], gateway["gateway"]) == ("gateway", "flat-eastwest")
    for path in taxed.told:
        assert [path[name] for name in same] == [["request_id"], ROUNDS, 0, ROUNDS, ROUNDS, []]
        assert path["services"] == ["inventory.shop.svc.cluster.local"]
        assert path["hop_p50_ms"] == [path["overhead_p50_ms"]]


def test_the_gateway_tax_is_what_the_client_waited_longer(taxed: Taxed) -> None:
    """Within 10 % of the difference of the client's own medians; the line alone is 40 ms of it."""
    measured = median(taxed.through) - median(taxed.direct)
    assert measured > 40
    flat, gateway = taxed.told
    assert flat["gateway_tax_ms"] is None
    assert gateway["gateway_tax_ms"] == pytest.approx(measured, rel=0.1)
