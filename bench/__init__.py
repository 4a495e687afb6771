"""
Speed, as ratios: each measurement runs beside a peer in the same process run.

    traffic      IPFIX datagrams and access-log lines with named endpoints
    als_receive  Envoy's access log service to the log; peer: a loop over the entries
    sockets      connections of a node looked at; peer: the kernel's answer, thrown away
    decode       datagrams to columns; peers: pip's netflow, scapy
    enrich       both ends of rows named; peer: a Python dictionary
    write        rows to the lake; peer: the same rows to Parquet by Polars
    end_to_end   log to committed, enriched rows; peer: nfcapd, which only stores

``make bench`` runs all; ``python -m bench decode`` one. Figures are medians of
alternating rounds, in records a second of wall time and CPU-seconds a million
records (user and system, every thread of the process).
"""
