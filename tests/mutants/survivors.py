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

REASONS: Mapping[tuple[str, str], str] = {
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
}
