-- When will which range be full?
-- Units: addresses or blocks of them; share of the capacity; days left at that pace.
SELECT state, network, cluster, kind, name, range, unit, in_use AS "in use", capacity, used_share AS used,
       peak, trend_per_day AS "more a day", days_left AS "days left", history_days AS "days of history"
FROM v_ip_forecast
WHERE (in_use > 0 OR state NOT IN ('ok', 'unknown')) AND ('*' IN ($network) OR network IN ($network))
ORDER BY list_position(['full', 'nearly_full', 'filling'], state) NULLS LAST, days_left NULLS LAST, used_share DESC, range
LIMIT 200
