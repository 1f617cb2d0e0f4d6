"""What was recommended, as one HTML file that needs nothing else."""

import html
import io
from collections.abc import Iterator

import pandas as pd

from mrlbench.recommend.recommending import Recommendation
from mrlbench.recommend.snippets.pasting import snippets
from mrlbench.reports.recommend_tables import (
    alternatives_table,
    front_table,
    growth_lines,
    head,
    plan_lines,
    runners_table,
    sureness,
)
from mrlbench.reports.style import log_axis, new_figure

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62em; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; } th, td { text-align: left; padding: .2em .8em .2em 0; }
tr { border-bottom: 1px solid #ddd; } pre { background: #f4f4f4; padding: .8em; overflow: auto; }
"""


def recommendation_page(found: Recommendation) -> str:
    """Write the page: the plan, what a target costs, the alternatives, and what to paste."""
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">',
            f"<title>mrlbench recommend</title>\n<style>{STYLE}</style>",
            "<h1>Which embedding plan</h1>",
            *_paragraphs(head(found)),
            *_paragraphs(plan_lines(found)),
            "<h2>The plan and its runners-up, on the held-out queries</h2>",
            _table(runners_table(found)),
            "<h2>What a target costs</h2>",
            "<p>Nothing that was measured is cheaper and as good, on the tuning queries.</p>",
            front_figure(found),
            _table(front_table(found)),
            "<h2>The obvious alternatives</h2>",
            _table(alternatives_table(found)),
            "<h2>How sure, and how it changes</h2>",
            *_paragraphs(growth_lines(found)),
            *_paragraphs(sureness(found)),
            "<h2>What to paste</h2>",
            *_snippets(found),
            "</html>\n",
        ]
    )


def front_figure(found: Recommendation) -> str:
    """Draw the front, and the plan in it, as SVG."""
    figure, axes = new_figure("", found.constraints.prices.unit, found.constraints.target.name)
    costs = [each.cost.total for each in found.front]
    axes.plot(costs, [each.mean for each in found.front], "o-", label="tuning queries")
    plan = found.plan
    low, high = plan.value.value - plan.value.low, plan.value.high - plan.value.value
    axes.errorbar(
        plan.cost.total, plan.value.value, [[low], [high]], fmt="s", label="the plan, held-out"
    )
    axes.set_xscale("log")
    log_axis(axes.xaxis)
    axes.legend()
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue().partition("<svg")[1] + drawn.getvalue().partition("<svg")[2]


def _paragraphs(lines: Iterator[str]) -> Iterator[str]:
    return (f"<p>{html.escape(line.strip())}</p>" for line in lines)


def _table(table: pd.DataFrame) -> str:
    return table.to_html(index=False, border=0)


def _snippets(found: Recommendation) -> Iterator[str]:
    for name, text in snippets(found).items():
        yield f"<details><summary>{name}</summary><pre>{html.escape(text)}</pre></details>"
