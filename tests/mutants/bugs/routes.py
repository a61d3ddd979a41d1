"""Bugs in the IngressRoutes: whose they are, and which of them are looked at."""

from tests.mutants.mutant import Edit, Mutant

BUGS = (
    Mutant(
        "overwrite a route instead of conflict",
        "a foreign route of a session's name is changed",
        (
            Edit(
                "k8s/routes.py",
                "        return route_facts.ownership(facts, self._owners) is Ownership.FOREIGN",
                "        return False",
            ),
        ),
    ),
    Mutant(
        "a route removed without ownership check",
        "foreign routes of a session's name are deleted with it",
        (
            Edit(
                "k8s/routes.py",
                "        return route_facts.ownership(facts, self._owners) is Ownership.OURS",
                "        return True",
            ),
        ),
    ),
    Mutant(
        "only the first route looked at",
        "what happens to the other one is never mended",
        (
            Edit(
                "k8s/routes.py",
                "for route in wanted]\n        # The worst",
                "for route in wanted[:1]]\n        # The worst",
            ),
        ),
    ),
)
