"""
Every kind of finding.

Before: calls.py, wire.py, space.py, telemetry.py, proxies.py. After: stage.py.
"""

from typing import Final

from pipeline.findings.calls import CALLS
from pipeline.findings.proxies import PROXIES
from pipeline.findings.space import SPACE
from pipeline.findings.telemetry import TELEMETRY
from pipeline.findings.wire import WIRE

FINDINGS: Final = (*CALLS, *WIRE, *SPACE, *TELEMETRY, *PROXIES)
"""Every kind. One entry in one of these adds one."""
