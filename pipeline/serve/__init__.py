"""
What readers come to: SQL over the lake, under the limits of a role.

    engine      one DuckDB a role, which reads the lake and can do nothing else
    roles       what a role sees: the views of its schema ``public``
    statements  which statements are let through
    limits      how long, how many rows
    catalog     what clients ask about tables and types, as PostgreSQL would answer
    pgwire      PostgreSQL's protocol
    web         the pane in a browser

Before: views/. After: engine.py.
"""
