"""
How well everything was in a minute: golden signals, what was usual, and whose fault it is.

    edges_1m of the minute --> figures of each entity --+
    edges_1h, edges_10m    --> what was usual ----------+--> state, reasons, score --> health_1m
    calls that failed      --> who is blamed -----------+         caused_by
    the hour before        --> who fell silent ---------+

    figures   measures of services, workloads, edges, gateways, clusters and cloud links
    usual     the same of hours and ten minutes before: medians, and how far they spread
    judge     state, score and reasons of figures, against thresholds and against what was usual
    losses    the same by packets on the wire: dropped, and sent again
    causes    who suffers from whom, followed to the root
    security  encryption, identities and policies of the minute's conversations
    control_planes  who follows each, and what it reads
    evidence  queries for the rows behind a state
    stage     one minute of the lake

Which calls failed, with their blame, is SQL: views/failed.py.

Before: rollup.py. After: schema/health.py (the rows), views/health.py, findings/.
"""
