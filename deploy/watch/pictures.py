"""Pictures of what Prometheus saw, as SVG. Plain text, no dependency."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 1000
RIGHT, TOP, BOTTOM = 24, 64, 44
ROW_HEIGHT, BAR_HEIGHT = 26, 16
INK, FAINT, RULE = "#1f2933", "#6b7785", "#d9dee4"
FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"


@dataclass(frozen=True, slots=True)
class Span:
    """From one moment to another, seconds since the beginning of the picture."""

    begin: float
    end: float
    colour: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Lane:
    """A row of spans."""

    name: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """A line through points (seconds, value); None leaves a gap."""

    name: str
    colour: str
    points: tuple[tuple[float, float | None], ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around a picture. `left`: room for names. `legend`: colours and what they mean."""

    title: str
    subtitle: str
    seconds: float
    left: int
    legend: tuple[tuple[str, str], ...] = ()


def _text(x: float, y: float, words: str, *, size: int = 12, colour: str = INK, anchor: str = "start") -> str:
    look = f'font-size="{size}" fill="{colour}" text-anchor="{anchor}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {look}>{escape(words)}</text>'


def _rect(x: float, y: float, size: tuple[float, float], *, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{size[0]:.1f}" height="{size[1]:.1f}" rx="2" fill="{colour}"/>'


def _line(begin: tuple[float, float], end: tuple[float, float], colour: str = RULE) -> str:
    return (
        f'<line x1="{begin[0]:.1f}" y1="{begin[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}" '
        f'stroke="{colour}" stroke-width="1"/>'
    )


def _ticks(last: float, about: int) -> Iterator[float]:
    """Round numbers from 0 up to the last, about so many."""
    rough = last / about
    size = 10 ** math.floor(math.log10(rough))
    step = next(factor * size for factor in (1, 2, 5, 10) if factor * size >= rough)
    value = 0.0
    while value <= last * 1.0001:
        yield value
        value += step


def _x(frame: Frame, seconds: float) -> float:
    return frame.left + (WIDTH - frame.left - RIGHT) * min(max(seconds / frame.seconds, 0.0), 1.0)


def _surround(frame: Frame, bottom: float) -> Iterator[str]:
    yield _text(16, 26, frame.title, size=17)
    yield _text(16, 46, frame.subtitle, size=12, colour=FAINT)
    for tick in _ticks(frame.seconds, 8):
        yield _line((_x(frame, tick), TOP), (_x(frame, tick), bottom))
        yield _text(_x(frame, tick), bottom + 16, f"{tick:g} s", size=11, colour=FAINT, anchor="middle")
    x = float(frame.left)
    for colour, meaning in frame.legend:
        yield _rect(x, bottom + 26, (11, 11), colour=colour)
        yield _text(x + 16, bottom + 36, meaning, size=11, colour=FAINT)
        x += 36 + 5.6 * len(meaning)


def _document(height: float, parts: Iterator[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
        f'height="{height:.0f}" font-family="{FONT}" role="img">'
    )
    return "\n".join([head, f'<rect width="{WIDTH}" height="{height:.0f}" fill="#ffffff"/>', *parts, "</svg>"]) + "\n"


def lanes(frame: Frame, rows: Sequence[Lane]) -> str:
    """Rows of coloured spans under one another, over time."""
    bottom = TOP + ROW_HEIGHT * len(rows)

    def parts() -> Iterator[str]:
        yield from _surround(frame, bottom)
        for number, row in enumerate(rows):
            middle = TOP + ROW_HEIGHT * (number + 0.5)
            yield _text(frame.left - 12, middle + 4, row.name, anchor="end")
            for span in row.spans:
                x, width = _x(frame, span.begin), max(_x(frame, span.end) - _x(frame, span.begin), 1.0)
                yield _rect(x, middle - BAR_HEIGHT / 2, (width, BAR_HEIGHT), colour=span.colour)
                if span.label and width > 6.2 * len(span.label) + 8:
                    yield _text(x + 5, middle + 4, span.label, size=11, colour="#ffffff")

    return _document(bottom + BOTTOM + 8, parts())


def curves(frame: Frame, unit: str, lines: Sequence[Curve], *, most: float) -> str:
    """Lines over time; values from 0 to `most`."""
    bottom = TOP + 240.0

    def y(value: float) -> float:
        return bottom - (bottom - TOP) * min(value / most, 1.0)

    def parts() -> Iterator[str]:
        yield from _surround(frame, bottom)
        for tick in _ticks(most, 5):
            yield _line((frame.left, y(tick)), (WIDTH - RIGHT, y(tick)))
            yield _text(frame.left - 10, y(tick) + 4, f"{tick:g}{unit}", size=11, colour=FAINT, anchor="end")
        for curve in lines:
            path, pen = [], "M"
            for seconds, value in curve.points:
                if value is None:
                    pen = "M"
                    continue
                path.append(f"{pen}{_x(frame, seconds):.1f},{y(value):.1f}")
                pen = "L"
            yield f'<path d="{" ".join(path)}" fill="none" stroke="{curve.colour}" stroke-width="1.8"/>'

    return _document(bottom + BOTTOM + 8, parts())
