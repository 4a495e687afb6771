-- How many ranges are full, nearly full, or will be within 30 days?
-- Units: ranges.
SELECT count(*) AS filling
FROM v_ip_forecast
WHERE state IN ('full', 'nearly_full', 'filling') AND ('*' IN ($network) OR network IN ($network))
