"""The verb: what it refuses before anything is written, and answers that outlive kill -9."""

import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from jobs import cli
from pipelines.rate.study import open_study
from tests.pipelines.rate import rating
from tests.pipelines.rate.rating import Rater

Captured = pytest.CaptureFixture[str]
SMALL = ("rate.num_items=4", "rate.num_practice=2", "rate.num_checks=1")


@pytest.fixture
def sources(tmp_path: Path) -> tuple[str, str]:
    reference = rating.pictures(f"{tmp_path}/reference.parquet", 8, tone=160)
    return rating.pictures(f"{tmp_path}/samples.parquet", 8), reference


def main(monkeypatch: pytest.MonkeyPatch, words: Sequence[str], folder: Path, secret: str = rating.SECRET) -> object:
    """The exit code of the console script, with a study below a folder."""
    monkeypatch.setenv("GANRNN_RATE_SECRET", secret)
    settings = [word for setting in (f"run_uri={folder}", *SMALL) for word in ("--set", setting)]
    monkeypatch.setattr(sys, "argv", ["ganrnn", "rate", *settings, *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


@pytest.mark.parametrize(
    ("words", "secret", "message"),
    [
        ((), "short", "GANRNN_RATE_SECRET has 5 characters; it signs the invite links and needs 32 or more"),
        (("--invite", "2"), "", "GANRNN_RATE_SECRET has 0 characters"),
        (("--invite", "0"), rating.SECRET, "--invite 0: give the number of raters, 1 or more"),
        (("--set", "rate.num_item=3"), rating.SECRET, "rate.num_item is no known key; did you mean num_items?"),
        (("--set", "rate.task=touring"), rating.SECRET, "rate.task is 'touring'"),
        (("--set", "rate.num_items=90"), rating.SECRET, "which take 46 items of samples; 8 are there"),
        (("--set", "rate.num_checks=5"), rating.SECRET, "rate.num_checks is 5; allowed are values from 0 to rate.n"),
        (("--set", "rate.half_width=0.5"), rating.SECRET, "rate.half_width is 0.5; allowed are values between 0 and"),
        (("--set", "rate.study_uri=s3://bucket/x"), rating.SECRET, "SQLite needs a folder on a disk of this machine"),
        (("--set", "rate.host=192.0.2.1"), rating.SECRET, "rate.host 192.0.2.1 and rate.port 8321 cannot be used ("),
        (("--set", "rate.beside={a: b}"), rating.SECRET, "rate.beside is for rate.task preference; here it is turing"),
        (("--invite", "1", "--set", "rate.host=0.0.0.0"), rating.SECRET, "rate.public_url is missing; nobody can open"),
        (("--report",), "", "rate holds no study yet"),
    ],
)
def test_what_is_refused_leaves_nothing(
    words: tuple[str, ...],
    secret: str,
    message: str,
    sources: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
) -> None:
    assert main(monkeypatch, [*sources, *words], tmp_path / "run", secret) == 2
    out, err = capsys.readouterr()
    assert message in err and err.startswith("ganrnn: ") and err.count("\n") == 1 and out == ""
    assert not (tmp_path / "run").exists()


def test_a_source_that_is_not_there(
    sources: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    assert main(monkeypatch, [f"{tmp_path}/nowhere", sources[1], "--invite", "1"], tmp_path / "run") == 2
    assert f"{tmp_path}/nowhere holds no row of Parquet" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_one_folder_one_study(
    sources: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    run = tmp_path / "run"
    assert main(monkeypatch, [*sources, "--invite", "2"], run) == 0
    links = capsys.readouterr().out.split()
    assert len(set(links)) == 2 and all(link.startswith("http://127.0.0.1:8321/#") for link in links)
    assert main(monkeypatch, [*sources, "--invite", "1", "--set", "seed=1"], run) == 2
    assert "was begun with seed = 0, now it is 1; set it back, or set rate.study_uri" in capsys.readouterr().err
    rating.pictures(sources[0], 9)
    assert main(monkeypatch, [*sources, "--invite", "1"], run) == 2
    assert "was begun with sources.samples = " in capsys.readouterr().err
    rating.pictures(sources[0], 8)
    words = ["--invite", "1", "--set", "rate.public_url=https://rate.example.org/", "--set", "rate.language=zh"]
    assert main(monkeypatch, [*sources, *words], run) == 0
    assert capsys.readouterr().out.startswith("https://rate.example.org/#")


def test_a_study_whose_making_was_broken_off_is_made_again(sources: tuple[str, str], tmp_path: Path) -> None:
    recipe = rating.study_recipe(tmp_path, *SMALL)
    (tmp_path / "rate").mkdir()
    (tmp_path / "rate/study.sqlite").write_bytes(b"")
    study = open_study(recipe, *sources)
    assert [len(pool) for pool in study.store.pools().values()] == [8, 8]


def test_a_file_that_is_no_study(
    sources: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    (tmp_path / "run/rate").mkdir(parents=True)
    (tmp_path / "run/rate/study.sqlite").write_bytes(b"no database" * 100)
    assert main(monkeypatch, [*sources, "--report"], tmp_path / "run") == 2
    assert "study.sqlite is no study that can be opened (file is not a database)" in capsys.readouterr().err


def test_a_recipe_gives_settings(
    sources: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "name: birds\nrun_uri: run\ntask: {name: image_gan, height: 16, width: 16}\n"
        "rate: {public_url: 'http://birds', language: zh}\n"
    )
    assert main(monkeypatch, [*sources, str(recipe), "--invite", "1"], tmp_path / "run") == 0
    assert capsys.readouterr().out.startswith("http://birds/#")
    assert (tmp_path / "run/rate/study.sqlite").exists()


def test_no_acknowledged_answer_is_lost_or_doubled_by_kill_9(sources: tuple[str, str], tmp_path: Path) -> None:
    settings = (*SMALL, "rate.requests_per_second=1000")
    with rating.serving(tmp_path, *sources, *settings) as server:
        assert urlsplit(server.address).hostname == "127.0.0.1"
        raters = [Rater(server.address, token) for token in rating.tokens(server, 6)]
        answers = rating.killed_while_rating(server, raters, num_kills=2)
    assert sum(rater.num_failed_requests for rater in raters) > 0
    assert [len(rater.acknowledged) for rater in raters] == [7] * 6
    given = {(rater.name, trial, choice) for rater in raters for trial, choice in rater.acknowledged.items()}
    assert len(answers) == 42 and set(answers) == given
