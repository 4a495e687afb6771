"""A real Envoy, scraped by the input and read by the views: what goes wrong is in the next scrape."""

import threading
import time
from collections.abc import Iterator

import pytest
from envoy_bed import RATINGS, REVIEWS, WRONG, Bed
from scraped import EPOCH_S, Pane, Scrape

from collectors import scrape
from collectors.batch import Batcher
from collectors.config import BatchConfig, PrometheusInput, Target
from collectors.envelope import Header
from collectors.ship import Parcel

PATH = "/stats/prometheus?usedonly"


class Watch:
    """The input, running, and views of those of its scrapes that were asked for."""

    def __init__(self, bed: Bed) -> None:
        targets = (
            Target(url=f"unix:{bed.admin}:{PATH}", name="socket"),
            Target(url=f"http://127.0.0.1:{bed.ports['stats']}{PATH}", name="tcp"),
        )
        self.pane = Pane()
        self._config = PrometheusInput(targets=targets, interval_s=0.1)
        self._batcher = Batcher(Header("a", "east", "net", "prometheus"), BatchConfig(max_age_ms=1))
        self._stop = threading.Event()
        self._taken: list[Scrape] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        scrape.scrape(self._config, self._batcher, self, self._stop)  # type: ignore[arg-type]

    def offer(self, parcel: Parcel) -> bool:
        """Take what would be shipped."""
        self._taken += [
            (row["exporter"], row["received_ns"] / 1e9 - EPOCH_S, row["payload"])
            for row in parcel.envelope.payloads.to_pylist()
        ]
        return True

    def next_scrape(self) -> None:
        """Put one scrape of each target, asked for after this call, into the pane."""
        seen = len(self._taken)
        limit = time.monotonic() + 20
        for exporter in ("socket", "tcp"):
            # The first to come may have been on its way already.
            while len(new := [one for one in self._taken[seen:] if one[0] == exporter]) < 2:
                assert time.monotonic() < limit, self._batcher.lost
                time.sleep(0.02)
            self.pane.add("prometheus", new[-1])

    def upstream(self, cluster: str) -> list[tuple[object, ...]]:
        """Each target's state of an upstream, its reasons, and members: all, healthy, ejected."""
        return self.pane.rows(
            f"""SELECT state, reasons, members, members_healthy, members_ejected FROM v_upstreams
            WHERE upstream_cluster = '{cluster}' ORDER BY exporter"""
        )

    def close(self) -> None:
        """End the input; nothing was lost."""
        self._stop.set()
        self._thread.join()
        assert self._batcher.lost == {}


@pytest.fixture(scope="module", params=[False, True], ids=["default-tags", "istio-tags"])
def bed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with Bed(tmp_path_factory.mktemp("envoy"), istio_tags=request.param) as running:
        yield running


@pytest.fixture
def watch(bed: Bed) -> Iterator[Watch]:
    bed.wait_for(REVIEWS, "healthy")
    watching = Watch(bed)
    watching.next_scrape()
    yield watching
    watching.close()


def test_health_checks_that_fail_are_in_the_next_scrape(bed: Bed, watch: Watch):
    """Over the socket file and over TCP: the member is gone as soon as Envoy says so, and back."""
    assert [row[0] for row in watch.upstream(REVIEWS)] == ["healthy", "healthy"]
    bed.application.is_healthy = False
    try:
        bed.wait_for(REVIEWS, "/failed_active_hc")
        watch.next_scrape()
        told = watch.upstream(REVIEWS)
        assert [(row[0], row[2], row[3]) for row in told] == [("failing", 1, 0)] * 2
        for _, reasons, *_ in told:
            assert isinstance(reasons, list)
            assert reasons[0] == "0 of 1 members healthy"
            assert reasons[1].endswith("health checks failed")
    finally:
        bed.application.is_healthy = True
    bed.wait_for(REVIEWS, "healthy")
    watch.next_scrape()  # the failures since the scrape before
    watch.next_scrape()
    assert [row[0] for row in watch.upstream(REVIEWS)] == ["healthy", "healthy"]


def test_tls_that_fails_is_counted_by_its_reason(bed: Bed, watch: Watch):
    """One upstream is called well, the other shows a certificate of an authority nobody trusts."""
    assert bed.call("ratings") == 200
    assert bed.call("wrong") == 503
    watch.next_scrape()
    assert [row[0] for row in watch.upstream(RATINGS)] == ["healthy", "healthy"]
    for row in watch.upstream(WRONG):
        assert row[1] == [
            "100.0% of requests failed",
            "1 TLS handshakes failed: verify_error",
            "1 connections failed",
        ]
    handshakes = watch.pane.rows(
        f"""SELECT DISTINCT metric, name, value FROM proxy_samples
        WHERE upstream_cluster = '{RATINGS}' AND metric IN ('tls_handshakes', 'tls_failures')"""
    )
    assert handshakes == [("tls_handshakes", None, 1.0)]


def test_the_end_of_a_certificate_is_predicted(watch: Watch):
    """The server's, of five days, is expiring; the client's, of ninety, and the authorities are well."""
    rows = watch.pane.rows(
        """SELECT state, round(days_left), service, certificate LIKE '%ca_cert%' FROM v_certificates
        WHERE exporter = 'tcp' ORDER BY round(days_left), service NULLS LAST"""
    )
    assert rows == [
        ("expiring", 5.0, None, False),
        ("ok", 90.0, "ratings.my-shop.svc.cluster.local", False),
        ("ok", 90.0, "wrong.shop.svc.cluster.local", False),
        ("ok", 400.0, "ratings.my-shop.svc.cluster.local", True),
        ("ok", 400.0, "wrong.shop.svc.cluster.local", True),
        ("ok", 400.0, None, True),
    ]


def test_what_a_policy_denied_is_counted(bed: Bed, watch: Watch):
    """Two calls allowed and one denied since the scrape before."""
    assert [bed.call("ratings"), bed.call("ratings"), bed.call("ratings", "DELETE")] == [
        200,
        200,
        403,
    ]
    watch.next_scrape()
    # By default tags the name is cut at its first dot, and the rest has none any more.
    listener = "inbound_0.0.0.0_8443" if bed.istio_tags else "inbound_0.0_0_0_8443"
    assert watch.pane.rows("SELECT direction, listener, allowed_more, denied_more FROM v_authz") == [
        ("inbound", listener, 2, 1)
    ] * 2  # fmt: skip


def test_ejections_are_in_the_next_scrape(bed: Bed, watch: Watch):
    """Two failures put the only member out; its health check goes on to pass. The last test: it stays out."""
    bed.application.fails = True
    bed.wait_for(REVIEWS, "/failed_outlier_check")
    watch.next_scrape()
    told = watch.upstream(REVIEWS)
    assert [(state, *members) for state, _, *members in told] == [("failing", 1, 0, 1)] * 2
    assert watch.pane.rows("SELECT DISTINCT ejections FROM v_upstreams WHERE ejections > 0") == [
        (1,)
    ]
