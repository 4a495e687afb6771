"""
Tells Alertmanagers what is open, and what no longer is.

    POST <url>/api/v2/alerts
    [{labels: {alertname, severity, entity, cluster, kind}, annotations: {summary, action,
      evidence, finding}, startsAt, endsAt, generatorURL}, ...]

An alert is known by its labels, and is over once its end has passed: each is told
again every ``resend_s`` with an end four times as far ahead, and with the end that
was when the finding is closed, or got other labels. Nothing waits in a queue: what
is to be told is in the lake, and is read anew for each try, so an Alertmanager that
is away for an hour is told how things stand then. One thread each, which waits for
nobody and for which nobody waits.

Before: stage.py (what it commits is read here). After: the Alertmanager.
Source: Alertmanager, api/v2/openapi.yaml.
"""

import contextlib
import logging
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final

import duckdb
import msgspec

from pipeline.config import FindingsConfig
from pipeline.errors import LakeError
from pipeline.lake import connect

log = logging.getLogger("crosspane.findings")

_LOOK_S: Final = 2.0
"""How often it is looked whether there is anything new to tell."""
_TIMEOUT_S: Final = 5.0
_LONGEST_BACKOFF_S: Final = 60.0
_A_TIME: Final = 256
"""Alerts in one request."""
_MOST: Final = 10_000
"""Open findings that are told, the worst first."""
_LASTS: Final = 4
_OPEN: Final = f"""SELECT finding_id, kind, severity, entity, clusters, summary, action,
        evidence_sql, opened_time
    FROM v_findings WHERE state = 'open'
    ORDER BY list_position(['error', 'warning', 'info'], severity), opened_time LIMIT {_MOST}"""

Alert = dict[str, Any]


def alert(finding: Mapping[str, Any], now: datetime, config: FindingsConfig) -> Alert:
    """One open finding as Alertmanager has it."""
    name = f"{finding['finding_id']:016x}"
    labels = {
        "alertname": finding["kind"],
        "kind": finding["kind"],
        "severity": finding["severity"],
        "entity": finding["entity"],
        "cluster": ",".join(finding["clusters"]),
    }
    annotations = {
        "summary": finding["summary"],
        "action": finding["action"],
        "evidence": finding["evidence_sql"],
        "finding": name,
    }
    told: Alert = {
        "labels": {key: value for key, value in labels.items() if value},
        "annotations": annotations,
        "startsAt": _text(min(finding["opened_time"], now)),
        "endsAt": _text(now + timedelta(seconds=_LASTS * config.resend_s)),
    }
    if config.generator_url:
        told["generatorURL"] = config.generator_url.replace("{id}", name)
    return told


def _text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds")


class Alertmanager:
    """
    What one Alertmanager was told, and when to tell it again.

    Attributes
    ----------
    sent, failed
        Alerts it took; tries that failed.
    """

    def __init__(self, url: str, lake: Path, config: FindingsConfig) -> None:
        self._url = url.rstrip("/") + "/api/v2/alerts"
        self._lake, self._config = lake, config
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._told: dict[str, Alert] = {}
        self._told_at = float("-inf")
        self._failures = 0
        self.sent = self.failed = 0

    def run(self, stop: threading.Event) -> None:
        """Tell until ``stop`` is set, and once more then."""
        while True:
            last = stop.is_set()
            self.tell(whatever=last)
            if last:
                break
            backoff_s = min(2.0**self._failures, _LONGEST_BACKOFF_S) if self._failures else 0.0
            stop.wait(max(min(_LOOK_S, self._config.resend_s), backoff_s))
        self.close()
        log.info("%s: %d alerts sent, %d tries failed", self._url, self.sent, self.failed)

    def close(self) -> None:
        """Let go of the lake."""
        if self._connection is not None:
            self._connection.close()

    def tell(self, *, whatever: bool = False) -> None:
        """Tell what is open and what is over, if anything changed or it is time; or ``whatever``."""
        try:
            now = datetime.now(UTC)
            alerts = {_key(one): one for one in self._open(now)}
            over = [
                one | {"endsAt": _text(now)} for key, one in self._told.items() if key not in alerts
            ]
            due = time.monotonic() - self._told_at >= self._config.resend_s
            if (
                due or whatever or self._failures or over or alerts.keys() != self._told.keys()
            ) and (alerts or over):
                self._post([*over, *alerts.values()])
                self._told, self._told_at = alerts, time.monotonic()
            if self._failures:
                log.info("%s is told again", self._url)
            self._failures = 0
        except (OSError, HTTPException, LakeError, duckdb.Error) as error:
            self.failed += 1
            if not self._failures:
                log.warning("%s is not told: %s", self._url, error)
            self._failures += 1

    def _open(self, now: datetime) -> Iterator[Alert]:
        if self._connection is None:
            self._connection = connect(self._lake, threads=1)
        result = self._connection.execute(_OPEN)
        names = [column[0] for column in result.description]
        for row in result.fetchall():
            yield alert(dict(zip(names, row, strict=True)), now, self._config)

    def _post(self, alerts: Sequence[Alert]) -> None:
        for start in range(0, len(alerts), _A_TIME):
            some = alerts[start : start + _A_TIME]
            request = urllib.request.Request(  # noqa: S310 - http or https, says the configuration
                self._url, msgspec.json.encode(some), {"Content-Type": "application/json"}
            )
            try:
                with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310
                    response.read(1)
            except urllib.error.HTTPError as error:
                with error:
                    answer = error.read(200).decode(errors="replace")
                raise OSError(f"{error.code} {error.reason}: {answer}") from None
            self.sent += len(some)


def _key(one: Alert) -> str:
    return "\0".join(f"{name}={value}" for name, value in sorted(one["labels"].items()))


@contextlib.contextmanager
def telling(config: FindingsConfig, lake: Path) -> Iterator[None]:
    """Tell every Alertmanager of the configuration, meanwhile and once at the end."""
    stop = threading.Event()
    threads = [
        threading.Thread(
            target=Alertmanager(url, lake, config).run,
            args=(stop,),
            name=f"tell {url}",
            daemon=True,
        )
        for url in config.alertmanager_url
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        until = time.monotonic() + 2 * _TIMEOUT_S
        for thread in threads:
            thread.join(max(until - time.monotonic(), 0))
