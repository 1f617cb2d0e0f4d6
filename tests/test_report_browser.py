"""The HTML report in a real browser: it opens, is drawn, and can be used."""

import itertools
import re
import shutil
from pathlib import Path

import pytest

from mrlbench.reports.page.page import write_page
from mrlbench.runs import Output

PUBLISHED = Path(__file__).parents[1] / "results" / "tiny-imagenet"
BROWSERS = ("chromium", "chromium-headless-shell", "google-chrome", "chromium-browser")
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 375, "height": 740}
LABELS = """svg => [...svg.querySelectorAll('text')].map(text => {
  const box = text.getBoundingClientRect();
  return [text.textContent, box.left, box.top, box.right, box.bottom];
})"""
CONTRAST = """names => {
  const read = name => {
    const probe = document.createElement('i');
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const parts = getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3);
    probe.remove();
    const [r, g, b] = parts.map(each => {
      const share = each / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  return names.map(([one, other]) => {
    const [low, high] = [read(one), read(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  });
}"""


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="the browser tests need pip's playwright"
    )
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("no Chromium on this machine: on Debian or Ubuntu, apt-get install chromium")
    with playwright.sync_playwright() as driver:
        # as root, which CI is, Chromium runs without its sandbox only
        opened = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(Output(PUBLISHED), path.parent, path)
    return path


@pytest.fixture
def visit(browser):
    """Open a file as one kind of reader; requests and errors are kept on the page."""
    contexts = []

    def open_file(path, viewport=DESKTOP, scheme="light"):
        contexts.append(browser.new_context(viewport=viewport, color_scheme=scheme))
        page = contexts[-1].new_page()
        page.set_default_timeout(20_000)
        page.requests, page.errors = [], []
        page.on("request", lambda request: page.requests.append(request.url))
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("console", lambda message: page.errors.append(message.text))
        page.goto(path.as_uri())
        return page

    yield open_file
    for context in contexts:
        context.close()


def test_it_opens_without_a_request_or_an_error_and_everything_is_drawn(visit, report):
    page = visit(report)
    assert page.requests == [report.as_uri()]
    assert page.errors == []
    charts = page.query_selector_all("figure.chart")
    assert len(charts) >= 12
    for chart in charts:
        box = chart.query_selector("svg").bounding_box()
        assert box["width"] > 300 and box["height"] > 200
        points = [each.bounding_box() for each in chart.query_selector_all("svg .series .point")]
        assert len(points) > 2
        assert all(each and each["width"] > 2 for each in points)
        assert all(box["x"] <= each["x"] < box["x"] + box["width"] for each in points)
        assert all(box["y"] <= each["y"] < box["y"] + box["height"] for each in points)


def test_a_series_is_hidden_by_mouse_and_by_keyboard(visit, report):
    page = visit(report)
    chart = page.locator("figure.chart").first
    button, line = (
        chart.locator(".legend button").first,
        chart.locator(":scope > svg .series").first,
    )
    assert line.is_visible()
    button.click()
    assert not line.is_visible() and button.get_attribute("aria-pressed") == "false"
    assert chart.locator(":scope > svg .series").nth(1).is_visible()
    button.press("Enter")
    assert line.is_visible() and button.get_attribute("aria-pressed") == "true"
    button.press("Space")
    assert not line.is_visible()
    assert page.errors == []


def test_a_method_is_hidden_in_every_chart_at_once(visit, report):
    page = visit(report)
    own = page.locator("svg .series[data-method='mrl-e']")
    grid = page.locator("figure.heat[data-method='mrl-e']")
    others = page.locator("svg .series[data-method='mrl']")
    assert own.count() > 5
    page.locator(".switches input[value='mrl-e']").uncheck()
    assert not any(each.is_visible() for each in [*own.all(), *grid.all()])
    assert all(each.is_visible() for each in others.all())
    page.locator(".switches input[value='mrl-e']").check()
    assert all(each.is_visible() for each in [*own.all(), *grid.all()])


def test_points_are_told_on_hover_and_by_the_arrow_keys(visit, report):
    page = visit(report)
    chart, tip = page.locator("figure.chart > svg").first, page.locator("#tip")
    points = chart.locator(".series").first.locator(".point")
    assert not tip.is_visible()
    points.nth(2).hover(force=True)
    assert tip.inner_text() == points.nth(2).get_attribute("data-tip")
    page.mouse.move(2, 2)
    assert not tip.is_visible()
    chart.focus()
    for key, place in (("ArrowRight", 0), ("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1)):
        page.keyboard.press(key)
        assert tip.inner_text() == points.nth(place).get_attribute("data-tip")
    page.keyboard.press("ArrowDown")
    assert tip.inner_text().split("\n")[0] == chart.locator(".series").nth(1).get_attribute(
        "data-name"
    )
    page.keyboard.press("Escape")
    assert not tip.is_visible()
    assert page.errors == []


def test_the_skip_link_is_the_first_stop_and_leads_to_the_report(visit, report):
    page = visit(report)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_labels_are_whole_apart_and_large_enough(visit, report, viewport):
    page = visit(report, viewport)
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    for chart in page.query_selector_all("figure.chart > svg"):
        frame, labels = chart.bounding_box(), chart.evaluate(LABELS)
        for name, left, top, right, bottom in labels:
            assert frame["x"] - 1 <= left and right <= frame["x"] + frame["width"] + 1, name
            assert frame["y"] - 1 <= top and bottom <= frame["y"] + frame["height"] + 1, name
            assert bottom - top >= 9, name
        for one, other in itertools.combinations(labels, 2):
            beside = one[3] <= other[1] + 1 or other[3] <= one[1] + 1
            below = one[4] <= other[2] + 3 or other[4] <= one[2] + 3  # boxes have room for accents
            assert beside or below, (one[0], other[0])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_lines_stand_out_from_the_page(visit, report, scheme):
    page = visit(report, scheme=scheme)
    texts = [("--text", "--page"), ("--soft", "--page"), ("--link", "--page"), ("--text", "--heat")]
    lines = [(f"--c{place}", "--page") for place in range(7)]
    lines += [(f"--{name}", "--page") for name in ("grey", "right", "wrong")]
    assert min(page.evaluate(CONTRAST, texts)) >= 4.5  # WCAG 2, 1.4.3
    assert min(page.evaluate(CONTRAST, lines)) >= 3  # 1.4.11
    shade = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, re.findall(r"\d+", shade))) < 64) == (scheme == "dark")


def test_print_is_light_without_switches_and_nothing_is_cut(visit, report):
    page = visit(report, {"width": 700, "height": 1000}, "dark")  # A4 less its margins
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator(".switches").is_visible() and not page.locator("nav").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 700
    assert page.locator("figure.chart > svg").first.is_visible()
    written = page.pdf(format="A4")
    assert written.startswith(b"%PDF") and 5 <= len(re.findall(rb"/Type\s*/Page\b", written)) <= 25


def test_examples_show_their_pictures(visit, digits_run, tmp_path):
    path = tmp_path / "report.html"
    write_page(Output(digits_run), tmp_path, path)
    page = visit(path)
    widths = page.evaluate("[...document.images].map(each => each.naturalWidth)")
    assert len(widths) >= 16 and set(widths) == {8}
    assert all(url == path.as_uri() or url.startswith("data:") for url in page.requests)
    assert page.errors == []
