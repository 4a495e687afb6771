-- How full are the ranges? The thirty fullest, of those in use.
-- Units: share of the capacity.
SELECT concat_ws(' ', coalesce(cluster, network), range, kind) AS range, used_share AS used
FROM v_ip_forecast
WHERE in_use > 0 AND ('*' IN ($network) OR network IN ($network))
ORDER BY used_share DESC, 1
LIMIT 30
