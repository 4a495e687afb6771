"""
The lab: a real Envoy mesh over four clusters, in Linux network namespaces.

    names.py      names and ports all agree on
    topology.py   what a lab is made of
    places.py     the two there are: which networks, clusters, pods, addresses
    certs.py      a root, one intermediate CA per cluster, SPIFFE certificates
    netns.py      namespaces, bridges, veths, routes, NAT
    messages.py   Envoy's messages, the few that all configurations share
    telemetry.py  how proxies report: files, ALS, OTLP
    upstreams.py  where proxies send
    envoy.py      the configuration of each sidecar, gateway and host proxy
    apps.py       the application behind a proxy
    processes.py  programs inside namespaces, by name
    admin.py      what an Envoy says of itself
    mesh.py       all of it up, and down again without a trace
    traffic.py    the scripted calls, counted on the client's side
    faults.py     what can be broken, and mended
    peer.py       a caller without a proxy
    exporters.py  softflowd on each cluster's bridge, tcpdump on its exports
    inventory.py  places.py as an inventory file
    agents.py, observing.py      crosspane beside it
    expected.py, incidents.py    what it says of each fault, and minutes made of seconds to see it
    live_faults.py               the same in real minutes, by hand
    record_demo.py, report.py    the data in pipeline/demo/ and its counts

Needs root, ip, nft, openssl and envoy. Nothing here is mocked: the packets,
the TLS handshakes and the log lines are those of the programs themselves.
"""
