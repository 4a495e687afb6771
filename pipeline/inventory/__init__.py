"""
Who had which address, in which network, and when: from files and from sources.

    rows        what a file of the inventory may say, key by key
    file        such a file, checked, as frames with ids
    decode      payloads of sources to changes
    sources     what an object of a source claims: one module a source
    registry    changes to claims with a life: [valid_from, valid_to)

A *source* is an API server, a cloud account, an IP plan. What it tells are
objects (`collectors.change`); what an object stands for are *claims*: rows of
`endpoints`, `prefixes`, `gateways`, `peerings` or `clusters`, without ids and
without times. The registry gives them both, whatever the source is.

Before: decode/. After: enrich/.
"""
