"""One HTML file about a run that needs nothing else: no network, no other file."""

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mrlbench import __version__
from mrlbench.errors import UserError
from mrlbench.files import write_text
from mrlbench.measurements import files
from mrlbench.reports.page.blocks import Block, Chart, HeatMap, Row, Section
from mrlbench.reports.page.cascades import cascade
from mrlbench.reports.page.claims import claims
from mrlbench.reports.page.classes import classes
from mrlbench.reports.page.cost import cost
from mrlbench.reports.page.grid import grid
from mrlbench.reports.page.measured import measured
from mrlbench.reports.page.numbers import number
from mrlbench.reports.page.quality import quality
from mrlbench.reports.page.recommendation import recommendation
from mrlbench.reports.page.setup import setup
from mrlbench.reports.page.speed import search
from mrlbench.reports.page.svg import svg
from mrlbench.runs import Output

PACKAGE = "mrlbench.reports.page"


def write_page(output: Output, data_dir: Path, path: Path) -> None:
    """Write the page about a run.

    Args:
        output: The run, or any folder with CSV files of measurements.
        data_dir: Where data sets are, for examples.
        path: Where the page goes.

    Raises:
        UserError: There is nothing to show.
    """
    if not files(output.folder):
        raise UserError(
            f"expected CSV files to report in {output.folder}, got none: run eval-* first"
        )
    sections = [
        setup(output),
        recommendation(output),
        quality(output),
        cost(output),
        search(output),
        grid(output),
        cascade(output),
        classes(output, data_dir),
        claims(output),
        measured(output),
    ]
    write_text(path, render(output.name, sections))


def render(name: str, sections: Sequence[Section]) -> str:
    """Make the page of its sections; everything that they hold is escaped."""
    environment = Environment(
        loader=PackageLoader(PACKAGE, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"svg": svg, "number": number}
    page = environment.get_template("page.html.jinja")
    return page.render(
        name=name,
        sections=sections,
        methods=_methods(sections),
        style=_own("style.css"),
        script=_own("script.js"),
        version=__version__,
        written=datetime.now(UTC).date().isoformat(),
    )


def _own(name: str) -> Markup:
    """Read a file of this package that goes into the page as it is."""
    return Markup(resources.files(PACKAGE).joinpath(name).read_text(encoding="utf-8"))


def _methods(sections: Sequence[Section]) -> list[str]:
    """List the methods that have something to show or hide in two charts or more."""
    shown: dict[str, int] = {}
    for block in _blocks(sections):
        own = {each.method for each in block.series} if isinstance(block, Chart) else {block.method}
        for method in sorted(own - {""}):
            shown[method] = shown.get(method, 0) + 1
    known = [method for method, count in shown.items() if count > 1]
    return sorted(known, key=lambda each: (each == "paper", " " in each, each != "mrl", each))


def _blocks(sections: Sequence[Section]) -> list[Chart | HeatMap]:
    """Collect the pictures of all sections."""
    flat: list[Block] = []
    for section in sections:
        for block in section.blocks:
            flat += block.blocks if isinstance(block, Row) else [block]
    return [block for block in flat if isinstance(block, Chart | HeatMap)]
