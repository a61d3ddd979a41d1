"""`kubectl describe pod` as a text that changes only when its meaning does, and the pages of docs/describe/ from it."""

import os
import re
from pathlib import Path

from tests.cluster.manifests import POD_SECRET

DOCS = Path(__file__).resolve().parents[2] / "docs" / "describe"
UPDATE = "UPDATE_DOCS"

_VOLATILE = (
    (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "60e80e8b-3084-4555-9abf-5dba2458a688"),
    (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "2026-01-01T12:00:00Z"),
    (r"(/revision: )\d+", r"\g<1>5"),
    (r"(/attempts: )[1-9]\d*", r"\g<1>1"),
    (re.escape(POD_SECRET), "(a secret of the router)"),
    (r" +$", ""),
)


def stable(text: str, namespace: str) -> str:
    """The text without what differs from run to run: ids, times, counts of writes and tries, the namespace."""
    for pattern, instead in _VOLATILE:
        text = re.sub(pattern, instead, text, flags=re.MULTILINE)
    text = text.replace(namespace, "opencode-router").rstrip()
    head, title, events = text.partition("\nEvents:\n")
    return head + title + _table(events.splitlines()) + "\n"


def check_page(name: str, text: str) -> None:
    """Compare with the page of this name, or write it when `UPDATE_DOCS` is set."""
    page = DOCS / f"{name}.txt"
    if os.environ.get(UPDATE):
        page.parent.mkdir(exist_ok=True)
        page.write_text(text)
    kept = page.read_text() if page.exists() else ""
    assert text == kept, f"docs/describe/{name}.txt is not what kubectl shows any more; {UPDATE}=1 writes it anew"


def _table(lines: list[str]) -> str:
    """The Events, aligned again without their real ages."""
    rows = [re.split(r"\s{2,}", line.strip(), maxsplit=4) for line in lines]
    for row in rows[2:]:
        row[2] = "1s"
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
