"""A Cloudflare API on loopback: as strict as the real one where the operator can tell the difference.

`world` is the pure core (no I/O, no clock), put together from `records`, `tunnels` and `access`; `server` is the shell
with the faults of `faults` and the knobs of `control`; `edge` answers visitors the way Cloudflare does.
"""
