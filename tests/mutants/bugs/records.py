"""Bugs in the Pod's record: what is tested when it is written, and what is believed when it is read."""

from tests.mutants.mutant import Edit, Mutant

BUGS = (
    Mutant(
        "no revision test in the patch, nor of anything else",
        "a stale replica overwrites what another one or a person wrote meanwhile",
        (Edit("k8s/annotation.py", "    return [uid, *tests, *adds, *removes]", "    return [uid, *adds, *removes]"),),
    ),
    Mutant(
        "no uid test in the patch",
        "the record of a dead Pod lands on its successor of the same name",
        (
            Edit(
                "k8s/annotation.py", "    return [uid, *tests, *adds, *removes]", "    return [*tests, *adds, *removes]"
            ),
            Edit("k8s/annotation.py", '        return [uid, {"op": "test"', '        return [{"op": "test"'),
        ),
    ),
    Mutant(
        "the annotations of others are lost",
        "what the router notes on its Pod is gone with our next state",
        (
            Edit(
                "k8s/annotation.py",
                "    return [uid, *tests, *adds, *removes]",
                '    return [uid, *tests, {"op": "add", "path": _MAP, "value": wanted}]',
            ),
        ),
    ),
    Mutant(
        "a copied record counts",
        "a Pod that was made from a copy believes what another one achieved",
        (Edit("fsm/codec.py", "((_VERSION, VERSION), (_POD_UID, pod_uid))", "((_VERSION, VERSION),)"),),
    ),
    Mutant(
        "an unreadable record stops a session",
        "a slip of the hand in an annotation is for ever",
        (
            Edit(
                "controller/memory.py",
                "                return begin(carrier.uid, hostname, now, unreadable=key)",
                "                raise ValueError(key)",
            ),
        ),
    ),
    Mutant(
        "the revision does not grow",
        "nobody can tell which of two records is the later one",
        (Edit("controller/reconcile.py", "revision=record.revision + 1", "revision=record.revision"),),
    ),
)
