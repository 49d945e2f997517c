"""The bots' containers: an engine's API over its unix socket, and what the daemon does with it.

    house.py        opens all of it
    engine.py       the closed list of calls; transport.py carries them, find.py finds the socket
    containers.py   what runs, live; follow.py keeps it true
    operations.py   work in steps that survive a crash: provision.py, recreate.py, removal.py, adopt.py, lifecycle.py
    profile.py      what a bot's container may have; violations.py and drift.py hold every one to it

docs/architecture.md has the rest.
"""
