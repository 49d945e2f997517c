"""The bots' containers: an engine's API over its unix socket, and what the daemon does with it.

engine.py       the closed list of calls;  socket.py finds the engine
containers.py   what runs, live: the engine's events, a slow look as a safety net, a watchdog
"""
