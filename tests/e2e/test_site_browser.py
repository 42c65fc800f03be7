"""The site in a real browser: what people do with it, that it keeps quiet, that everybody can use it, that harm stays text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
import sites
from builder import World
from playwright.sync_api import Browser
from sites import KINDS, Visit, facts_of

pytestmark = [pytest.mark.needs("browser"), pytest.mark.slow]
LOOKED_AT = {**KINDS, "hostile": "models/harm/v1.html"}
SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
"""Where pictures of the pages are put, for whoever has made this folder to look at them."""
SIZES = {"wide": {"width": 1280, "height": 900}, "small": {"width": 360, "height": 740}}


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with sites.browser() as found:
        yield found


@pytest.fixture
def visit(chromium: Browser, built: Path) -> Iterator[Visit]:
    context = chromium.new_context(viewport=SIZES["wide"])
    yield Visit(context.new_page(), built)
    context.close()


def every_page(built: Path) -> list[str]:
    return sorted(str(file.relative_to(built)) for file in built.rglob("*.html"))


def a_decision(built: Path) -> str:
    told = json.loads((built / "audit/index.json").read_text())
    return f"decisions/{told['decisions'][0]['commit']}.html"


# ── what people do


def test_a_model_is_found_by_what_it_is_called_in_japanese_and_opened_from_the_keyboard(visit: Visit) -> None:
    page = visit.open("index.html")
    page.keyboard.press("/")
    page.keyboard.type("信用リスク")
    page.wait_for_selector("#found a")
    assert facts_of(page, "#found a")[0].startswith("信用リスク分類モデル")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/models/credit-risk/index.html")
    assert page.inner_text("h1") == "信用リスク分類モデル"
    assert visit.was_quiet()


def test_a_version_is_found_by_its_number_and_stage_and_what_is_nowhere_is_said_not_to_be(visit: Visit) -> None:
    page = visit.open("policies.html")
    page.fill("#search", "ＣＲＥＤＩＴ-risk production")
    page.wait_for_selector("#found a")
    assert [text.split("  ")[0] for text in facts_of(page, "#found a")] == ["信用リスク分類モデル v3 production"]
    page.fill("#search", "nothing-of-that-name")
    page.wait_for_selector("#found p")
    assert facts_of(page, "#found p") == ["Nothing was found"]
    page.keyboard.press("Escape")
    assert not page.is_visible("#found")
    assert visit.was_quiet()


def test_versions_are_sorted_by_a_metric_both_ways_and_filtered(visit: Visit) -> None:
    page = visit.open("models/credit-risk/index.html")
    versions = "table.sortable tbody th a"
    assert facts_of(page, versions) == ["v4", "v3", "v2", "v1"]
    page.click("table.sortable thead button:text-is('accuracy')")
    assert facts_of(page, versions) == ["v2", "v1", "v3", "v4"]
    assert page.get_attribute("th:has(button:text-is('accuracy'))", "aria-sort") == "ascending"
    page.click("table.sortable thead button:text-is('accuracy')")
    assert facts_of(page, versions) == ["v4", "v3", "v1", "v2"]
    assert visit.was_quiet()


def test_rows_of_a_long_table_are_filtered_by_words(world: World, tmp_path: Path, chromium: Browser) -> None:
    builder = world.model("many")
    for number in range(8):
        builder.version(metrics={"accuracy": 0.9 + number / 1000}, release=f"1.{number}.0")
    builder.in_stage("staging", 5).commit()
    world.cli("site", "build", "--out", str(tmp_path / "site"))
    seen = Visit(chromium.new_page(), tmp_path / "site")
    page = seen.open("models/many/index.html")
    page.fill("input.filter", "STAGING 1.4.0")
    assert facts_of(page, "table.sortable tbody th a") == ["v5"]
    page.fill("input.filter", "")
    assert len(facts_of(page, "table.sortable tbody th a")) == 8
    assert seen.was_quiet()
    page.close()


def test_any_two_versions_are_compared_and_what_is_the_same_can_be_left_out(visit: Visit) -> None:
    page = visit.open("models/credit-risk/compare.html")
    assert (page.input_value("select[name=left]"), page.input_value("select[name=right]")) == ("3", "4")
    assert "artifacts" in page.eval_on_selector_all("#compared tbody", "all => all.map(one => one.dataset.section)")
    page.select_option("select[name=left]", "4")
    page.select_option("select[name=right]", "2")
    rows = dict(
        zip(
            facts_of(page, "#compared tbody[data-section=metrics] th[scope=row]"),
            facts_of(page, "#compared tbody[data-section=metrics] tr:not(.section)", "innerText"),
            strict=True,
        )
    )
    assert re.split(r"\s+", rows["accuracy"].strip()) == ["accuracy", "0.96", "0.92", "-0.04", "worse"]
    assert rows["log_loss"].split()[-1] == "better"
    assert "criterion" in facts_of(page, "#compared th[scope=row]")
    page.check("input[name=different]")
    assert "criterion" not in facts_of(page, "#compared th[scope=row]")
    assert "n_estimators" in facts_of(page, "#compared th[scope=row]")
    assert visit.was_quiet()


def test_numbers_are_written_alike_whoever_chose_the_versions(world: World, chromium: Browser, tmp_path: Path) -> None:
    builder = world.model("prices")
    for rmse, size in ((1234.5678, 1_000_000), (1234.5678, 1_000_000), (1235.25, 2_500_000)):
        builder.version(metrics={"rmse": rmse, "r2": 0.12345, "tiny": 0.0000123456}, params={"size": size, "rate": 0.5})
    builder.commit()
    world.cli("site", "build", "--out", str(tmp_path / "site"))
    seen = Visit(chromium.new_page(), tmp_path / "site")
    page = seen.open("models/prices/compare.html")
    rows = "#compared tbody:is([data-section=metrics], [data-section=params]) tr:not(.section)"
    built = facts_of(page, rows, "innerText")
    assert built[0].split() == ["rmse", "1234.5678", "1235.25", "+0.6822", "worse"]
    page.select_option("select[name=left]", "1")
    assert facts_of(page, rows, "innerText") == built
    assert seen.was_quiet()
    page.close()


def test_a_link_to_a_comparison_opens_with_its_two_versions(visit: Visit) -> None:
    page = visit.open("models/credit-risk/v2.html")
    page.click("nav.trail a:has-text('Compare')")
    page.wait_for_url("**/compare.html#left=3&right=2")
    assert (page.input_value("select[name=left]"), page.input_value("select[name=right]")) == ("3", "2")
    assert visit.was_quiet()


def test_the_theme_follows_the_system_until_somebody_chooses_and_stays_chosen(chromium: Browser, built: Path) -> None:
    context = chromium.new_context(color_scheme="dark")
    seen = Visit(context.new_page(), built)
    page = seen.open("index.html")
    ground = "() => getComputedStyle(document.documentElement).backgroundColor"
    dark = page.evaluate(ground)
    page.click("#theme")
    light = page.evaluate(ground)
    assert (dark, light) == ("rgb(20, 22, 26)", "rgb(255, 255, 255)")
    page.click("nav a:has-text('Policies')")
    page.wait_for_load_state("load")
    assert page.evaluate(ground) == light
    page.click("#theme")
    assert (page.evaluate(ground), page.inner_text("#theme")) == (dark, "Theme: dark")
    assert seen.was_quiet()
    context.close()


def test_the_log_is_filtered_by_model_person_and_event_and_each_row_leads_to_its_commit(
    visit: Visit, built: Path
) -> None:
    page = visit.open("audit/index.html")
    page.wait_for_selector("#audit:visible")
    page.select_option("select[name=model]", "churn")
    page.select_option("select[name=event]", "stage_transition")
    found = facts_of(page, "#log .what", "innerText")
    assert (len(found), found[0]) == (
        2,
        "churn: version 1 staging → production\nchurn: version 1 deployed to production",
    )
    page.select_option("select[name=person]", "Alice")
    assert page.inner_text("#audit output") == "2 of 2"
    commit = page.get_attribute("#log a.commit", "href")
    page.click("#log a.commit")
    page.wait_for_load_state("load")
    assert page.inner_text("dd.commit") == str(commit).split("/")[-1].removesuffix(".html")
    page = visit.open("audit/index.html#model=credit-risk&event=alias_set")
    page.wait_for_selector("#audit:visible")
    assert facts_of(page, "#log .what") == ["credit-risk: alias challenger → 4"]
    page.fill("input[name=since]", "2999-01-01")
    assert facts_of(page, "#log p") == ["Nothing was found"]
    assert visit.was_quiet()


@pytest.mark.parametrize(("name", "count"), [("churn", 2), ("leaving", 0)])
def test_the_log_finds_what_a_model_lived_through_under_the_name_it_has_now(
    visit: Visit, name: str, count: int
) -> None:
    page = visit.open(f"audit/index.html#model={name}")
    page.wait_for_selector("#audit:visible")
    told = "\n".join(facts_of(page, "#log .what", "innerText"))
    assert "leaving: version 1 registered" in told
    assert "leaving → churn: model renamed" in told
    assert told.count("staging → production") + told.count("deployed to production") == count
    assert "credit-risk" not in told


@pytest.mark.parametrize("path", ["models/credit-risk/v3.html", "models/credit-risk/index.html", "models/harm/v1.html"])
def test_every_chart_is_drawn_again_where_somebody_looks_closer_without_any_network(visit: Visit, path: str) -> None:
    page = visit.open(path)
    count = page.locator(".picture").count()
    assert count == {"v3": 4, "index": 1, "v1": 3}[Path(path).stem]
    for _ in range(count):
        page.locator(".picture button").first.click()
        page.wait_for_function(
            "left => document.querySelectorAll('.picture button').length === left", arg=count - _ - 1
        )
    assert page.locator(".picture .live svg").count() == count
    assert visit.was_quiet()


def test_a_page_can_be_read_without_any_script(chromium: Browser, built: Path) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((built / "models/credit-risk/v3.html").as_uri())
    assert page.is_visible(".picture svg.chart")
    page.goto((built / "audit/index.html").as_uri())
    assert "churn: version 1 staging → production" in page.inner_text("#log")
    assert not page.is_visible("#audit")
    context.close()


# ── for everybody


@pytest.mark.parametrize("kind", [*LOOKED_AT, "decision"])
def test_axe_finds_nothing_that_keeps_people_out(chromium: Browser, built: Path, kind: str) -> None:
    """In the dark the colours are others and the page is the same: there axe looks at colours alone."""
    context = chromium.new_context(color_scheme="light", viewport=SIZES["wide"], bypass_csp=True)
    seen = Visit(context.new_page(), built)
    page = seen.open(LOOKED_AT.get(kind) or a_decision(built))
    page.wait_for_timeout(50)
    page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    for scheme, what, colour in (("light", {}, "255, 255, 255"), ("dark", {"runOnly": ["cat.color"]}, "20, 22, 26")):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function(f"getComputedStyle(document.documentElement).backgroundColor === 'rgb({colour})'")
        found = page.evaluate("what => axe.run(what)", what)
        told = [(one["id"], [node["target"] for node in one["nodes"]][:3]) for one in found["violations"]]
        if SCREENSHOTS.is_dir():
            page.screenshot(path=SCREENSHOTS / f"{kind}-{scheme}.png", full_page=True)
        assert told == [], f"{scheme}: {told}"
        assert scheme == "dark" or len(found["passes"]) > 10
        assert "color-contrast" in {one["id"] for one in found["passes"]}
    context.close()


@pytest.mark.parametrize("kind", [*LOOKED_AT, "decision"])
def test_a_small_screen_shows_every_page_without_scrolling_sideways(chromium: Browser, built: Path, kind: str) -> None:
    context = chromium.new_context(viewport=SIZES["small"])
    seen = Visit(context.new_page(), built)
    page = seen.open(LOOKED_AT.get(kind) or a_decision(built))
    width = page.evaluate("document.documentElement.scrollWidth")
    page.screenshot(path=SCREENSHOTS / f"{kind}-small.png") if SCREENSHOTS.is_dir() else None
    assert width <= SIZES["small"]["width"]
    context.close()


def test_what_is_printed_has_no_controls(visit: Visit) -> None:
    page = visit.open("models/credit-risk/index.html")
    page.emulate_media(media="print")
    assert [page.is_visible(one) for one in ("#search", "#theme", ".livelier", ".top nav")] == [False] * 4
    assert page.is_visible("h1")


def test_who_comes_by_keyboard_can_skip_to_the_content(visit: Visit) -> None:
    page = visit.open("index.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#main"


# ── harm


def test_no_page_of_a_hostile_registry_runs_or_loads_anything(visit: Visit, built: Path) -> None:
    for path in every_page(built):
        page = visit.open(path)
        assert page.evaluate("window.harmed === undefined"), path
        markup = page.evaluate(
            """() => [...document.querySelectorAll('*')].flatMap(e => [...e.attributes].map(a => [e.tagName, a.name, a.value]))
            .filter(([tag, name, value]) => name.startsWith('on') || /^\\s*(javascript|data|vbscript):/i.test(value) || tag === 'IMG' || tag === 'IFRAME' || tag === 'OBJECT')"""
        )
        assert markup == [], path
        scripts = page.evaluate("[...document.scripts].map(e => e.getAttribute('src'))")
        assert all(re.fullmatch(r"(\.\./)*assets/(theme|site|log)\.js", str(one)) for one in scripts), path
    assert visit.was_quiet()


def test_marks_that_turn_text_round_are_shown_and_do_nothing(visit: Visit) -> None:
    page = visit.open("models/harm/index.html")
    told = page.inner_text("h1")
    assert "‮" not in told
    assert "safe�gpj.exe" in told


def test_the_policy_of_what_a_page_may_do_is_on_every_page(built: Path) -> None:
    for path in every_page(built):
        text = (built / path).read_text(encoding="utf-8")
        assert (
            text.count("default-src 'none'; script-src 'self'; style-src 'self'")
            + text.count("default-src &#39;none&#39;; script-src &#39;self&#39;; style-src &#39;self&#39;")
            == 1
        ), path
