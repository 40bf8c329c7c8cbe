"""A scene's timeline as inline SVG: where its calls were served, what was done, how slow the slowest was."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from .layout import AWAY, HOME
from .measure import Call, ended_between, timeline
from .promises import Mark, Take

WIDTH, LEFT, RIGHT = 920, 46, 14
LANE = 15  # height of a row of labels
PLOT, GAP, STRIP, AXIS = 150, 14, 34, 34
BIN_S = 0.2
ORDER = (HOME, AWAY, "")  # from the bottom of the stack
NAMES = {HOME: "home", AWAY: "away", "": "failed"}  # class names in the style sheet
_CHARACTER = 6.3  # width of one at 11 px, about


@dataclass(frozen=True, slots=True)
class Frame:
    """The chart's coordinates: time is relative to the fault."""

    begin_s: float
    end_s: float
    zero_s: float
    top: int
    most: float  # calls per second at the upper edge

    def x(self, at_s: float) -> float:
        """Where a moment is."""
        share = (at_s - self.begin_s) / (self.end_s - self.begin_s)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, per_second: float) -> float:
        """Where a rate is."""
        return self.top + PLOT * (1 - per_second / self.most)


def chart(take: Take, calls: Sequence[Call]) -> str:
    """The scene's calls in question. The take is over; `calls` are in the order of their ends."""
    zero_s = take.changed_s if take.changed_s is not None else take.began_s
    end_s = take.ended_s if take.ended_s is not None else calls[-1].ended_s
    # whole bins only, with a border at the fault
    begin_s = zero_s - int((zero_s - take.began_s) / BIN_S) * BIN_S
    end_s = zero_s + max(1, int((end_s - zero_s) / BIN_S)) * BIN_S
    mine = [c for c in ended_between(calls, begin_s, end_s) if take.scene.scope.holds(c)]
    bins = timeline(mine, begin_s, end_s, BIN_S)
    marks = sorted((Mark(min(m.at_s, end_s), m.text) for m in take.marks), key=lambda mark: mark.at_s)
    lanes = lanes_of(marks, begin_s, end_s)
    rows = max(lanes, default=0) + 1
    highest = max((sum(b.per_second.values()) for b in bins), default=1.0)
    frame = Frame(begin_s, end_s, zero_s, 8 + rows * LANE, round_up(highest))
    height = frame.top + PLOT + GAP + STRIP + AXIS
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(take.scene.name)}: timeline">',
        *_grid(frame),
        *_stack(frame, [b.per_second for b in bins]),
        *_slowest(frame, mine),
        *_axis(frame),
        *_marks(frame, marks, lanes),
        "</svg>",
    ]
    return "\n".join(parts)


def round_up(value: float) -> float:
    """The next of 1, 2, 5 times a power of ten: a calm upper edge for an axis."""
    step = 1.0
    while True:
        for factor in (1, 2, 3, 5):
            if factor * step >= value:
                return factor * step
        step *= 10


def lanes_of(marks: Sequence[Mark], begin_s: float, end_s: float) -> list[int]:
    """For each mark the row in which its label does not run over another one."""
    frame = Frame(begin_s, end_s, begin_s, 0, 1)
    ends: list[float] = []
    lanes = []
    for mark in marks:
        left, right = _extent(frame, mark)
        lane = next((i for i, end in enumerate(ends) if end < left), len(ends))
        ends[lane : lane + 1] = [right + 8]
        lanes.append(lane)
    return lanes


def _extent(frame: Frame, mark: Mark) -> tuple[float, float]:
    """Left and right of a mark's label: right of its line, unless it would leave the picture."""
    x, width = frame.x(mark.at_s) + 4, _CHARACTER * len(mark.text)
    return (x, x + width) if x + width < WIDTH else (x - 8 - width, x - 8)


def _grid(frame: Frame) -> Iterable[str]:
    for share in (0, 0.5, 1):
        y, tick = frame.y(share * frame.most), f"{share * frame.most:g}"
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick}</text>'
    yield f'<text class="tick" x="{LEFT - 6}" y="{frame.top - 8}" text-anchor="end">calls/s</text>'


def _stack(frame: Frame, bins: Sequence[dict[str, float]]) -> Iterable[str]:
    """Columns, one per bin; a path per place keeps the page small."""
    paths: dict[str, list[str]] = {place: [] for place in ORDER}
    for index, per_second in enumerate(bins):
        left = frame.x(frame.begin_s + index * BIN_S)
        right = min(frame.x(frame.begin_s + (index + 1) * BIN_S), WIDTH - RIGHT)
        below = 0.0
        for place in ORDER:
            value = per_second.get(place, 0.0)
            if value:
                top, bottom = frame.y(below + value), frame.y(below)
                paths[place].append(f"M{left:.1f} {bottom:.1f}V{top:.1f}H{right:.1f}V{bottom:.1f}Z")
                below += value
    for place, path in paths.items():
        if path:
            title = f"served from {place}" if place else "failed"
            yield f'<path class="{NAMES[place]}" d="{"".join(path)}"><title>{title}</title></path>'


def _slowest(frame: Frame, calls: Sequence[Call]) -> Iterable[str]:
    """The slowest answer of each bin, on a strip of its own below."""
    worst: dict[int, float] = {}
    for call in calls:
        index = int((call.ended_s - frame.begin_s) // BIN_S)
        worst[index] = max(worst.get(index, 0.0), 1000 * (call.ended_s - call.began_s))
    most = round_up(max([*worst.values(), 10.0]))
    floor = frame.top + PLOT + GAP + STRIP
    path = []
    for index, value in worst.items():
        left = frame.x(frame.begin_s + index * BIN_S)
        right = min(frame.x(frame.begin_s + (index + 1) * BIN_S), WIDTH - RIGHT)
        path.append(f"M{left:.1f} {floor}V{floor - STRIP * value / most:.1f}H{right:.1f}V{floor}Z")
    yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{floor}" y2="{floor}"/>'
    yield f'<path class="slow" d="{"".join(path)}"><title>slowest answer</title></path>'
    yield f'<text class="tick" x="{LEFT - 6}" y="{floor - STRIP + 8}" text-anchor="end">{most:g}</text>'
    yield f'<text class="tick" x="{LEFT - 6}" y="{floor - STRIP + 22}" text-anchor="end">ms</text>'


def _axis(frame: Frame) -> Iterable[str]:
    floor = frame.top + PLOT + GAP + STRIP
    length = frame.end_s - frame.begin_s
    step = next(s for s in (0.5, 1, 2, 5, 10, 20, 60, 600) if length / s <= 16)
    number = -int((frame.zero_s - frame.begin_s) // step)
    while (at_s := frame.zero_s + number * step) <= frame.end_s:
        x, tick = frame.x(at_s), f"{number * step:g} s"
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{floor}" y2="{floor + 4}"/>'
        yield f'<text class="tick" x="{x:.1f}" y="{floor + 17}" text-anchor="middle">{tick}</text>'
        number += 1


def _marks(frame: Frame, marks: Sequence[Mark], lanes: Sequence[int]) -> Iterable[str]:
    floor = frame.top + PLOT + GAP + STRIP
    for mark, lane in zip(marks, lanes, strict=True):
        x, y = frame.x(mark.at_s), 14 + lane * LANE
        left, _ = _extent(frame, mark)
        yield f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{y - 9}" y2="{floor}"/>'
        yield f'<text class="label" x="{left:.1f}" y="{y}">{escape(mark.text)}</text>'
