"""A chart as SVG: readable without a script, and with places and words for one to show."""

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, tostring

from markupsafe import Markup

from mrlbench.reports.page.axes import Scale, label, scale_of
from mrlbench.reports.page.blocks import Axis, Chart, Point, Series
from mrlbench.reports.page.numbers import interval, number

WIDTH, HEIGHT = 480, 320  # of the viewBox; a phone shows it at about 0.7
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 26, 42
RIGHT_AXIS = 40
LETTER, GAP = 9, 6  # widest on a phone, in units of the viewBox


def svg(chart: Chart) -> Markup:
    """Draw a chart."""
    plot = _Plot(chart)
    return Markup(tostring(plot.draw(), encoding="unicode"))


class _Plot:
    def __init__(self, chart: Chart) -> None:
        self._chart = chart
        self._edge = WIDTH - RIGHT - (RIGHT_AXIS if chart.right else 0)
        own = [point for each in chart.series if not each.right for point in each.points]
        every = [point for each in chart.series for point in each.points]
        self._x = scale_of(chart.x, [point.x for point in every])
        self._y = scale_of(chart.y, _reach(own))
        others = [point for each in chart.series if each.right for point in each.points]
        self._right = scale_of(chart.right, _reach(others)) if chart.right else self._y

    def draw(self) -> Element:
        chart = self._chart
        root = Element(
            "svg",
            {
                "viewBox": f"0 0 {WIDTH} {HEIGHT}",
                "role": "img",
                "aria-label": f"{chart.title}: {chart.y.title} against {chart.x.title}, "
                f"{len(chart.series)} series; the table below has the numbers",
            },
        )
        self._draw_axes(root)
        for series in chart.series:
            self._draw_series(root, series)
        return root

    def _draw_axes(self, root: Element) -> None:
        axes = SubElement(root, "g", {"class": "axes", "aria-hidden": "true"})
        last = -float(WIDTH)
        for tick in self._x.ticks:
            x, name = self._across(tick), label(tick)
            _line(axes, (x, TOP), (x, HEIGHT - BOTTOM))
            if x - last >= LETTER * len(name) + GAP:
                _text(axes, (x, HEIGHT - BOTTOM + 17), name, "middle")
                last = x
        for tick in self._y.ticks:
            y = self._up(tick, self._y)
            _line(axes, (LEFT, y), (self._edge, y))
            _text(axes, (LEFT - 6, y + 4), label(tick), "end")
        _text(axes, (2, 13), self._chart.y.title, "start", "title")
        _text(axes, ((LEFT + self._edge) / 2, HEIGHT - 5), self._chart.x.title, "middle", "title")
        if self._chart.right:
            self._draw_right(axes, self._chart.right)

    def _draw_right(self, axes: Element, right: Axis) -> None:
        for tick in self._right.ticks:
            at = (self._edge + 6, self._up(tick, self._right) + 4)
            _text(axes, at, label(tick), "start", "grey")
        _text(axes, (WIDTH - 2, 13), right.title, "end", "title grey")

    def _draw_series(self, root: Element, series: Series) -> None:
        look, scale = series.look, self._right if series.right else self._y
        classes = f"series c{look.colour} d{look.dash}{' hollow' if look.hollow else ''}"
        group = SubElement(
            root, "g", {"class": classes, "data-name": series.name, "data-method": series.method}
        )
        places = [(self._across(point.x), self._up(point.y, scale)) for point in series.points]
        if series.line:
            self._draw_band(group, series.points, scale)
            SubElement(group, "path", {"class": "line", "d": "M" + "L".join(map(_pair, places))})
        else:
            self._draw_bars(group, series.points, scale)
        for point, (x, y) in zip(series.points, places, strict=True):
            told = {"data-tip": self._tip(series, point)}
            at = {"href": f"#m{look.marker}", "x": f"{x:.1f}", "y": f"{y:.1f}"}
            SubElement(group, "use", {"class": "point", **at, **told})

    def _draw_band(self, group: Element, points: Sequence[Point], scale: Scale) -> None:
        known = [each for each in points if each.low is not None and each.high is not None]
        if len(known) < 2:
            return
        highs = [(self._across(p.x), self._up(p.high or 0, scale)) for p in known]
        lows = [(self._across(p.x), self._up(p.low or 0, scale)) for p in reversed(known)]
        outline = "M" + "L".join(map(_pair, [*highs, *lows])) + "Z"
        SubElement(group, "path", {"class": "band", "d": outline})

    def _draw_bars(self, group: Element, points: Sequence[Point], scale: Scale) -> None:
        bars = [
            f"M{self._across(p.x):.1f},{self._up(p.low, scale):.1f}V{self._up(p.high, scale):.1f}"
            for p in points
            if p.low is not None and p.high is not None
        ]
        if bars:
            SubElement(group, "path", {"class": "bars", "d": "".join(bars)})

    def _tip(self, series: Series, point: Point) -> str:
        chart = self._chart
        where = f"{chart.x.title} {number(point.x)}"
        value = f"{number(point.y)}{interval(point.low, point.high)}"
        parts = [series.name, point.note, where, f"{chart.y.title} {value}"]
        return "\n".join(part for part in parts if part)

    def _across(self, value: float) -> float:
        return LEFT + self._x.place(value) * (self._edge - LEFT)

    def _up(self, value: float, scale: Scale) -> float:
        return HEIGHT - BOTTOM - scale.place(value) * (HEIGHT - BOTTOM - TOP)


def _reach(points: Sequence[Point]) -> list[float]:
    """Collect every value that is to be seen, with the ends of the intervals."""
    ends = (end for point in points for end in (point.y, point.low, point.high))
    return [end for end in ends if end is not None]


def _pair(place: tuple[float, float]) -> str:
    return f"{place[0]:.1f},{place[1]:.1f}"


def _line(parent: Element, start: tuple[float, float], end: tuple[float, float]) -> None:
    SubElement(parent, "path", {"d": f"M{_pair(start)}L{_pair(end)}"})


def _text(
    parent: Element, at: tuple[float, float], words: str, anchor: str, classes: str = ""
) -> None:
    place = {"x": f"{at[0]:.1f}", "y": f"{at[1]:.1f}", "text-anchor": anchor}
    named = {"class": classes} if classes else {}
    SubElement(parent, "text", {**place, **named}).text = words
