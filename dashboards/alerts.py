"""
What wakes somebody: rules over the same views that dashboards show.

Findings (`v_findings`) tell what to look at and on which evidence; these are
for what should reach a person through Grafana's own notifications.

Before: build/alerts.py, queries/alerts/. After: provisioning.py.
"""

from typing import Final

from dashboards.build.alerts import Alert

__all__ = ["ALERTS"]

ALERTS: Final = (
    Alert(
        name="edge_errors",
        title="Calls between two workloads fail",
        summary="{{ $values.B }} of calls from {{ $labels.client }} to {{ $labels.server }} fail",
        board="overview",
        panel="worst",
        fires="above",
        threshold=0.05,
        severity="error",
        window_s=600,
        pending_s=120,
    ),
    Alert(
        name="p95_regression",
        title="A service became slow",
        summary="{{ $labels.server }} is {{ $values.B }} times as slow as in the hour before",
        board="overview",
        panel="latency",
        fires="above",
        threshold=2,
        severity="warning",
        window_s=4_500,
        pending_s=300,
    ),
    Alert(
        name="gateway_unhealthy",
        title="A gateway is failing",
        summary="{{ $labels.gateway }} of {{ $labels.cluster }} is failing",
        board="overview",
        panel="states",
        fires="above",
        threshold=2,
        severity="error",
        window_s=600,
        pending_s=60,
    ),
    Alert(
        name="plaintext_edge",
        title="Workloads talk in plaintext",
        summary="{{ $labels.client }} to {{ $labels.server }} is in plaintext: {{ $labels.legs }}",
        board="security",
        panel="plaintext",
        fires="above",
        threshold=0,
        severity="error",
        window_s=600,
        pending_s=0,
    ),
    Alert(
        name="denials_spike",
        title="A policy denies more than usual",
        summary="{{ $labels.server }} denied {{ $values.B }} times as many calls as usual",
        board="security",
        panel="denials",
        fires="above",
        threshold=3,
        severity="warning",
        window_s=4_200,
        pending_s=0,
    ),
    Alert(
        name="address_overlap",
        title="Addresses do not mean one thing",
        summary="{{ $labels.problem }}: {{ $labels.one }} and {{ $labels.other }}",
        board="ipspace",
        panel="problems",
        fires="above",
        threshold=0,
        severity="error",
        window_s=3_600,
        pending_s=0,
    ),
    Alert(
        name="source_stale",
        title="A source fell silent",
        summary="{{ $labels.exporter }} of {{ $labels.cluster }} is silent for {{ $values.B }} s",
        board="pipeline",
        panel="quiet",
        fires="above",
        threshold=300,
        severity="error",
        window_s=86_400,
        pending_s=300,
    ),
    Alert(
        name="completeness_low",
        title="Something of a source is missing",
        summary="Only {{ $values.B }} of {{ $labels.exporter }} of {{ $labels.cluster }} is here",
        board="pipeline",
        panel="completeness",
        fires="below",
        threshold=0.99,
        severity="warning",
        window_s=900,
        pending_s=300,
    ),
)
"""One entry here adds one."""
