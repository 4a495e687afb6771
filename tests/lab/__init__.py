"""
The lab: a real Envoy mesh over four clusters, in Linux network namespaces.

    names.py      names and ports all agree on
    topology.py   what exists: networks, clusters, pods, services, addresses
    certs.py      a root, one intermediate CA per cluster, SPIFFE certificates
    netns.py      namespaces, bridges, veths, routes, NAT
    access_log.py the line each proxy writes
    envoy.py      the configuration of each sidecar and gateway
    apps.py       the application behind a sidecar
    mesh.py       all of it up, and down again without a trace
    traffic.py    the scripted calls, counted on the client's side
    exporters.py  softflowd on each cluster's bridge, tcpdump on its exports
    inventory.py  topology.py as an inventory file
    record_demo.py, report.py    the data in pipeline/demo/ and its counts

Needs root, ip, nft, openssl and envoy. Nothing here is mocked: the packets,
the TLS handshakes and the log lines are those of the programs themselves.
"""
