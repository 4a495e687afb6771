"""
What health and findings say of each fault of the lab, by hand.

Before: faults.py. After: test_faults.py, live_faults.py.
"""

from __future__ import annotations

from typing import NamedTuple

FRONTEND = "cluster-east/shop/frontend"
RATINGS = "cluster-west/shop/ratings"
GATEWAY = "west-eastwest"


class Expected(NamedTuple):
    """
    What a fault is found as.

    Attributes
    ----------
    root
        What is to blame, as `health_1m.caused_by` names it: all that is not well is it, or
        suffers from it. None: nothing is unwell.
    finding
        Kind and entity of the one finding.
    also
        Another that there may be: what it is of is at fault, too.
    upstreams
        Of the services named so, proxies may also say that upstreams fail.
    """

    root: str | None
    finding: tuple[str, str]
    also: tuple[str, str] = ("", "")
    upstreams: tuple[str, ...] = ()


_ENDS = (
    "certificate_expiring",
    "cluster-west/sidecar~10.0.0.12~ratings-0.shop~shop.svc.cluster.local: ",
)
_SERVER = Expected(
    f"service {RATINGS}",
    ("unhealthy_service", RATINGS),
    upstreams=("ratings.shop.svc.cluster.local", "inbound|8080||"),
)
_CERTIFICATE = _SERVER._replace(root=f"certificate {RATINGS}", also=_ENDS)
_GATEWAY = Expected(f"gateway {GATEWAY}", ("unhealthy_gateway", GATEWAY))
_CLIENT = Expected(
    f"workload {FRONTEND}",
    ("unhealthy_client", FRONTEND),
    upstreams=("reviews.shop.svc.cluster.local",),
)

EXPECTED = {
    "upstream_refusing": _SERVER,
    "gateway_down": _GATEWAY,
    "upstream_closing": _SERVER,
    "route_unknown": _CLIENT,
    "certificate_expiring": Expected(None, _ENDS),
    "upstream_slow": _SERVER,
    "gateway_blackholed": _GATEWAY,
    "upstream_aborting": _SERVER,
    "circuit_open": _CLIENT,
    "certificate_expired": _CERTIFICATE,
    "gateway_unaware": _GATEWAY,
    "certificate_of_another": _CERTIFICATE,
    "plaintext_peer": Expected(
        None,
        ("plaintext_edge", "unknown -> cluster-onprem/shop/inventory"),
        also=("policy_denials", "unknown -> cluster-onprem/shop/billing:8080"),
    ),
}
ALWAYS = ("ip_conflict", "net-flat 10.20.0.50/32")
"""Found in every minute: one machine has an address which two inventory rows claim."""
