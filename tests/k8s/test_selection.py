"""What a selector selects; the sandbox's API server and the real one say the same of it."""

import pytest

from k8s.selection import test_of as selects  # no test of its own

LABELS = {"app": "router", "example.org/tier": "", "in": "notin"}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("", True),
        ("app", True),
        ("!app", False),
        ("! app", False),
        ("other", False),
        ("!other", True),
        ("app=router", True),
        ("app = router", True),
        ("app==router", True),
        ("app=rout", False),
        ("app!=router", False),
        ("app!=other", True),
        ("other!=router", True),
        ("other=router", False),
        ("app in (router)", True),
        ("app in (a, router ,b)", True),
        ("app in(a,b)", False),
        ("app notin (a,b)", True),
        ("app notin (router)", False),
        ("other notin (router)", True),
        ("example.org/tier", True),
        ("example.org/tier=", True),
        ("example.org/tier=,app", True),
        ("app=router,other", False),
        ("app=router, app in (router,x), !other", True),
        ("in=notin", True),
        ("in in (notin)", True),
        ("in notin (notin)", False),
    ],
)
def test_labels_are_selected_as_kubernetes_does(selector: str, expected: bool) -> None:
    assert selects(selector)(LABELS) is expected


def test_what_is_no_selector_is_none() -> None:
    with pytest.raises(ValueError, match="a b"):
        selects("a b")
