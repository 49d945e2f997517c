"""What a container engine says, read: its streams' framing, its events, containers, pulls and resource use.

Bytes or objects in, values out; no IO. Docker's Engine API (https://docs.docker.com/reference/api/engine/) and Podman's
answers in its place, which differ in small things: both are read leniently, by `protocol.fields`.
"""
