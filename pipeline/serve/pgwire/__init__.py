"""
PostgreSQL's protocol, version 3, the server's side.

    server      who may connect: sockets, threads, cancel requests
    login       startup, TLS, and who it is
    scram       SCRAM-SHA-256
    session     one client: simple and extended protocol
    words       statements that are answered without asking the lake
    parameters  where they stand in a statement, and of which type they are
    values      what a client sends for them
    types       types of DuckDB and of PostgreSQL
    rows        batches of Arrow to messages, by column
    scalars     columns of one type each, as text and as bytes
    codec       messages, on pygwire: nothing else imports it

Before: engine.py. After: a socket.
Source: PostgreSQL 15 manual, chapter 55.
"""
