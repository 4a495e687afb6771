"""
Node agents: receive, wrap, batch, ship. No payload is interpreted here.

Read in the order a record travels:

    config      what an agent is told: its cluster, network, inputs and log
    toml        a configuration file to structs, and errors that name the key
    envelope    the one wire format: a batch of raw payloads and who took them
    udp         NetFlow v5, v9 and IPFIX datagrams from one port
    grpc_server gRPC messages, taken when there is room for them
    als         what Envoy's access log service streams
    otlp        OpenTelemetry logs
    hubble      flows of Cilium's Hubble, asked of its observer
    intake      messages of all three into batches, with back-pressure
    logtail     JSON lines of a growing, rotating file
    http_get    one HTTP GET, bounded in time and bytes
    scrape      answers of HTTP servers, each asked at an interval
    partial_messages   protobuf messages of which only some fields are known
    redact      what is private in lines, left out or hashed
    redact_messages   the same, in messages of Envoy, OpenTelemetry and Hubble
    positions   how far files were read, and what is on its way
    probe       tries of what others should reach: probe_attempt, probe_answer
    sockets     TCP connections of a node, as the kernel counts: inet_diag
    change      what every source of inventory sends: objects, listed or changed
    listing     sources that are asked for whole lists, at an interval
    kubernetes  an API server, listed and watched
    aws         AWS, asked; exports of Google Cloud and Azure; netbox, an IP plan
    answer      what a document of a cloud lists, and whether that is all
    trim        objects with no more of them than is read
    pcap        captures, packet by packet
    batch       payloads gathered into envelopes by size or age
    spool       envelopes kept on disk while the log is away
    ship        envelopes to the log, in order, each once
    log         the log itself: local segments, or Kafka
    agent       the process that holds all of the above
    replay      captures into the log, as if they had just arrived

``pipeline`` imports ``collectors.envelope``, ``.change``, ``.log`` and
``.config``, the contracts both sides share; nothing here imports ``pipeline``.
"""
