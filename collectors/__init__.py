"""
Node agents: receive, wrap, batch, ship. No payload is interpreted here.

Read in the order a record travels:

    config      what an agent is told: its cluster, network, inputs and log
    envelope    the one wire format: a batch of raw payloads and who took them
    udp         NetFlow v5, v9 and IPFIX datagrams from one port
    logtail     JSON lines of a growing, rotating file
    pcap        captures replayed as if they had just arrived
    batch       payloads gathered into envelopes by size or age
    spool       envelopes kept on disk while the log is away
    ship        envelopes to the log, in order, each once
    log         the log itself: local segments, or Kafka
    agent       the process that holds all of the above

``pipeline`` imports ``collectors.envelope`` and ``collectors.log``, the two
contracts both sides share; nothing here imports ``pipeline``.
"""
