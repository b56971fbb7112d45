"""The rating page in Chromium, from the invite to the last answer: desktop and phone, English and Chinese.

Screenshots go to GANRNN_SCREENSHOTS where that names a folder.
"""

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pipelines.rate.study import open_study
from tests.pipelines.rate import rating
from tests.pipelines.rate.rating import Rater
from tests.stack.browser import Browser, Page
from tests.stack.debian import Unavailable

pytestmark = pytest.mark.slow("downloads and drives Chromium")
SIZES = {"desktop": (1280, 800), "phone": (390, 844)}
WORDS = {
    "en": {"turing": "Is this picture real", "preference": "Which picture is better", "fit": "Does the picture show"},
    "zh": {"turing": "这张图片是真实的", "preference": "哪张图片更好", "fit": "图片与描述相符"},
}
DONE = {"en": "That was all. Thank you!", "zh": "全部完成，谢谢！"}
# Three trials that count, two of practice and a check.
SETTINGS = ("rate.num_items=3", "rate.num_practice=2", "rate.num_checks=1", "rate.requests_per_second=1000")
NEXT = "[...document.querySelectorAll('footer button')].some((button) => !button.disabled)"

OVER = "document.querySelector('.verdict') && !document.querySelector('footer button')"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One Chromium for all tests here; skips where it cannot be had."""
    try:
        held = Browser(tmp_path_factory.mktemp("browser"))
    except Unavailable as reason:
        pytest.skip(str(reason))
    with held:
        yield held


class Shots:
    """Screenshots by number, where they are wanted."""

    def __init__(self, page: Page, name: str) -> None:
        self._page, self._name, self._number = page, name, 0

    def take(self) -> None:
        if folder := os.environ.get("GANRNN_SCREENSHOTS"):
            self._page.screenshot(Path(folder) / f"{self._name}-{self._number}.png")
            self._number += 1


def served(folder: Path, medium: str, *overrides: str) -> Any:
    """The page of a study in this process, as a context manager that gives new raters."""
    if medium == "image":
        samples = rating.pictures(f"{folder}/samples.parquet", 8)
        reference = rating.pictures(f"{folder}/reference.parquet", 8, tone=160)
    else:
        held = [f"<b>{number}</b> rivers run & 江水流 " * 12 for number in range(8)]
        samples = rating.texts(f"{folder}/samples.parquet", "text", held)
        reference = rating.texts(f"{folder}/reference.parquet", "text", [text.upper() for text in held])
    study = open_study(rating.study_recipe(folder, *SETTINGS, *overrides), samples, reference)
    return rating.page(study, study.design.rate)


def held(folder: Path) -> list[tuple[Any, ...]]:
    """Trial, kind, choice, seen and language of all answers of a study."""
    with closing(sqlite3.connect(folder / "rate/study.sqlite")) as connection:
        return connection.execute("select trial, kind, choice, seen, language from answers order by trial").fetchall()


def open_page(browser: Browser, rater: Rater, size: str) -> Page:
    return browser.page(f"{rater.address}/#{rater.token}", *SIZES[size], is_phone=size == "phone")


def to_the_end(page: Page, advance: Callable[[], None], shots: Shots) -> None:
    """Answer until there is nothing to press, a screenshot of each question."""
    while True:
        page.wait_for(f"{NEXT} || {OVER}")
        shots.take()
        if page.value(f"!!({OVER})"):
            return
        page.value("document.querySelector('footer button').dataset.old = 1")
        advance()
        page.wait_for("!document.querySelector('footer button[data-old]')")


@pytest.mark.parametrize("task", ["turing", "preference", "fit"])
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_a_whole_run(task: str, language: str, size: str, browser: Browser, tmp_path: Path) -> None:
    with served(tmp_path, "image", f"rate.task={task}", f"rate.language={language}") as new:
        page = open_page(browser, new(), size)
        questions = set()

        def advance() -> None:
            questions.add(page.text("#question"))
            assert page.value("document.documentElement.scrollWidth <= innerWidth")
            if size == "phone":
                page.tap("footer button:last-child")
            else:
                page.press(
                    "ArrowRight" if page.value("document.querySelectorAll('footer button').length > 1") else "Enter"
                )

        to_the_end(page, advance, Shots(page, f"{task}-{language}-{size}"))
        assert page.text("#words").startswith(DONE[language])
        assert any(question.startswith(WORDS[language][task]) for question in questions)
        assert page.value("document.documentElement.lang") == {"en": "en", "zh": "zh-CN"}[language]
        assert page.complaints == []
    last = {"turing": "generated", "preference": "right", "fit": "no"}[task]
    assert [answer[0] for answer in held(tmp_path)] == list(range(6))
    assert {answer[2:] for answer in held(tmp_path)} == {(last, 1, language)}


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_texts(size: str, browser: Browser, tmp_path: Path) -> None:
    with served(tmp_path, "text", "rate.task=preference") as new:
        page = open_page(browser, new(), size)
        to_the_end(page, lambda: page.click("footer button"), Shots(page, f"texts-{size}"))
        assert page.complaints == [] and page.value("!document.querySelector('#items b')")
    assert {answer[2] for answer in held(tmp_path)} == {"left"}


def test_a_timed_item_vanishes_and_does_not_come_back(browser: Browser, tmp_path: Path) -> None:
    with served(tmp_path, "image", "rate.exposure_seconds=0.3") as new:
        page = open_page(browser, new(), "desktop")
        shots = Shots(page, "timed")
        page.wait_for(NEXT)
        page.press("Enter")
        page.wait_for("document.querySelector('#items img')")
        page.wait_for("!document.querySelector('#items img')")
        assert page.text("#items") == "The time of this item is over. What was it?"
        shots.take()
        page.call("Page.reload")
        page.wait_for("document.readyState === 'complete'")
        page.wait_for(f"{NEXT} && document.querySelector('#words p')")
        page.press("Enter")
        page.wait_for("document.querySelector('#items .note')")
        assert page.text("#items").startswith("This item was shown before.")
        shots.take()
        page.press("ArrowLeft")
        page.wait_for("document.querySelector('.verdict')")
        shots.take()
    assert held(tmp_path) == [(0, "practice", "real", 0, "en")]


def test_the_language_changes_at_once_and_stays(browser: Browser, tmp_path: Path) -> None:
    with served(tmp_path, "image") as new:
        page = open_page(browser, new(), "desktop")
        page.wait_for(NEXT)
        page.press("Enter")
        page.wait_for("document.querySelector('#items img')")
        page.click("#language")
        assert page.text("#question").startswith(WORDS["zh"]["turing"]) and page.text("#stage") == "练习 1 / 2"
        page.call("Page.reload")
        page.wait_for("document.readyState === 'complete'")
        page.wait_for(f"{NEXT} && document.querySelector('#words p')")
        assert page.text("#question") == "评分"
        page.press("Enter")
        page.wait_for("document.querySelector('#items img')")
        page.press("ArrowLeft")
        page.wait_for("document.querySelector('.verdict')")
    assert held(tmp_path) == [(0, "practice", "real", 1, "zh")]


def test_without_an_invite(browser: Browser, tmp_path: Path) -> None:
    with served(tmp_path, "image") as new:
        for token in ("", "forged"):
            page = browser.page(f"{new().address}/#{token}", *SIZES["phone"], is_phone=True)
            page.wait_for("document.querySelector('.verdict')")
            Shots(page, f"no-invite-{token}").take()
            assert page.text(".verdict") == "This page needs an invite link."


def test_an_answer_is_sent_again_until_it_is_kept(browser: Browser, tmp_path: Path) -> None:
    with served(tmp_path, "image") as new:
        page = open_page(browser, new(), "phone")
        page.wait_for(NEXT)
        page.tap("footer button")
        page.wait_for("document.querySelector('#items img')")
        page.call("Network.enable")
        offline = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        page.call("Network.emulateNetworkConditions", offline=True, **offline)
        page.tap("footer button")
        page.wait_for("document.querySelector('#status').textContent")
        assert page.text("#status").startswith("No connection. Your answer is not lost") and held(tmp_path) == []
        Shots(page, "offline").take()
        page.call("Network.emulateNetworkConditions", offline=False, **offline)
        page.wait_for("document.querySelector('.verdict')")
        assert page.text("#status") == ""
    assert [answer[:3] for answer in held(tmp_path)] == [(0, "practice", "real")]
    assert json.dumps(page.complaints).count("ERR_INTERNET_DISCONNECTED") == len(page.complaints)
