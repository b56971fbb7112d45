"""Generation: a row's bytes depend on the row, every row is made once, and bad input leaves nothing behind."""

import json
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ganrnn import checkpoint
from ganrnn.data.images import decode, encode_png
from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.generate.driver import generate
from tests.pipelines import tiny
from tests.pipelines.generate.samples import images, prompts_of, samples, shards, write
from tests.pipelines.tiny import NUM_TEST, Run

MakeRun = Callable[[], Run]


@pytest.fixture(scope="module")
def reference(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The held-out prompts in shards of 20."""
    folder = tmp_path_factory.mktemp("reference")
    generate(trained.recipe(f"generate.samples_uri={folder}/samples"))
    return folder / "samples"


def test_a_finished_generation(trained: Run, reference: Path) -> None:
    manifest = storage.read_json(f"{reference}/manifest.json")
    model = json.loads(tiny.last_checkpoint(trained.recipe())[checkpoint.DESCRIPTION])
    assert manifest["verb"] == "generate" and manifest["model_digest"] == model["model_digest"]
    assert manifest["totals"] == {"samples": NUM_TEST, "prompts": NUM_TEST, "rejects": 0, "unknown_tokens": 0}
    assert [shard["rows"] for shard in manifest["shards"]] == [20, 20]
    for shard in manifest["shards"]:
        assert storage.file_digest(f"{reference}/{shard['uri']}") == shard["sha256"]
    prompts = storage.read_table([f"{trained.folder}/dataset/prompts.parquet"]).to_pylist()
    rows = samples(reference)
    assert [(row["prompt_id"], row["prompt"]) for row in rows] == [(p["prompt_id"], p["prompt"]) for p in prompts]
    assert [dict(row["attributes"]) for row in rows] == [dict(p["attributes"]) for p in prompts]
    assert {row["model_digest"] for row in rows} == {model["model_digest"]} and {row["seed"] for row in rows} == {0}
    assert {decode(row["image"]["bytes"]).size for row in rows} == {(16, 16)}
    assert len({row["image"]["bytes"] for row in rows}) > NUM_TEST / 2


def test_the_samples_are_those_of_the_model_at_hand(trained: Run, reference: Path) -> None:
    files = tiny.last_checkpoint(trained.recipe())
    task = checkpoint.load_sampler({name: files[name] for name in checkpoint.SAMPLER_FILES})
    rows = samples(reference)[:8]
    made = task.sample({"prompt": [row["prompt"] for row in rows]}, [(0, row["sample_id"]) for row in rows])
    for row, image in zip(rows, made.permute(0, 2, 3, 1).numpy(), strict=True):
        assert row["image"]["bytes"] == encode_png(image)


def test_bfloat16_is_close_and_a_plan_of_its_own(trained: Run, reference: Path, tmp_path: Path) -> None:
    settings = [f"generate.samples_uri={tmp_path}/samples", "generate.sampling.precision=bfloat16"]
    generate(trained.recipe(*settings))
    halves, wholes = images(tmp_path / "samples"), images(reference)
    assert halves.keys() == wholes.keys() and halves != wholes
    difference = [
        np.abs(np.asarray(decode(halves[i]), float) - np.asarray(decode(wholes[i]), float)).mean() for i in wholes
    ]
    assert np.mean(difference) < 4
    with pytest.raises(BadInput, match="was begun with precision = 'bfloat16', now it is 'float32'"):
        generate(trained.recipe(settings[0]))


@pytest.mark.parametrize("shard_rows", [3, 7, 100])
def test_shards_and_order_change_no_picture(shard_rows: int, trained: Run, reference: Path, tmp_path: Path) -> None:
    table = storage.read_table([f"{trained.folder}/dataset/prompts.parquet"])
    shuffled = table.take(random.Random(1).sample(range(NUM_TEST), NUM_TEST))
    pq.write_table(shuffled, tmp_path / "shuffled.parquet")
    settings = [f"generate.prompts_uri={tmp_path}/shuffled.parquet", f"generate.sampling.shard_rows={shard_rows}"]
    uris = tiny.write_here(trained.recipe(*settings, f"generate.samples_uri={tmp_path}/samples"))
    rows = storage.read_table(uris).to_pylist()
    assert {row["sample_id"]: row["image"]["bytes"] for row in rows} == images(reference)
    assert [row["prompt_id"] for row in rows] == shuffled.column("prompt_id").to_pylist()


def test_columns_of_a_prompt(trained: Run, tmp_path: Path) -> None:
    """Samples per prompt, a seed of its own, empty prompts, and columns that nobody knows."""
    columns = prompts_of(
        6,
        seed=[7, None, 7, 9, None, None],
        num_samples=[2, None, 1, 3, 1, 0],
        note=["a", None, "c", "d", "e", "f"],
        tags=[["x"], [], None, ["y", "z"], [], []],
    )
    columns["prompt"][4] = "  \t"
    columns["prompt"][2] = columns["prompt"][0]
    uri = write(tmp_path / "prompts.parquet", columns, {"seed": pa.int64(), "num_samples": pa.int32()})
    manifest = generate(trained.recipe(f"generate.prompts_uri={uri}", f"generate.samples_uri={tmp_path}/samples"))
    rows = samples(tmp_path / "samples")
    assert [(row["sample_id"], row["seed"]) for row in rows] == [
        ("p000/0", 7), ("p000/1", 7), ("p001/0", 0), ("p002/0", 7), ("p003/0", 9), ("p003/1", 9), ("p003/2", 9),
    ]  # fmt: skip
    assert [row["note"] for row in rows] == ["a", "a", None, "c", "d", "d", "d"]
    assert [row["tags"] for row in rows] == [["x"], ["x"], [], None, *[["y", "z"]] * 3]
    assert "num_samples" not in rows[0]
    assert len({row["image"]["bytes"] for row in rows}) == len(rows)
    assert manifest.totals["rejects"] == 1 and manifest.totals["prompts"] == 6
    assert storage.read_table([f"{tmp_path}/samples/rejects.parquet"]).to_pylist() == [
        {"place": uri, "id": "p004", "reason": "the prompt is empty"}
    ]


def test_several_files_are_one_prompt_set(trained: Run, reference: Path, tmp_path: Path) -> None:
    table = storage.read_table([f"{trained.folder}/dataset/prompts.parquet"])
    (tmp_path / "prompts").mkdir()
    pq.write_table(table.slice(0, 13), tmp_path / "prompts" / "a.parquet")
    pq.write_table(table.slice(13), tmp_path / "prompts" / "b.parquet")
    settings = [f"generate.prompts_uri={tmp_path}/prompts", f"generate.samples_uri={tmp_path}/samples"]
    generate(trained.recipe(*settings))
    assert images(tmp_path / "samples") == images(reference)
    assert [shard["rows"] for shard in storage.read_json(f"{tmp_path}/samples/manifest.json")["shards"]] == [20, 20]


def test_run_again_it_makes_only_what_is_missing(trained: Run, reference: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(reference, tmp_path / "samples"))
    recipe = trained.recipe(f"generate.samples_uri={copy}")
    before = {path: path.stat().st_mtime_ns for path in copy.iterdir()}
    manifest = generate(recipe)
    assert {path: path.stat().st_mtime_ns for path in copy.iterdir()} == before
    (copy / "manifest.json").unlink()
    second = sorted(copy.glob("*-000001.parquet"))[0]
    second.unlink()
    (copy / f".{second.name}.part-{'0' * 32}").write_bytes(b"what a killed writer left")
    assert generate(recipe).shards == manifest.shards
    assert shards(copy).keys() - {f".{second.name}.part-{'0' * 32}"} == shards(reference).keys()
    assert {name: shards(copy)[name] for name in shards(reference)} == shards(reference)
    first = sorted(copy.glob("*-000000.parquet"))[0]
    assert first.stat().st_mtime_ns == before[first]


def _truncated(path: Path) -> None:
    write(path, prompts_of(30))
    path.write_bytes(path.read_bytes()[:-100])


def _damaged_page(path: Path) -> None:
    write(path, prompts_of(30))
    data = bytearray(path.read_bytes())
    data[4:200] = b"\xff" * 196
    path.write_bytes(data)


BAD_PROMPTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (lambda p: None, "does not exist; give generate.prompts_uri, or run ingest first"),
    "empty": (lambda p: p.write_bytes(b""), "cannot be read as Parquet"),
    "truncated": (_truncated, "cannot be read as Parquet"),
    "damaged_page": (_damaged_page, "cannot be read as Parquet"),
    "no_rows": (lambda p: write(p, prompts_of(0), dict.fromkeys(("prompt_id", "prompt"), pa.string())), "holds no row"),
    "no_prompt_column": (
        lambda p: write(p, {"prompt_id": ["a"], "text": ["a dog"]}),
        "has no column 'prompt'; it has prompt_id, text",
    ),
    "no_id_column": (lambda p: write(p, {"prompt": ["a dog"]}), "has no column 'prompt_id'; it has prompt"),
    "wrong_type": (lambda p: write(p, {"prompt_id": [1], "prompt": ["a"]}), "column prompt_id is int64; allowed is st"),
    "wrong_seed": (lambda p: write(p, prompts_of(2, seed=["1", "2"])), "column seed is string; allowed is integer"),
    "fraction": (lambda p: write(p, prompts_of(2, num_samples=[1.5, 2])), "column num_samples is double; allowed is i"),
    "negative": (lambda p: write(p, prompts_of(2, num_samples=[1, -2])), "num_samples"),
    "double_id": (lambda p: write(p, prompts_of(2, prompt_id=["a", "a"])), "prompt_id 'a' is not unique"),
    "null_id": (lambda p: write(p, prompts_of(2, prompt_id=["a", None])), "column prompt_id holds null"),
    "reserved_column": (lambda p: write(p, prompts_of(2, model_digest=["a", "b"])), "model_digest"),
    "too_many_rejects": (
        lambda p: write(p, prompts_of(2, prompt=["", None])),
        "2 of 2 rows have an empty prompt, the first 'p000'; generate.max_reject_share allows 0.2",
    ),
}


@pytest.mark.parametrize("case", BAD_PROMPTS)
def test_bad_prompts_are_refused_and_leave_nothing(trained: Run, tmp_path: Path, case: str) -> None:
    make, message = BAD_PROMPTS[case]
    path = tmp_path / "prompts.parquet"
    make(path)
    with pytest.raises(BadInput) as raised:
        generate(trained.recipe(f"generate.prompts_uri={path}", f"generate.samples_uri={tmp_path}/samples"))
    assert message in str(raised.value) and str(path) in str(raised.value) and "\n" not in str(raised.value)
    assert not (tmp_path / "samples").exists()


def _flip(folder: Path) -> None:
    weights = bytearray((folder / checkpoint.SAMPLER).read_bytes())
    weights[-1] ^= 1
    (folder / checkpoint.SAMPLER).write_bytes(weights)


def _describe(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """A description that is consistent in itself."""
    description = json.loads((folder / checkpoint.DESCRIPTION).read_bytes())
    change(description)
    description["model_digest"] = checkpoint.model_digest(checkpoint.Description(**description))
    (folder / checkpoint.DESCRIPTION).write_text(json.dumps(description))


BAD_MODELS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (shutil.rmtree, "holds no model; allowed are a folder with checkpoint.json"),
    "damaged": (_flip, "sampler.safetensors has sha256 .* the file is damaged"),
    "truncated": (
        lambda p: (p / checkpoint.DESCRIPTION).write_bytes((p / checkpoint.DESCRIPTION).read_bytes()[:-9]),
        "is no checkpoint description",
    ),
    "no_weights": (lambda p: (p / checkpoint.SAMPLER).unlink(), "sampler.safetensors does not exist"),
    "vocabulary": (
        lambda p: _describe(p, lambda d: d["vocabulary"]["tokens"].append("more")),
        "the weights of encoder_ema do not fit its config or vocabulary",
    ),
    "newer_format": (lambda p: _describe(p, lambda d: d.update(format_version=2)), "format_version is 2; this version"),
}


@pytest.mark.parametrize("case", BAD_MODELS)
def test_bad_models_are_refused_and_leave_nothing(trained: Run, tmp_path: Path, case: str) -> None:
    damage, message = BAD_MODELS[case]
    model = Path(shutil.copytree(f"{trained.folder}/checkpoints/step-{tiny.NUM_STEPS:08d}", tmp_path / "model"))
    damage(model)
    with pytest.raises(BadInput, match=message) as raised:
        generate(trained.recipe(f"generate.model_uri={model}", f"generate.samples_uri={tmp_path}/samples"))
    assert str(model) in str(raised.value)
    assert not (tmp_path / "samples").exists()


@pytest.mark.parametrize("changed", ["seed", "model", "prompts", "shard_rows"])
def test_other_samples_in_the_same_folder_are_refused(
    trained: Run, reference: Path, tmp_path: Path, changed: str
) -> None:
    earlier = next(f for f in sorted(Path(trained.folder, "checkpoints").glob("step-*")) if not f.name.endswith("60"))
    override, difference = {
        "seed": ("generate.seed=1", "seed = 0, now it is 1"),
        "model": (f"generate.model_uri={earlier}", "model_digest = '[0-9a-f]{64}', now it is '[0-9a-f]{64}'"),
        "prompts": (
            f"generate.prompts_uri={write(tmp_path / 'prompts.parquet', prompts_of(40))}",
            "prompts_digest = '[0-9a-f]{64}', now it is '[0-9a-f]{64}'",
        ),
        "shard_rows": ("generate.sampling.shard_rows=10", "shard_rows = 20, now it is 10"),
    }[changed]
    before = tiny.contents(reference)
    with pytest.raises(BadInput, match=f"begun with {difference}; set it back, choose another generate.samples_uri"):
        generate(trained.recipe(f"generate.samples_uri={reference}", override))
    assert tiny.contents(reference) == before


@pytest.mark.slow("kills a driver with a Ray of its own")
def test_a_killed_driver_loses_and_doubles_nothing(trained: Run, make_run: MakeRun) -> None:
    run = make_run()
    uri = write(run.folder / "prompts.parquet", prompts_of(900, num_samples=[1 + i % 2 for i in range(900)]))
    settings = [f"generate.prompts_uri={uri}", "generate.sampling.shard_rows=5", "generate.sampling.num_workers=2"]
    killed = Path(run.recipe(*settings).generate.samples_uri)
    with tiny.started(run.command("generate", *settings)) as process:
        tiny.wait_until(lambda: bool(list(killed.glob("*.parquet"))), "the first shard", process)
        tiny.kill(process)
    kept = shards(killed)
    assert 1 <= len([name for name in kept if not name.startswith(".")]) < 180
    assert not (killed / "manifest.json").exists()
    generate(run.recipe(*settings))
    whole = run.folder / "whole"
    generate(run.recipe(*settings, f"generate.samples_uri={whole}"))
    manifest = storage.read_json(f"{killed}/manifest.json")
    assert manifest["shards"] == storage.read_json(f"{whole}/manifest.json")["shards"]
    assert manifest["totals"]["samples"] == 1350
    for shard in manifest["shards"]:
        assert (killed / shard["uri"]).read_bytes() == (whole / shard["uri"]).read_bytes()
    ids = [row["sample_id"] for row in samples(killed)]
    assert len(set(ids)) == len(ids) == 1350


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 KiB: room for the plan and one shard."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        command = ["mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", str(folder)]
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no tmpfs can be mounted here: {error}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_the_users_to_mend(trained: Run, small_disk: Path, tmp_path: Path) -> None:
    uri = write(tmp_path / "prompts.parquet", prompts_of(60))
    recipe = trained.recipe(f"generate.prompts_uri={uri}", f"generate.samples_uri={small_disk}/samples")
    with pytest.raises(BadInput, match=r"cannot be written .no space left on device") as raised:
        generate(recipe)
    assert "\n" not in str(raised.value)
    assert not (small_disk / "samples" / "manifest.json").exists()
    for name in shards(small_disk / "samples"):
        assert pq.read_table(small_disk / "samples" / name).num_rows == 20
    subprocess.run(["mount", "-o", "remount,size=1m", str(small_disk)], check=True)
    generate(recipe)
    assert len(images(small_disk / "samples")) == 60
