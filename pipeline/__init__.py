"""
The stream job: what was received becomes rows, and rows become answers.

Read in the order a record travels:

    config      what the job is told, each key documented and bounded
    errors      every exception a user can meet, in one tree
    schema      every table and view, defined once
    run         the loop: poll, decode, normalize, enrich, commit
    intake      messages of the log to payloads, and agents held to their word
    decode      payload bytes to columns, many payloads at a time
    rejects     what was not decoded, and why, with the bytes
    accounting  how much was received, decoded, rejected, lost
    vantages    who saw it
    normalize   one meaning per column whatever the exporter
    enrich      (network, ip, time) to endpoint, prefix, cluster
    lake        facts and log offsets in one DuckLake transaction
    views       the SQL readers see
    pane        the single pane as text
    cli         the ``crosspane`` command

It imports ``collectors.envelope``, ``collectors.log`` and ``collectors.config``;
the rest of the collectors only ``cli`` starts, in the same process group, for
``crosspane up``.
"""
