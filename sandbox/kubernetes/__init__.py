"""A small Kubernetes API on loopback: it answers kubectl and Traefik, and passes the real API server's suite.

The way of one request: `server` (the only I/O) -> `faults` -> `api` (paths, verbs, representations) -> `store` (what a
write means) -> `shelf` (objects, history, watches) -> back. Everything but `server` is synchronous and takes the time
as an argument, so that a simulation with virtual time can use `api.Api` in its own process.
"""
