"""Realistic bugs, each a small patch on the real code, by what they break. The simulation has to catch them all."""

from tests.mutants.bugs import evidence, leadership, pace, records, removals, routes, tunnel, zone

BUGS = (
    *records.BUGS,
    *evidence.BUGS,
    *tunnel.BUGS,
    *zone.BUGS,
    *routes.BUGS,
    *removals.BUGS,
    *leadership.BUGS,
    *pace.BUGS,
)
