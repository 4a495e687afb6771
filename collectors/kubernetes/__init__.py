"""
An API server's objects: each resource listed once, and watched from there on.

    run        the input: a task for each resource, and an orderly end
    server     one API server: where it is, credentials, requests
    watcher    one resource: list, watch, resume, list again
    core       what is kept of objects: Kubernetes' own
    mesh       and those of meshes and gateways
    resources  the table of what is watched

One input is one API server: that of the agent's cluster. All of it runs in one
thread.

Before: agent.py. After: change.py, intake.py.
"""
