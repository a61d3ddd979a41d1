"""Why a mutant of `core` survives, by the function and the text that was put into it."""

from collections.abc import Mapping

_DEFAULT = "the parameter's default, written out because the linter asks for it"
_LIVE = "for sight, trigger in zip(seen.parts[:achieved], _DRIFT, "
_UNREACHABLE = "cannot be reached: it has the type checker find an outcome without a case"
_UNSHOWN = "the text of an error that is caught a few lines further on, and shown to nobody"
_NO_MODEL = "a model's, and the machine has none: each move brings its own cursor"
_BUILD = (
    "return Machine(model=None, states=State, transitions=_rows(table), initial=State.PENDING, auto_transitions=False)"
)
_BREAKER = "cloudflare_ops.breaker.Breaker.__init__"
_TRIPPED = "set when it trips, and not read before there is a problem"
_ZONE = "cloudflare_ops.zone.ZoneView.__init__"
_UNLISTED = "set by the first list, before which every claim is unknown"

REASONS: Mapping[tuple[str, str], str] = {
    (
        "cloudflare_ops.breaker.Breaker.run",
        "is_untried = self._probe is None and self._until <= self._now() and not self._turn.locked()",
    ): "differs only for a try in the very moment of the look, and the next look is then at once",
    ("fsm.codec._UnreadableError.__init__", "super().__init__(None)"): _UNSHOWN,
    ("fsm.codec._nonempty", "raise ValueError(None)"): _UNSHOWN,
    ("fsm.codec._count", "raise ValueError(None)"): _UNSHOWN,
    ("fsm.codec._time", "raise ValueError(None)"): _UNSHOWN,
    ("fsm.decide._decide_live", _LIVE + "strict=None):"): _DEFAULT,
    ("fsm.decide._decide_live", _LIVE + "):"): _DEFAULT,
    ("fsm.decide._decide_gone", "removal = _removal(record, seen, keep_wanted=None)"): "None is as good as False",
    ("fsm.record.settle", ""): _UNREACHABLE,
    ("fsm.record.settle", "assert_never(None)"): _UNREACHABLE,
    (
        "fsm.record._cleared",
        'kept = record.last_error if (record.last_error or "XXXX").startswith(UNREADABLE) else None',
    ): "no text begins like this one either",
    ("fsm.backoff.delay", "ceiling = min(CAP, BASE * 2.0 ** min(attempts - 1, 17))"): "the cap is reached long before",
    ("fsm.table.build", _BUILD.replace("initial=State.PENDING", "initial=None")): _NO_MODEL,
    ("fsm.table.build", _BUILD.replace("initial=State.PENDING, ", "")): _NO_MODEL,
    ("fsm.table.build", _BUILD.replace("model=None, ", "")): "the machine then is a model itself, which nobody asks",
    ("fsm.table.build", _BUILD.replace("=False", "=None")): "None is as good as False",
    (
        "cloudflare_ops.errors._unknown",
        'kind = OutcomeUnknownError if method != "GET" and not 401 <= status < 500 else TransientError',
    ): "a 400 is a refusal, and does not come this far",
    (
        "cloudflare_ops.errors._unknown",
        'kind = OutcomeUnknownError if method != "GET" and not 400 < status < 500 else TransientError',
    ): "a 400 is a refusal, and does not come this far",
    (
        "cloudflare_ops.budget.Budget.pace",
        "return min(LONGEST_PACE, WINDOW / max(2, self.left))",
    ): "the longest pace is reached long before",
    ("cloudflare_ops.errors._retry_after", 'seconds = float(headers.get("retry-after", "XXXX"))'): "no number either",
    (
        "cloudflare_ops.ingress.Ingress.is_in_place",
        "return any(place <= limit and plain(self.rules[place]) == wanted"
        " for place in self._at.get(wanted.hostname, ()))",
    ): "at the limit stands a wider rule or none at all, never one with this hostname",
    (_ZONE, "self._domain = None  # the zone's name"): _UNLISTED,
    (_ZONE, 'self._domain = "XXXX"  # the zone\'s name'): _UNLISTED,
    (_ZONE, "self._doubted = None"): "None is as good as False",
    (_ZONE, "self._doubted = True"): "before the first list, which ends it, there is no beginning to doubt",
    (_BREAKER, "self._kind = None"): _TRIPPED,
    (_BREAKER, 'self._kind = "XXXX"'): _TRIPPED,
    (_BREAKER, 'self._probe: Probe | None = ""'): _TRIPPED,
    (_BREAKER, "self._pause = None"): _TRIPPED,
    (_BREAKER, "self._until = None"): _TRIPPED,
    (_BREAKER, "self._until = 1.0"): _TRIPPED,
    (_BREAKER, "self.is_felt = None"): _TRIPPED,
    (_BREAKER, "self.is_felt = True"): _TRIPPED,
    ("cloudflare_ops.bisect.bisect", "is_any_taken = None"): "None is as good as False",
}
