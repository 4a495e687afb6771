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
    inventory   who had which address, when: from files and from sources
    known       what of it the job knows now, kept up while it runs
    enrich      (network, ip, time) to endpoint, prefix, cluster
    lake        facts and log offsets in one DuckLake transaction
    correct     rows that came before their inventory, named again
    windows     minutes that are over, worked out by what follows
    memory      tables that stages ask every minute, copied when they changed
    parquet     rows of a minute, as Polars reads them from the lake's files
    stitch      records of one conversation to edges and legs
    rollup      edges by the minute, ten, the hour and the day
    health      how well everything was in a minute, and because of what
    findings    what a person should look at
    views       the SQL readers see
    topology    the graph at any level and time, and what changed
    ipspace     what to renumber so that clusters share one address space
    pane        the single pane as text
    cli         the ``crosspane`` command

It imports ``collectors.envelope``, ``.change``, ``.log`` and ``.config``;
the rest of the collectors only ``cli`` starts, in the same process group, for
``crosspane up``.
"""
