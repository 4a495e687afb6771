-- Do the exporters that saw the same conversations agree, and if not, between which two is something lost?
-- Units: conversations, one direction each; share of packets the second did not see, and how far off that may be
-- by sampling. The last five minutes of the time range, record by record. The 100 that lose most.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT from_exporter AS "from", from_cluster AS "from cluster", to_exporter AS "to", to_cluster AS "to cluster",
       sum(conversations) AS conversations, sum(agree) AS agree, sum(sampled) AS sampled,
       sum(lost_between) AS "lost between", sum(incomplete) AS incomplete, sum(unknown) AS unknown,
       sum(lost_packets) / nullif(sum(from_packets), 0) AS lost, max(tolerance) AS tolerance
FROM reconciled_links_between(
    greatest($__timeFrom()::TIMESTAMPTZ, $__timeTo()::TIMESTAMPTZ - INTERVAL 5 MINUTE), $__timeTo())
WHERE ('*' IN ($exporter) OR from_exporter IN ($exporter) OR to_exporter IN ($exporter))
    AND (coalesce(from_cluster, '') IN (FROM picked) OR coalesce(to_cluster, '') IN (FROM picked))
GROUP BY ALL
ORDER BY lost DESC NULLS LAST, conversations DESC, "from", "to"
LIMIT 100
