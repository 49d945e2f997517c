"""The bots: connectors to their gateways, the registry of them, turns out, and capture in."""
