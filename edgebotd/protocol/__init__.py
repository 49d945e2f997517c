"""Protocols without IO: bytes or objects in, events out; no await, clock, random or logging."""
