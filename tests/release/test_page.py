"""The page in a real browser: no request, its own policy kept, no overflow, no tiny text, accessible, printable."""

import dataclasses
from pathlib import Path

import pytest

from charter.release.report import render

CHROMIUM = Path("/usr/bin/chromium")
OVERFLOW = (Path(__file__).parent / "overflow.js").read_text(encoding="utf-8")
pytestmark = [
    pytest.mark.page,
    pytest.mark.skipif(
        not CHROMIUM.exists(),
        reason="Chromium is not installed (Debian: apt-get install chromium fonts-noto-cjk)",
    ),
]


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield opened
        opened.close()


def long_names(record):
    """The same record under names that are long, in both scripts, with markup in them."""
    name = "ein_sehr_langer_name_ohne_jede_luecke_" * 2 + "v1"
    renamed = record.charter.model_copy(update={"name": name})
    findings = tuple(
        dataclasses.replace(
            one, slice={"city": "<b>Llanfairpwllgwyngyllgogerychwyrndrobwll 地区名称很长的一个群体</b>"}
        )
        if one.slice == {"city": "Paris"}
        else one
        for one in record.findings
    )
    return dataclasses.replace(record, charter=renamed, findings=findings)


@pytest.fixture(scope="module")
def pages(silent_run, telling_run, entity_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    records = {
        "silent": silent_run.result.record,
        "telling": telling_run.result.record,
        "entities": entity_run.result.record,
        "long": long_names(silent_run.result.record),
    }
    for name, record in records.items():
        for language in ("en", "zh"):
            (folder / f"{name}.{language}.html").write_text(
                render(record, language=language), encoding="utf-8"
            )
    return folder


def opened(browser, page_file, *, width, scheme="light", bypass=False):
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 900}, bypass_csp=bypass
    )
    page = context.new_page()
    page.asked, page.said = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("console", lambda message: page.said.append(message.text))
    page.goto(page_file.as_uri())
    return page


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", ["silent", "telling", "entities", "long"])
@pytest.mark.parametrize("width", [1280, 375])
def test_nothing_is_requested_nothing_overflows_and_no_text_is_tiny(browser, pages, name, language, width):
    file = pages / f"{name}.{language}.html"
    page = opened(browser, file, width=width)
    assert page.asked == [file.as_uri()]
    assert page.said == []  # the page's own style keeps to the page's own policy
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(OVERFLOW) == []
    page.context.close()


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_axe_finds_no_violation(browser, pages, language, scheme, width):
    from axe_playwright_python.sync_playwright import Axe

    for name in ("telling", "entities"):
        page = opened(browser, pages / f"{name}.{language}.html", width=width, scheme=scheme, bypass=True)
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        violations = Axe().run(page).response["violations"]
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in violations] == []
        page.context.close()


def test_the_policy_allows_the_pages_own_style_and_no_other(browser, pages):
    page = opened(browser, pages / "silent.en.html", width=1280)
    assert page.evaluate("getComputedStyle(document.querySelector('.badge')).borderRadius") == "16px"
    page.evaluate(
        "() => { const one = document.createElement('style'); one.textContent = 'h1 { color: red }'; document.head.append(one) }"
    )
    assert page.evaluate("getComputedStyle(document.querySelector('h1')).color") != "rgb(255, 0, 0)"
    page.context.close()


def test_on_paper_it_is_dark_on_light_and_nothing_is_cut(browser, pages):
    page = opened(browser, pages / "telling.zh.html", width=680, scheme="dark")  # A4 inside its margins
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    cut = "[...document.querySelectorAll('table')].filter(one => one.getBoundingClientRect().right > innerWidth + 1).length"
    assert page.evaluate(cut) == 0
    assert len(page.pdf(format="A4")) > 20_000
    page.context.close()


def test_markup_in_names_is_text(pages):
    page = (pages / "long.en.html").read_text(encoding="utf-8")
    assert "<b>Llan" not in page
    assert "&lt;b&gt;Llan" in page


def test_the_verdict_and_every_unkept_limit_stand_before_the_first_section(silent_run):
    first = render(silent_run.result.record, language="en").split("<section", 1)[0]
    for said in (
        "refused draft",
        "Recall (class: good) ≥ 0.999",
        "Macro F1 ≥ 0.999",
        "Accuracy (city: Rome) ≥ 0.1",
        "Measured on",
    ):
        assert said in first
