"""
Findings: what a person should look at, opened, updated and closed by the job.

    minute over --> due kinds --> the views, as of its end --> open | update | close --> findings
                                                                                 |
                                                                   alertmanager.py --> webhook

    moment        the lake as it was at the end of a minute, so that views speak of then
    kind          what a kind is: its query, its evidence, what to do about it
    calls, space, telemetry, proxies    every kind, by what it is about
    kinds         all of them
    stage         what a minute changes of the findings there are
    alertmanager  tells Alertmanagers, from threads of their own

Findings are rows of the lake and nothing else: a job that is killed goes on from
them, and what is to be told is read from them.

Before: windows.py. After: cli/findings.py.
"""
