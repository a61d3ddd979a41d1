"""A picture of calls against sessions, as SVG, both axes logarithmic; small enough to need no library. Pure.

`__main__` writes it to docs/ after a full run.
"""

import math
from collections.abc import Mapping, Sequence

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 640, 400, 60, 30, 150, 50
COLORS = ("#1f6feb", "#cf222e", "#57606a")
STYLE = "font-family:sans-serif;font-size:12px;fill:#57606a"

Points = Sequence[tuple[float, float]]


def svg(title: str, lines: Mapping[str, Points], *, across: str) -> str:
    """One line for each name; every coordinate is positive."""
    points = [point for line in lines.values() for point in line]
    # A decade at least, so that a single point has a place, too.
    most_x, most_y = (max((10.0, *(point[axis] for point in points))) for axis in (0, 1))

    def place(x: float, y: float) -> tuple[float, float]:
        wide = (WIDTH - LEFT - RIGHT) * math.log10(x) / math.log10(most_x)
        high = (HEIGHT - TOP - BOTTOM) * math.log10(y) / math.log10(most_y)
        return LEFT + wide, HEIGHT - BOTTOM - high

    parts = [_text(LEFT, TOP - 12, title), _text(LEFT, HEIGHT - 12, across)]
    for power in range(int(math.log10(most_x)) + 1):
        x, y = place(10**power, 1)
        parts.append(_text(x, y + 16, f"{10**power:,}"))
    for power in range(int(math.log10(most_y)) + 1):
        x, y = place(1, 10**power)
        parts += [_text(x - 46, y + 4, f"{10**power:,}"), _rule(x, y)]
    for (name, line), color in zip(lines.items(), COLORS, strict=False):
        parts += _line(name, [place(x, y) for x, y in line], color)
    body = "\n".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" style="{STYLE}">\n{body}\n</svg>\n'


def _text(x: float, y: float, text: str, color: str = "") -> str:
    style = f' style="fill:{color}"' if color else ""
    return f'<text x="{x:.0f}" y="{y:.0f}"{style}>{text}</text>'


def _rule(x: float, y: float) -> str:
    return f'<path d="M{x:.0f} {y:.1f}H{WIDTH - RIGHT}" stroke="#d0d7de"/>'


def _line(name: str, points: Points, color: str) -> list[str]:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>' for x, y in points]
    x, y = points[-1]
    return [f'<polyline points="{path}" fill="none" stroke="{color}"/>', *dots, _text(x + 8, y + 4, name, color)]
