"""A Cloudflare API on loopback: as strict as the real one where the operator can tell the difference.

`world` is the pure core (no I/O, no clock), put together from `records`, `tunnels` and `access`; `server` listens,
`shell` takes requests there and back through the faults of `faults`, `control` has the knobs, and `edge` answers
visitors the way Cloudflare does.
"""
