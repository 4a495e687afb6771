"""
Whether a gateway worked while a call that should have come through it was lost.

A call is lost if no server's proxy logged it and nothing at its client's says why:
on the way, or at its server. What came through the gateway meanwhile tells which.
Of each gateway and minute, each call that came through begins a *stretch*, which
ends with the next; stretches that lost calls began in are silences:

    came through   A B A C |                  | A  B  C | A ...
    lost                   | a  c  b  a  c  b |    d    |
                             gateway is down          server of D is

- A gateway that refuses connections itself was down in the silence with most of what
  it refused. Of what else was lost in that minute nothing is said: it went down or
  came back, or half of it is down.
- It was down in a silence of two services or more that lost nearly all their calls in
  just that one: of so many calls at least, if anything came through in that minute.
- It worked, so it was the server, if calls came through after the first that a service
  lost, and no other service fell silent with it: if none but this lost any, or another
  lost none of those it made.
- A gateway that says itself that it has no way to a service is to blame for that
  service's lost calls of the minute, whatever came through (`unaware_sql`).
- Else it is not known. Of two services that always fail and no third, or of a service
  that is called through the gateway alone and stops, nobody can tell.

So two servers that are down behind a gateway which others pass are told from an outage:
their calls are lost in many stretches. So is one that was down before an outage began.
A gateway that loses some calls of all services is not told as all of their servers.

Before: blame.py (what is lost). After: topology.py and failed.py, which blame by it.
"""

from typing import Final

from pipeline.views import blame
from pipeline.views.blame import CAME, LOST, REFUSED

NEARLY: Final = 0.9
"""Share of a service's lost calls that, in one silence, are as good as all: clocks differ."""
FEW: Final = 3
"""Lost calls below which that nothing came through between them is chance."""

WAYS: Final = f"""path_gateway, service, start_time,
        {LOST} AS lost, {REFUSED} AS refused, {CAME} AS came"""
"""Columns `outages_sql` reads, of those that `blame.BLAME` does."""


def outages_sql(ways: str) -> str:
    """
    SQL of ``path_gateway, service, start_time, gateway_works`` of lost calls.

    Parameters
    ----------
    ways
        Relation of `WAYS`: calls that were lost, and those that came through.
    """
    gateway = "path_gateway, minute"
    return f"""WITH ways AS (
            SELECT *, time_bucket(INTERVAL 1 MINUTE, start_time) AS minute
            FROM {ways} WHERE path_gateway IS NOT NULL AND (lost OR came)
        ), stretches AS (
            SELECT *, count_if(came) OVER (PARTITION BY {gateway} ORDER BY start_time) AS stretch
            FROM ways SEMI JOIN (FROM ways WHERE lost) USING ({gateway})
        ), of_services AS (
            SELECT {gateway}, service, count_if(lost) AS lost, count_if(refused) AS refused,
                count_if(came) AS came, max(start_time) FILTER (came) AS last_came
            FROM stretches GROUP BY ALL
        ), of_gateways AS (
            SELECT {gateway}, sum(refused) AS refused, sum(came) AS came, max(last_came) AS last_came,
                count_if(lost > 0) AS services, bool_or(service IS NOT NULL AND lost = 0) AS unharmed
            FROM of_services GROUP BY ALL
        ), silences AS (
            SELECT {gateway}, stretch, service, count(*) AS lost_then, count_if(refused) AS refused_then,
                min(start_time) AS first_lost FROM stretches WHERE lost GROUP BY ALL
        ), shares AS (
            SELECT *, lost_then / sum(lost_then) OVER of_service AS share,
                min(first_lost) OVER of_service AS service_lost
            FROM silences WINDOW of_service AS (PARTITION BY {gateway}, service)
        ), weighed AS (
            SELECT {gateway}, stretch, service, share, service_lost,
                max(share) OVER (PARTITION BY {gateway}, service) AS most,
                sum(refused_then) OVER together AS refused_then,
                count(service) FILTER (share >= {NEARLY}) OVER together AS silent,
                sum(lost_then) FILTER (share >= {NEARLY}) OVER together AS silent_calls
            FROM shares WINDOW together AS (PARTITION BY {gateway}, stretch)
        ), told AS (
            SELECT {gateway}, stretch, service, CASE
                    WHEN 2 * refused_then > refused THEN false
                    WHEN refused > 0 THEN NULL
                    WHEN share >= {NEARLY} AND silent > 1 AND (came = 0 OR silent_calls >= {FEW}) THEN false
                    WHEN last_came >= service_lost AND (silent <= 1 OR most < {NEARLY})
                        AND (services = 1 OR unharmed) THEN true
                END AS gateway_works
            FROM weighed JOIN of_gateways USING ({gateway})
        )
        SELECT DISTINCT lost.path_gateway, lost.service, lost.start_time, gateway_works
        FROM stretches lost JOIN told ON told.path_gateway = lost.path_gateway
            AND told.minute = lost.minute AND told.stretch = lost.stretch
            AND told.service IS NOT DISTINCT FROM lost.service
        WHERE lost.lost"""


def unaware_sql(requests: str) -> str:
    """
    SQL of ``path_gateway, service, minute`` in which a gateway said it has no way to a service.

    Parameters
    ----------
    requests
        Relation of the rows of that table; of clusters with several gateways nothing is
        told, since a row does not say which of them it is of.
    """
    return f"""SELECT DISTINCT path_gateway, service, time_bucket(INTERVAL 1 MINUTE, start_time) AS minute
        FROM {requests} r JOIN vantages v USING (vantage_id) JOIN (
            SELECT cluster, min(name) AS path_gateway FROM v_gateways
            GROUP BY cluster HAVING count(DISTINCT name) = 1) g ON g.cluster = v.cluster
        WHERE {blame.UNAWARE} AND service IS NOT NULL"""


def blamed_sql(told: str, gateways: str, time: str, unaware: str, answered: str = "") -> str:
    """
    SQL of calls with ``blame``, ``blamed_entity`` and ``blame_reason``.

    Parameters
    ----------
    told
        SQL of the calls, with names: of `topology.named_sql`.
    gateways
        Relation of ``client_cluster, service, gateway`` and ``time``, or ``told``: through
        which gateway a service is usually reached.
    time
        Name of its column that says what came last.
    unaware
        SQL of `unaware_sql`.
    answered
        SQL of `WAYS` of other calls that came through; empty if ``told`` are all.
    """
    ways = f"SELECT {WAYS} FROM paths" + (f" UNION ALL {answered}" if answered else "")
    return f"""WITH told AS ({told}), usual AS (
        SELECT client_cluster, service, arg_max(gateway, {time}) AS usual_gateway
        FROM {gateways} WHERE gateway IS NOT NULL GROUP BY ALL
    ), paths AS (
        SELECT told.*, coalesce(told.gateway, usual_gateway) AS path_gateway
        FROM told LEFT JOIN usual ON usual.client_cluster = told.client_cluster
            AND usual.service = CASE WHEN NOT told.server_seen THEN told.service END
    ), works AS ({outages_sql(f"({ways})")}
    ), tries AS (
        SELECT paths.*, gateway_works, unaware.minute IS NOT NULL AS gateway_unaware
        FROM paths LEFT JOIN works
            ON works.path_gateway = paths.path_gateway AND works.start_time = paths.start_time
            AND works.service IS NOT DISTINCT FROM paths.service
        LEFT JOIN ({unaware}) unaware
            ON unaware.path_gateway = paths.path_gateway AND unaware.service = paths.service
            AND unaware.minute = time_bucket(INTERVAL 1 MINUTE, paths.start_time)
    ) {_blamed("tries")}"""


def blamed_by_itself_sql(told: str) -> str:
    """SQL of calls as of `blamed_sql`, none of which failed unseen by its server's proxy."""
    tries = f"""SELECT *, gateway AS path_gateway, NULL::BOOLEAN AS gateway_works,
        false AS gateway_unaware FROM ({told})"""
    return _blamed(f"({tries})")


def _blamed(tries: str) -> str:
    return f"""SELECT *, {blame.BLAMED} AS blamed_entity, {blame.REASON} AS blame_reason
        FROM (SELECT *, {blame.BLAME} AS blame FROM {tries})"""
