"""README's state diagram, drawn again from the table: `make diagram` calls it after a change of fsm/table.py.

tests/test_diagram.py fails as long as README shows another one.
"""

from pathlib import Path

from fsm.table import diagram

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN, END = "<!-- diagram:begin -->", "<!-- diagram:end -->"


class MarkersError(ValueError):
    """The page does not hold each marker exactly once, in their order: there is no telling where to draw."""


def redrawn(page: str) -> str:
    """`page` with the present diagram between the markers.

    Raises:
        MarkersError: there is no such place, or more than one.
    """
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    if page.count(BEGIN) != 1 or page.count(END) != 1 or END in before:
        raise MarkersError(f"README.md has to hold {BEGIN} and {END} once each, in this order")
    return f"{before}{BEGIN}\n```mermaid\n{diagram()}```\n{END}{after}"


if __name__ == "__main__":
    README.write_text(redrawn(README.read_text()))
