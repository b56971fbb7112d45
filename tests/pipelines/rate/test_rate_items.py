"""What raters see is drawn once, tells nothing by its form, and stands in an order that is a rater's own."""

import io
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from ganrnn.data.images import encode_png
from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.config.rate import RateConfig
from pipelines.rate.items import read_items
from pipelines.rate.trials import Design
from tests.pipelines.rate import rating


def sources(folder: Path, reference: str) -> dict[str, str]:
    return {"samples": rating.pictures(f"{folder}/samples.parquet", 20), "reference": reference}


def test_format_and_size_do_not_tell_where_a_picture_comes_from(tmp_path: Path) -> None:
    rows = []
    for number, (kind, size) in enumerate([("JPEG", 64), ("BMP", 16), ("PNG", 48)] * 4):
        buffer = io.BytesIO()
        Image.new("RGB", (size, size), (number, 0, 0)).save(buffer, format=kind, dpi=(72, 72))
        rows.append({"id": str(number), "image": {"bytes": buffer.getvalue(), "path": "x.jpg"}, "text": "red"})
    storage.commit_table(f"{tmp_path}/real.parquet", pa.Table.from_pylist(rows))
    medium, items = read_items(sources(tmp_path, f"{tmp_path}/real.parquet"), RateConfig(num_pool=12), seed=0)
    assert medium == "image" and Counter(item.source for item in items) == {"samples": 12, "reference": 12}
    for item in items:
        with Image.open(io.BytesIO(item.content)) as image:
            assert (image.format, image.mode, image.size, image.info) == ("PNG", "RGB", (16, 16), {})
            assert item.content == encode_png(np.asarray(image))
    assert len({item.key for item in items if item.source == "reference"}) == 12


def test_a_pool_is_a_function_of_the_seed(tmp_path: Path) -> None:
    both = sources(tmp_path, rating.pictures(f"{tmp_path}/real.parquet", 20, tone=160))
    keys = [[item.key for item in read_items(both, RateConfig(num_pool=8), seed)[1]] for seed in (0, 0, 1)]
    assert keys[0] == keys[1] != keys[2] and keys[0] != sorted(keys[0])


def test_only_the_split_of_a_data_set_is_real(tmp_path: Path) -> None:
    for split, first in (("train", 0), ("test", 100)):
        rating.pictures(f"{tmp_path}/dataset/{split}/00000.parquet", 10, tone=160, first=first)
    shards = [{"uri": f"{split}/00000.parquet", "split": split} for split in ("train", "test")]
    storage.commit_json(f"{tmp_path}/dataset/manifest.json", {"shards": shards})
    _, items = read_items(sources(tmp_path, f"{tmp_path}/dataset"), RateConfig(), seed=0)
    assert {item.key for item in items if item.source == "reference"} == {f"p{n}" for n in range(100, 110)}


def test_pairs_are_of_one_prompt(tmp_path: Path) -> None:
    other = rating.pictures(f"{tmp_path}/other.parquet", 20, tone=160, first=12)
    _, items = read_items(sources(tmp_path, other), RateConfig(task="preference"), seed=0)
    keys = {name: [item.key for item in items if item.source == name] for name in ("samples", "reference")}
    assert keys["samples"] == keys["reference"] and set(keys["samples"]) == {f"p{n}" for n in range(12, 20)}
    with pytest.raises(BadInput, match="have no prompt_id in common; pairs need samples for the same prompts"):
        read_items(
            sources(tmp_path, rating.pictures(f"{tmp_path}/far.parquet", 3, first=90)), RateConfig(task="preference"), 0
        )


def test_texts_of_like_length(tmp_path: Path) -> None:
    made = rating.texts(f"{tmp_path}/made.parquet", "text", [" " + "a" * length for length in (10, 20, 20, 900)])
    real = rating.texts(f"{tmp_path}/real.parquet", "target", ["b" * length for length in (400, 21, 10, 19, 11)])
    rate = RateConfig(text_length="matched")
    medium, items = read_items({"samples": made, "reference": real}, rate, seed=0)
    lengths = [[len(item.content) for item in items if item.source == name] for name in ("samples", "reference")]
    assert medium == "text" and sorted(lengths[0]) == [10, 20, 20] and sorted(lengths[1]) == [10, 19, 21]
    assert all(abs(a - b) <= 2 for a, b in zip(*lengths, strict=True))
    _, items = read_items({"samples": made, "reference": real}, RateConfig(), seed=0)
    assert len(items) == 9


@pytest.mark.parametrize(
    ("columns", "settings", "message"),
    [
        ({"id": ["a"], "label": [1]}, {}, "none of the columns image, text, target; it has id, label"),
        ({"id": ["a"], "text": ["b"]}, {}, "holds images, .*reference.parquet texts; both have to hold the same"),
        ({"id": ["a"], "image": [b"no picture"]}, {}, "id 'a': not a readable image"),
        ({"id": ["a"], "image": [None]}, {}, "id 'a'"),
        ({"id": [], "image": []}, {}, "holds no row of Parquet"),
    ],
)
def test_a_source_that_cannot_be_rated(
    columns: dict[str, list[object]], settings: dict[str, object], message: str, tmp_path: Path
) -> None:
    storage.commit_table(f"{tmp_path}/reference.parquet", pa.table(columns))
    with pytest.raises(BadInput, match=message):
        read_items(sources(tmp_path, f"{tmp_path}/reference.parquet"), RateConfig(**settings), seed=0)  # type: ignore[arg-type]


def test_fit_is_asked_about_pictures(tmp_path: Path) -> None:
    made = rating.texts(f"{tmp_path}/made.parquet", "text", ["a"])
    with pytest.raises(BadInput, match=r"rate.task is 'fit', which is asked about pictures"):
        read_items({"samples": made, "reference": made}, RateConfig(task="fit"), seed=0)


POOLS = {"samples": list(range(40)), "reference": list(range(40, 80))}
RATERS = [f"rater{number}" for number in range(200)]


def test_trials_of_a_turing_test() -> None:
    rate = RateConfig(num_items=20, num_practice=4, num_checks=3)
    design = Design(rate, 7, POOLS)
    assert design.trials("a") == Design(rate, 7, POOLS).trials("a") != design.trials("b")
    assert Design(rate, 8, POOLS).trials("a") != design.trials("a")
    practiced, seen, places = set(), Counter[int](), Counter[int]()
    for rater in RATERS:
        trials = design.trials(rater)
        assert [trial.kind for trial in trials[:4]] == ["practice"] * 4
        rated = [trial for trial in trials if trial.kind == "rated"]
        assert Counter(trial.expected for trial in rated) == {"real": 10, "generated": 10}
        assert all(trial.expected == ("generated" if trial.items[0] < 40 else "real") for trial in rated)
        items = [trial.items[0] for trial in rated]
        assert len(set(items)) == 20
        practiced |= {trial.items[0] for trial in trials[:4]}
        seen.update(items)
        checks = [place - 4 for place, trial in enumerate(trials) if trial.kind == "check"]
        # One in each third, counted without the checks before it.
        assert len(checks) == 3
        assert all(int(n * 20 / 3) <= place - n < (n + 1) * 20 / 3 for n, place in enumerate(checks))
        places.update(place for place, trial in enumerate(rated) if trial.expected == "real")
    assert practiced == {38, 39, 78, 79} and not practiced & set(seen) and len(seen) == 76
    # 2,000 of 38 items each and of 20 places: six standard deviations.
    assert all(20 < count < 90 for count in seen.values()) and all(58 < count < 142 for count in places.values())


def test_trials_of_pairs() -> None:
    pools = {name: list(range(start, start + 10)) for name, start in (("samples", 0), ("reference", 10), ("third", 20))}
    rate = RateConfig(task="preference", num_items=24, num_practice=2, num_checks=0, beside={"third": "x"})
    first_left = 0
    for rater in RATERS:
        rated = [trial.items for trial in Design(rate, 0, pools).trials(rater)[2:]]
        # Every couple of every prompt but the two of practice, once.
        assert len({frozenset(items) for items in rated}) == 24
        assert all(left % 10 == right % 10 < 8 for left, right in rated)
        first_left += sum(left < right for left, right in rated)
    assert abs(first_left - 2_400) < 6 * 35


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_items": 80}, "rate.num_items is 80 and rate.num_practice 4, which take 42 items of samples; 40 are"),
        (
            {"num_items": 37, "task": "preference"},
            r"40 common prompts less rate.num_practice \(4\) give 36 pairs",
        ),
    ],
)
def test_more_trials_than_items(settings: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Design(RateConfig(**settings), 0, POOLS)  # type: ignore[arg-type]
