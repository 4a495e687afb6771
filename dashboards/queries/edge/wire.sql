-- What goes over the wire between the two, if they talk directly?
-- Units: octets a second after sampling. Through a gateway, the wire knows only each of its legs.
SELECT bucket_start AS time, src_entity || ' -> ' || dst_entity AS metric, sum(bytes / bucket_s) AS rate
FROM legs_between($__timeFrom(), $__timeTo())
WHERE src_entity IN ('$source', '$target') AND dst_entity IN ('$source', '$target')
GROUP BY 1, 2
ORDER BY 1, 2
