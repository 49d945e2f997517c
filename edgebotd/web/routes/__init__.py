"""The routes, one file for each resource: each parses, calls one function, renders."""
