"""
Dashboards as code: SQL questions, laid out in panels, written as Grafana's JSON.

    queries/   one question a file, over the views
    build/     the typed builder
    boards/    one module a dashboard
    grafana/   what `python -m dashboards` writes: generated, checked in
    alerts     rules that wake somebody
    provisioning  data source, rules, contact point: what Grafana is given beside dashboards
    write      every generated file, as text
    provision  bring a running Grafana to what is here
    expand/    Grafana's variables and macros, put into SQL as Grafana does
    frames/    Arrow to Grafana's frames, with Grafana's rules

Grafana and the browser page (`pipeline/serve/web.py`) show the same JSON.
Nothing here imports `pipeline`: views are all it knows.

Before: the views. After: Grafana, `crosspane dashboards`, pipeline/serve/web.py.
"""
