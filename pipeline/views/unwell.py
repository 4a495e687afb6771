"""
Who is not well now, by the last minutes there are of `health_1m`: not in the lake.

A minute alone is too short for what has few calls, and some minutes are too long
for what is over. So errors add up from the first minute that had some, until
there is proof that they ended:

    minute       1    2    3    4    5
    calls       20   20   20   20   20
    errors       .    1    .   20    .      20 calls at 21 of 40: ten errors are missing, it is over
    errors       .    1    .    1    .      20 calls at 2 of 40: one may be missing by chance

What suffered from another, and was not called since that is well, is over with it.

Before: health.py. After: pipeline/findings/calls.py.
"""

from typing import Final

from pipeline.schema import View
from pipeline.views.health import DEGRADED_ERRORS, FAILING_ERRORS
from pipeline.views.health import MIN_REQUESTS as FEW_REQUESTS

MIN_REQUESTS: Final = 20
MIN_ERRORS: Final = 3
"""Calls and errors below which that some fail is chance."""
MISSING_ERRORS: Final = 3
"""Errors there would have been since, at the rate there was, whose lack is no chance (e^-3: 5%)."""
MIN_MINUTES: Final = 2
MIN_SLOW: Final = 100
"""A tail is slow when it is so for so many minutes, and of so many calls."""

_FAILS: Final = f"errors > 0 AND errors >= {DEGRADED_ERRORS} * requests"
_SLOW: Final = "list_filter(reasons, lambda reason: contains(reason, ' times the median'))"

UNWELL: Final = View(
    "unwell",
    "Which services, workloads, edges, gateways, clusters and links are failing or degraded now?",
    {
        "name": "kind and entity",
        "entity_kind": "as in `health_1m`",
        "entity": "as in `health_1m`",
        "state": "failing or degraded",
        "reasons": "why, with figures",
        "caused_by": "what it suffered from in the last minute that was not well; null: from nobody, or that is not known",
        "is_own": "true: its own proxy, or it itself, is blamed for most that failed",
        "requests": "calls since the first of the minutes with errors",
        "errors": "of those",
    },
    f"""WITH minutes AS (
        SELECT *, entity_kind || ' ' || entity AS name, {_FAILS} AS fails, {_SLOW} AS slow
        FROM health_1m WHERE requests > 0 AND entity_kind <> 'control_plane'
    ), since AS (
        SELECT *, min(minute) FILTER (fails) OVER of_name AS first, max(minute) FILTER (fails) OVER of_name AS last,
            max(minute) OVER of_name AS newest
        FROM minutes WINDOW of_name AS (PARTITION BY name)
    ), summed AS (
        SELECT name, entity_kind, entity,
            coalesce(sum(requests) FILTER (minute >= first), sum(requests) FILTER (len(slow) > 0))::BIGINT AS requests,
            coalesce(sum(errors) FILTER (minute >= first), 0)::BIGINT AS errors,
            coalesce(sum(requests) FILTER (minute > last) * sum(errors) FILTER (fails)
                / sum(requests) FILTER (fails), 0) AS missing_errors,
            bool_or(minute = newest AND state = 'failing' AND errors >= {MIN_ERRORS}) AS fails_now,
            max(minute) FILTER (fails OR len(slow) > 0) AS last_ill,
            count_if(len(slow) > 0) >= {MIN_MINUTES} AND sum(requests) FILTER (len(slow) > 0) >= {MIN_SLOW}
                AND bool_or(minute = newest AND len(slow) > 0) AS slow_now,
            arg_max({{'cause': caused_by, 'flags': flags, 'blamed': blamed, 'slow': slow}}, minute)
                FILTER (fails OR len(slow) > 0) AS told
        FROM since WHERE fails OR len(slow) > 0 OR minute >= first
        GROUP BY name, entity_kind, entity
    ), judged AS (
        SELECT *, CASE WHEN errors > 0 AND missing_errors < {MISSING_ERRORS} THEN CASE
                WHEN fails_now OR requests >= {FEW_REQUESTS} AND errors >= {FAILING_ERRORS} * requests THEN 'failing'
                WHEN requests >= {MIN_REQUESTS} AND errors >= greatest({MIN_ERRORS}, {DEGRADED_ERRORS} * requests)
                    THEN 'degraded' END END AS failed
        FROM summed
    )
    SELECT name, entity_kind, entity, coalesce(failed, 'degraded') AS state,
        list_filter([
            CASE WHEN failed IS NOT NULL THEN format('{{:.1f}}% errors', 100 * errors / requests) END,
            CASE WHEN failed IS NOT NULL AND len(told.flags) > 0
                THEN 'flags ' || array_to_string(told.flags, ',') END,
            CASE WHEN failed IS NOT NULL THEN 'blame: ' || told.blamed END
        ], lambda reason: reason IS NOT NULL) || told.slow AS reasons,
        told.cause AS caused_by, failed IS NOT NULL AND coalesce(ends_with(told.blamed, ' ' || entity), false)
            AND coalesce(told.cause, 'certificate ' || entity) = 'certificate ' || entity AS is_own,
        requests, errors
    FROM judged LEFT JOIN (
        SELECT name AS cause, max(minute) AS well_time FROM minutes WHERE state = 'healthy' GROUP BY name
    ) ON cause = told.cause
    WHERE (failed IS NOT NULL OR slow_now) AND NOT coalesce(well_time > last_ill, false)""",
)
