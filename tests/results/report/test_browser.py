"""The page as a browser shows it, opened from the disk.

Needs a Chromium: the one that `EFFSEARCH_CHROMIUM` names, or one on the path (`apt-get install chromium`). Without
one these tests fail rather than pass unseen; they are among the long ones.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from effsearch.results.certificate import write_certificate
from effsearch.results.ledger import LedgerEntry
from effsearch.results.report.contents import read_contents
from effsearch.results.report.page import make_report

from ..conftest import MakeCertificate, MakeEntry
from .conftest import COEFFICIENTS, FAMILY, HOSTILE, IMPORTANCE, NOW, TRIPLE, MakeRun

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS = 120  # to draw the charts, on a machine that is busy
NUM_SCREENED = 3000


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    from playwright.sync_api import sync_playwright

    program = os.environ.get("EFFSEARCH_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.fail("no Chromium here: apt-get install chromium, or name one in EFFSEARCH_CHROMIUM")
    with sync_playwright() as playwright:
        # No sandbox: root has none, and the only page that is opened is ours.
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page_file(
    make_run: MakeRun,
    make_entry: MakeEntry,
    make_certificate: MakeCertificate,
    search: list[LedgerEntry],
    result: dict[str, Any],
) -> Path:
    """The page of a search that was screened at length, and where one network has a hostile name."""
    screened = [
        make_entry(
            kind="screen",
            name="screened",
            network_hash=f"s{number}",
            multiply_adds=100_000_000 + number,
            val_loss=1.0,
            spec={},
            features={"naswot": 1.0},
            point={HOSTILE: HOSTILE, "stage1.repeats": number},
        )
        for number in range(NUM_SCREENED)
    ]
    hostile = make_entry(
        name=HOSTILE,
        network_hash="bad",
        multiply_adds=250_000_000,
        val_accuracy=0.62,
        point={HOSTILE: HOSTILE},
    )
    run = make_run(
        entries=[*search, hostile, *screened],
        report=result,
        files={"family/family.json": FAMILY, "importance.csv": IMPORTANCE},
    )
    write_certificate(run, make_certificate())
    path = run / "report.html"
    path.write_text(make_report(read_contents(run), state="ended", now=NOW).html, "utf-8")
    return path.resolve()


class Visit:
    """An open page, with all that it said and asked for."""

    def __init__(self, page: "Page", file: Path) -> None:
        self.page = page
        self.said: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(file.as_uri())
        page.wait_for_selector("html[data-ready=true]", timeout=SECONDS * 1000)

    def found(self) -> str:
        return str(self.page.locator("[data-found]").inner_text())

    def names(self) -> list[str]:
        return [str(name) for name in self.page.locator("[data-trainings] tbody th").all_inner_texts()]

    def place_of(self, trace: str) -> tuple[float, float]:
        """Where the first point of a trace of the front is, after scrolling there."""
        self.page.locator('[data-chart="front"]').scroll_into_view_if_needed()
        x, y = self.page.evaluate(
            """name => { const chart = document.querySelector('[data-chart=front]');
            const area = chart.querySelector('.nsewdrag').getBoundingClientRect();
            const trace = chart.data.find(one => one.name === name);
            const { xaxis, yaxis } = chart._fullLayout;
            return [area.x + xaxis.d2p(trace.x[0]), area.y + yaxis.d2p(trace.y[0])]; }""",
            trace,
        )
        return float(x), float(y)


@pytest.fixture
def visit(browser: "Browser", page_file: Path) -> Iterator[Visit]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    visit = Visit(context.new_page(), page_file)
    yield visit
    assert visit.page.evaluate("window.attacked") is None, "text of the run was run"
    context.close()


def test_it_opens_from_the_disk_in_silence_and_asks_for_nothing(visit: Visit, page_file: Path) -> None:
    charts = visit.page.locator("[data-chart]").count()
    assert charts == 4
    assert visit.page.locator("[data-chart] .main-svg .scatterlayer").count() >= charts
    assert visit.page.locator("[data-chart] .wait").count() == 0
    visit.page.mouse.wheel(0, 5000)
    assert visit.said == []
    assert visit.requests == [page_file.as_uri()]
    refused = visit.page.evaluate(
        "new Promise(done => { addEventListener('securitypolicyviolation', event => done(event.violatedDirective));"
        "fetch('https://effsearch.invalid/').catch(() => {}); })"
    )
    assert refused == "connect-src"


def test_pointing_at_a_network_says_what_it_is(visit: Visit) -> None:
    visit.page.mouse.move(*visit.place_of("winner"), steps=3)
    label = visit.page.locator('[data-chart="front"] .hoverlayer .hovertext')
    label.wait_for(timeout=20_000)
    text = label.text_content() or ""
    assert "trial 1" in text
    assert "65.0% ± 7.1 over 2 seeds" in text
    assert "stage3.kernel_size 5" in text


def test_a_hostile_name_is_text_in_the_chart_too(visit: Visit) -> None:
    visit.page.evaluate(
        """() => { const chart = document.querySelector('[data-chart=front]');
        const curve = chart.data.findIndex(t => (t.hovertext || []).some(text => text.includes('attacked')));
        const point = chart.data[curve].hovertext.findIndex(text => text.includes('attacked'));
        Plotly.Fx.hover(chart, [{curveNumber: curve, pointNumber: point}]); }"""
    )
    label = visit.page.locator('[data-chart="front"] .hoverlayer .hovertext')
    label.wait_for(timeout=20_000)
    assert "</script><script>window.attacked=1" in (label.text_content() or "")
    assert visit.page.locator("[data-chart] a, [data-chart] image[href^=http]").count() == 0


def test_a_box_around_networks_filters_the_table(visit: Visit) -> None:
    assert "of 6 " in visit.found()  # trainings; screenings are left out at first
    place = visit.page.locator('[data-chart="front"] .nsewdrag').first
    place.scroll_into_view_if_needed()
    box = place.bounding_box()
    assert box is not None
    mouse = visit.page.mouse
    mouse.move(box["x"] + 2, box["y"] + 2)
    mouse.down()
    mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=4)
    mouse.move(box["x"] + 0.82 * box["width"], box["y"] + 0.97 * box["height"], steps=4)
    mouse.up()
    visit.page.get_by_text("networks picked").wait_for()
    names = visit.names()
    assert "trial 2" in names
    assert "efficientnet-b0" not in names  # it lies outside the box
    assert "trial 3" not in names  # it failed, so no dot is its
    visit.page.get_by_role("button", name="Show all networks").click()
    assert "of 6 " in visit.found()
    assert visit.page.locator("[data-selection]").inner_text() == ""


def test_a_click_on_a_network_keeps_the_table_to_it(visit: Visit) -> None:
    visit.page.mouse.click(*visit.place_of("winner"))
    visit.page.get_by_text("1 network picked").wait_for()
    assert set(visit.names()) == {"trial 1"}
    assert len(visit.names()) == 2


def test_trainings_of_a_network_can_be_reached_by_keyboard(visit: Visit) -> None:
    button = visit.page.get_by_role("button", name="its trainings of trial 2")
    button.focus()
    visit.page.keyboard.press("Enter")
    assert visit.names() == ["trial 2"]
    assert visit.page.evaluate("document.activeElement.matches('[data-filter]')")


def test_the_table_sorts_by_a_heading_with_the_keyboard_too(visit: Visit) -> None:
    heading = visit.page.locator("[data-sort=accuracy]")
    heading.click()
    assert visit.names()[0] == "trial 1"
    assert visit.names()[-1] == "trial 3"  # it has none, which is no zero
    cell = visit.page.locator("th[aria-sort]")
    assert cell.get_attribute("aria-sort") == "descending"
    heading.focus()
    visit.page.keyboard.press("Enter")
    assert cell.get_attribute("aria-sort") == "ascending"
    assert visit.names()[0] == "trial 2"
    assert visit.names()[-1] == "trial 3"


def test_the_table_is_searched_by_text_and_turned_over(visit: Visit) -> None:
    find = visit.page.get_by_label("Find")
    find.fill("NaN")
    assert visit.names() == ["trial 3"]
    find.fill("no such thing")
    assert visit.found() == "No row matches."
    find.fill("")
    visit.page.get_by_label("Show").select_option("everything")
    assert f"of {NUM_SCREENED + 8:,}" in visit.found()
    assert len(visit.names()) == 25
    visit.page.get_by_role("button", name="Next").click()
    assert visit.found().startswith("Rows 26 to 50 ")
    find.fill("stage1.repeats=2999")
    assert visit.names() == ["screened"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_without_sideways_scrolling(
    browser: "Browser", page_file: Path, scheme: Any
) -> None:
    context = browser.new_context(
        viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True, color_scheme=scheme
    )
    visit = Visit(context.new_page(), page_file)
    assert visit.page.evaluate("document.documentElement.scrollWidth") == 360
    paper = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
    ink = visit.page.evaluate("document.querySelector('[data-chart=front]').layout.font.color")
    assert (paper, ink) == {
        "light": ("rgb(250, 249, 247)", "#1c2126"),
        "dark": ("rgb(20, 23, 27)", "#e7e9ec"),
    }[scheme]
    assert visit.said == []
    context.close()


def test_a_search_of_coefficients_opens_in_silence(
    browser: "Browser", make_run: MakeRun, make_entry: MakeEntry
) -> None:
    entry = make_entry(kind="coefficient", name="1.2,1.1,1.15", coefficients=TRIPLE | {"phi": 1.0})
    file = (make_run(entries=[entry], report=COEFFICIENTS, command="scale") / "report.html").resolve()
    file.write_text(make_report(read_contents(file.parent), state="ended", now=NOW).html, "utf-8")
    visit = Visit(browser.new_page(), file)
    assert visit.page.locator("[data-chart=surface] .main-svg .scatterlayer").count() == 1
    assert visit.said == []
    visit.page.close()


def test_a_training_opens_in_silence_and_its_curves_answer(browser: "Browser", make_run: MakeRun) -> None:
    history = "epoch,train_loss,val_loss,val_accuracy,val_top5,learning_rate,resolution\n"
    history += "".join(
        f"{epoch},{3 / epoch},{3 / epoch},{epoch / 10},{epoch / 8},0.1,32\n" for epoch in (1, 2, 3)
    )
    settings = {"network": HOSTILE, "training": {"num_epochs": 3}}
    run = make_run(command="train", settings=settings, files={"history.csv": history})
    file = (run / "report.html").resolve()
    file.write_text(make_report(read_contents(run), state="stopped", now=NOW).html, "utf-8")
    for width in (1200, 390):
        visit = Visit(browser.new_page(viewport={"width": width, "height": 900}), file)
        for key in ("loss", "accuracy", "rate", "size"):
            assert visit.page.locator(f"[data-chart=curve-{key}] .main-svg .scatterlayer").count() == 1
        chart = visit.page.locator("[data-chart=curve-loss]")
        chart.scroll_into_view_if_needed()
        chart.locator(".drag.nsewdrag").first.hover()
        visit.page.wait_for_selector("[data-chart=curve-loss] .hoverlayer .hovertext")
        assert "epoch 2: 1.500" in "".join(chart.locator(".hoverlayer .hovertext").all_text_contents())
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
        assert visit.page.evaluate("window.attacked") is None
        assert visit.said == []
        visit.page.close()


def test_a_page_without_charts_needs_no_library(browser: "Browser", make_run: MakeRun) -> None:
    run = make_run("empty")
    file = (run / "report.html").resolve()
    file.write_text(make_report(read_contents(run), state="stopped", now=NOW).html, "utf-8")
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(file.as_uri())
    assert page.locator("h1").inner_text().startswith("Search of mbconv")
    assert said == []
    page.close()
