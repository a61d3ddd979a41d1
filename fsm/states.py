"""The six states of a session and the triggers that move it: the vocabulary of `fsm.table`.

A state says what has been achieved (it was true when it was written), never what is in the way: failures
live in the record's `last_error`, `attempts` and `retry_at`.
"""

from enum import Enum


class State(Enum):
    """What has been achieved for a session; the value is the text of the Pod's annotation."""

    PENDING = "Pending"  # seen, nothing promised
    DNS_CREATED = "DnsCreated"  # our CNAME exists
    TUNNEL_RULE_ADDED = "TunnelRuleAdded"  # our rule is in the tunnel, in front of every wildcard
    ROUTES_CREATED = "RoutesCreated"  # both IngressRoutes exist as wanted
    READY = "Ready"  # all of it was seen in place: the URL may be published
    TEARING_DOWN = "TearingDown"  # no live Pod is left, what is ours is being removed


class Trigger(Enum):
    """What moves a session from one state to another; the value is its name in the diagram."""

    RECORD_EXISTS = "record_exists"
    RULE_EXISTS = "rule_exists"
    ROUTES_EXIST = "routes_exist"
    VERIFIED = "verified"
    RECORD_LOST = "record_lost"
    RULE_LOST = "rule_lost"
    ROUTES_LOST = "routes_lost"
    RENAMED = "renamed"
    DELETED = "deleted"
    REVIVED = "revived"
