"""The page's server: who may ask what and when, and that nothing but a question comes before its answer."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.rate.access import Buckets, Invites
from pipelines.rate.study import Study, open_study
from tests.pipelines.rate import rating
from tests.pipelines.rate.rating import Rater

SETTINGS = ("rate.num_items=4", "rate.num_practice=2", "rate.num_checks=1", "rate.requests_per_second=1000")
Raters = Callable[[], Rater]


def opened(folder: Path, *overrides: str) -> Study:
    samples = rating.pictures(f"{folder}/samples.parquet", 8)
    reference = rating.pictures(f"{folder}/reference.parquet", 8, tone=160)
    return open_study(rating.study_recipe(folder, *SETTINGS, *overrides), samples, reference)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return opened(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def raters(study: Study) -> Iterator[Raters]:
    with rating.page(study, study.design.rate) as new:
        yield new


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Raters]:
    study = opened(tmp_path_factory.mktemp("timed"), "rate.exposure_seconds=0.5")
    with rating.page(study, study.design.rate) as new:
        yield new


def test_a_whole_run(study: Study, raters: Raters) -> None:
    rater = raters()
    asked: list[dict[str, Any]] = []
    rater.run(lambda question: asked.append(question) or question["check"] or "real")  # type: ignore[func-returns-value]
    assert [question["trial"] for question in asked] == list(range(7)) and {q["num_trials"] for q in asked} == {7}
    assert [question["kind"] for question in asked[:2]] == ["practice"] * 2
    assert sum(question["kind"] == "check" for question in asked) == 1
    own = [answer for answer in study.store.answers() if rater.token.startswith(answer.rater)]
    assert {answer.trial: answer.choice for answer in own} == rater.acknowledged
    assert rater.next() == {"trial": 7, "num_trials": 7, "done": True}


def test_a_question_tells_nothing(raters: Raters) -> None:
    rater = raters()
    question = rater.next()
    assert set(question) == {"trial", "num_trials", "done", "kind", "num_items", "prompt", "check", "vanished"}
    assert (question["prompt"], question["check"], question["num_items"]) == ("", None, 1)
    held = headers(rater, "/api/trials/0/0")
    assert set(held) <= {
        "date", "content-length", "content-type", "content-security-policy", "cache-control", "referrer-policy",
        "x-content-type-options", "cross-origin-resource-policy", "server",
    }  # fmt: skip
    assert held["content-type"] == "image/png" and held["cache-control"] == "no-store"


def headers(rater: Rater, path: str) -> dict[str, str]:
    return {name.lower(): value for name, value in rater.open("GET", path)[2].items()}


def test_the_page_loads_nothing_from_elsewhere(raters: Raters) -> None:
    rater = raters()
    policy = headers(rater, "/")["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    for path in ("/", "/page.js", "/page.css"):
        status, body = replace(rater, token="").ask("GET", path)
        assert status == 200 and b"://" not in body and b"@import" not in body
    assert rater.ask("GET", "/../rate_server.py")[0] == 404 and rater.ask("GET", "/docs")[0] == 404


def test_the_answer_of_a_practice_item_is_told_afterwards_and_no_other(study: Study, raters: Raters) -> None:
    rater = raters()
    told = []
    while not (question := rater.next())["done"]:
        _, body = rater.ask("PUT", f"/api/trials/{question['trial']}?choice=real&language=en")
        told.append(json.loads(body)["truth"])
    trials = study.design.trials(rater.token.split(".")[0])
    assert told == [trials[0].expected, trials[1].expected] + [None] * 5 and None not in told[:2]


def test_the_same_answer_again_is_acknowledged_once(study: Study, raters: Raters) -> None:
    rater = raters()
    assert [rater.answer(0, "real") for _ in range(3)] == [200] * 3
    assert rater.answer(0, "generated") == 409
    assert [(a.trial, a.choice) for a in study.store.answers() if rater.token.startswith(a.rater)] == [(0, "real")]


def test_only_the_trial_whose_turn_it_is(raters: Raters) -> None:
    rater = raters()
    assert rater.answer(1, "real") == 409 and rater.ask("GET", "/api/trials/1/0")[0] == 409
    assert rater.answer(0, "real") == 200
    assert rater.ask("GET", "/api/trials/0/0")[0] == 409 and rater.ask("GET", "/api/trials/1/0")[0] == 200
    assert rater.ask("GET", "/api/trials/1/1")[0] == 404


@pytest.mark.parametrize(
    "query",
    ["choice=maybe&language=en", "choice=real&language=fr", "language=en", "choice=real&language=en&seconds=nan",
     "choice=real&language=en&seconds=-1", "choice=real&language=en&seen=perhaps"],
)  # fmt: skip
def test_an_answer_that_makes_no_sense(query: str, raters: Raters) -> None:
    rater = raters()
    assert rater.ask("PUT", f"/api/trials/0?{query}")[0] == 422 and rater.next()["trial"] == 0
    for trial in (-1, 7):
        assert rater.ask("PUT", f"/api/trials/{trial}?choice=real&language=en")[0] == 422


def test_a_timed_item_is_served_once(timed: Raters) -> None:
    rater = timed()
    assert not rater.next()["vanished"] and rater.ask("GET", "/api/trials/0/0")[0] == 200
    assert rater.next()["vanished"] and rater.ask("GET", "/api/trials/0/0")[0] == 410
    assert rater.answer(0, "real", seen=False) == 200
    assert not rater.next()["vanished"]


def test_without_an_invite_nothing_is_told(tmp_path: Path) -> None:
    study = opened(tmp_path)
    with rating.page(study, study.design.rate) as new:
        rater = new()
        other = Invites(rating.SECRET, "another study", 1).new()
        forged = Invites("x" * 32, study.store.about["study_id"], 1).new()
        wrong = ("", "x", "ü", rater.token[:-1], rater.token.upper(), other, forged)
        strangers = [replace(rater, token=token) for token in wrong]
        assert [stranger.ask("GET", "/api/next") for stranger in strangers] == [
            (401, b'{"detail":"no valid invite"}')
        ] * 7
        for path in ("/api/study", "/api/trials/0/0"):
            assert strangers[0].ask("GET", path)[0] == 401
        assert strangers[0].ask("PUT", "/api/trials/0?choice=real&language=en")[0] == 401
        # Strangers of the same address, as behind a proxy, keep nobody with an invite out.
        statuses = [strangers[0].ask("GET", "/api/next")[0] for _ in range(20)]
        assert statuses[:5] == [401] * 5 and statuses[-1] == 429
        assert rater.ask("GET", "/api/next")[0] == 200 and not study.store.answers()


def test_a_rater_is_slowed_down_alone(tmp_path: Path) -> None:
    study = opened(tmp_path)
    with rating.page(study, replace(study.design.rate, requests_per_second=1)) as new:
        hasty, other = new(), new()
        given = [hasty.open("GET", "/api/next") for _ in range(12)]
        refused = [headers for status, _, headers in given if status == 429]
        assert 6 <= len(refused) <= 9 and {headers["Retry-After"] for headers in refused} == {"1"}
        assert other.ask("GET", "/api/next")[0] == 200


def test_a_full_disk_acknowledges_nothing(tmp_path: Path) -> None:
    study = opened(tmp_path)
    with rating.page(study, study.design.rate) as new:
        rater = new()
        assert rater.answer(0, "real") == 200
        study.store._connection.execute("pragma query_only = on")
        assert rater.ask("PUT", "/api/trials/1?choice=real&language=en")[0] == 503
        study.store._connection.execute("pragma query_only = off")
        assert rater.next()["trial"] == 1 and rater.answer(1, "real") == 200


def test_every_commit_waits_for_the_disk(study: Study) -> None:
    connection = study.store._connection
    assert connection.execute("pragma journal_mode").fetchone() == ("wal",)
    assert connection.execute("pragma synchronous").fetchone() == (2,)  # FULL
    with pytest.raises(sqlite3.IntegrityError, match=r"UNIQUE constraint failed: answers.rater, answers.trial"):
        connection.execute("insert into answers select * from answers limit 1")


def test_an_invite_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    invites = Invites(rating.SECRET, "study", max_days=2)
    token = invites.new()
    assert invites.rater(token) == token.split(".")[0] and len({invites.new() for _ in range(100)}) == 100
    now = invites._signer.get_timestamp()
    monkeypatch.setattr(invites._signer, "get_timestamp", lambda: now + 2 * 86_400 - 5)
    assert invites.rater(token) is not None
    monkeypatch.setattr(invites._signer, "get_timestamp", lambda: now + 2 * 86_400 + 5)
    assert invites.rater(token) is None


def test_a_bucket_fills_again_and_idle_names_are_forgotten() -> None:
    now = [0.0]
    buckets = Buckets(2, 3, clock=lambda: now[0], max_names=2)
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    now[0] = 0.5
    assert [buckets.take("a") for _ in range(2)] == [0, 0.5]
    now[0] = 100
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    buckets.take("b"), buckets.take("c")
    assert set(buckets._held) == {"b", "c"}
