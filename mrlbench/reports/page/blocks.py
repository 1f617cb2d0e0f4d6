"""What a page is made of: sections of paragraphs, tables, charts, heat maps and examples.

A block's `kind` names the template that shows it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import ClassVar, Literal

COLOURS, MARKERS, DASHES = 7, 7, 4  # of the style sheet and the page's symbols
GREY = "grey"  # the colour of what others published

Cell = str | float | int | None


@dataclass(frozen=True)
class Paragraph:
    """Plain text, with a command that makes what is missing where something is."""

    kind: ClassVar[str] = "paragraph"
    text: str
    command: str = ""


@dataclass(frozen=True)
class Code:
    """Text as it stands in a file, folded away."""

    kind: ClassVar[str] = "code"
    title: str
    text: str


@dataclass(frozen=True)
class Table:
    """A table; the first cell of each row is its heading.

    Attributes:
        caption: What it shows.
        columns: Their headings.
        rows: As many cells each.
        folded: Whether it is shown on demand only.
        note: Below it.
    """

    kind: ClassVar[str] = "table"
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    folded: bool = False
    note: str = ""


@dataclass(frozen=True)
class Look:
    """How a line is told from others: by colour, by marker and by dashes.

    Attributes:
        colour: 0 to 6, or `grey`.
        marker: 0 to 6.
        hollow: Whether the marker is.
        dash: 0 (none) to 3.
    """

    colour: int | str = 0
    marker: int = 0
    hollow: bool = False
    dash: int = 0


def looks() -> Iterator[Look]:
    """Give each line a look of its own, hollow markers when the colours are used up."""
    for turn in cycle(range(2)):
        for place in range(COLOURS):
            yield Look(place, place % MARKERS, turn > 0, (place + turn) % DASHES)


@dataclass(frozen=True)
class Point:
    """A value with its interval, in the units of the axes; `note` is told on hover."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Series:
    """Points that belong together.

    Attributes:
        name: In the legend.
        points: In order of x.
        look: Of line and marker.
        method: What the page's switches hide it by; empty for what stays.
        line: Whether points are joined; else intervals are bars.
        right: Whether it is on the right axis.
    """

    name: str
    points: Sequence[Point]
    look: Look
    method: str = ""
    line: bool = True
    right: bool = False


@dataclass(frozen=True)
class Axis:
    """An axis.

    Attributes:
        title: With the unit.
        scale: `dims` is logarithmic with a tick at each of `ticks`.
        ticks: Where labels stand; chosen where empty.
        low: Lowest value shown, else that of the points.
        high: Highest value shown.
    """

    title: str
    scale: Literal["linear", "log", "dims"] = "linear"
    ticks: Sequence[float] = ()
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Chart:
    """Lines and points over two axes, with every number in a table behind it."""

    kind: ClassVar[str] = "chart"
    title: str
    x: Axis
    y: Axis
    series: Sequence[Series]
    note: str = ""
    right: Axis | None = None
    spread: str = "95%"  # what low and high are

    @property
    def table(self) -> Table:
        """Every number that is drawn."""
        rows: list[list[Cell]] = [
            [each.name, point.x, point.y, point.low, point.high, point.note]
            for each in self.series
            for point in each.points
        ]
        names = ["series", self.x.title, self.y.title, f"{self.spread}, from", "to", "what"]
        kept = [
            n for n in range(len(names)) if n < 3 or any(row[n] not in (None, "") for row in rows)
        ]
        return Table(
            f"{self.title}: the numbers",
            [names[place] for place in kept],
            [[row[place] for place in kept] for row in rows],
            folded=True,
        )


@dataclass(frozen=True)
class HeatMap:
    """A number for each pair, coloured by its size.

    Attributes:
        title: What it shows.
        method: What the page's switches hide it by.
        corner: What the rows and the columns are.
        columns: Their headings.
        rows: Their headings.
        values: In the order of rows; None where there is none.
        notes: Of each value, told on hover.
    """

    kind: ClassVar[str] = "heat_map"
    title: str
    method: str
    corner: str
    columns: Sequence[str]
    rows: Sequence[str]
    values: Sequence[Sequence[float | None]]
    notes: Sequence[Sequence[str]]

    @property
    def table(self) -> Table:
        """Every value with its interval and its cost."""
        down, across = self.corner.split()[0], self.corner.split()[-2]
        pairs = [
            [row, column, self.notes[i][j]]
            for i, row in enumerate(self.rows)
            for j, column in enumerate(self.columns)
            if self.values[i][j] is not None
        ]
        names = [down, across, "value (95%), cost"]
        return Table(f"{self.title}: the numbers", names, pairs, folded=True)

    def shade(self, value: float) -> float:
        """Say how strong the colour of a value is, from 0 for the lowest to 1 for the highest."""
        known = [each for row in self.values for each in row if each is not None]
        low, high = min(known), max(known)
        return (value - low) / (high - low) if high > low else 1.0


@dataclass(frozen=True)
class Item:
    """A query or a neighbour: what it is called, and its picture or its text.

    Attributes:
        name: Such as its class.
        picture: A `data:` address; empty for a text.
        text: Empty for a picture.
        relevant: Whether it is relevant to the query; None for a query.
        score: Cosine with the query; None for a query.
    """

    name: str
    picture: str = ""
    text: str = ""
    relevant: bool | None = None
    score: float | None = None


@dataclass(frozen=True)
class Example:
    """A query with its nearest neighbours at some dims."""

    query: Item
    neighbours: Sequence[tuple[str, Sequence[Item]]]


@dataclass(frozen=True)
class Examples:
    """Queries with their neighbours."""

    kind: ClassVar[str] = "examples"
    title: str
    examples: Sequence[Example]


Block = Paragraph | Code | Table | Chart | HeatMap | Examples


@dataclass(frozen=True)
class Row:
    """Blocks that stand side by side where there is room."""

    kind: ClassVar[str] = "row"
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Section:
    """A part of the page, with a heading and a place in its contents."""

    key: str
    title: str
    blocks: Sequence[Block | Row] = field(default_factory=tuple)
