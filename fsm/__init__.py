"""The pure core: what a session is, and what must happen next. No await, no clock, no SDK, no logging.

The way of one decision, in the order of the files:

    session.py      a hash becomes names            desired.py   names become records, rules and routes
    observation.py  what was seen, and when         record.py    what the Pod's annotations say
    codec.py        record <-> annotation texts     states.py    the six states and what moves them
    table.py        which move is allowed           decide.py    record + observation + time -> one step
    effects.py      what a step may ask of the world             outcome.py   what may come back
    backoff.py      how long to wait                orphans.py   whom the sweep looks at again
    errors.py       what adapters raise

`controller.reconcile` is the caller; nothing here calls anybody.
"""
