-- How much traffic has each, over time?
-- Units: octets a second, after sampling. What two exporters saw is counted once. The ten largest, and the rest as other.
-- Begins with: flows/chosen
, largest AS (
    SELECT what FROM flows GROUP BY what ORDER BY sum(bytes) DESC NULLS LAST LIMIT 10
)
SELECT bucket_start AS time,
       CASE WHEN what IN (FROM largest) OR what IS NULL THEN coalesce(nullif(what, ''), 'unknown')
           ELSE 'other' END AS metric,
       sum(bytes / bucket_s) AS rate
FROM flows
GROUP BY 1, 2
ORDER BY 1, 2
