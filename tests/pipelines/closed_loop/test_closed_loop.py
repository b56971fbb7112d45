"""The loop closed: dreamt texts become prompts, and every picture leads back to its sentence and to all models."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
import yaml

from ganrnn import checkpoint
from ganrnn.errors import BadInput
from ganrnn.tasks.latent_text_gan import LatentTextGan, LatentTextGanConfig
from ganrnn.tasks.match_judge import MatchJudge, MatchJudgeConfig
from jobs import closed_loop
from pipelines import storage
from pipelines.closed_loop import lineage
from pipelines.config.loader import load_recipe
from pipelines.formats import manifest as manifests
from pipelines.formats import prompts
from pipelines.formats.manifest import Manifest, ManifestShard
from pipelines.formats.schemas import ATTRIBUTES, TEXT_SAMPLES
from tests.pipelines import tiny
from tests.pipelines.tiny import Run

WORDS = ["red", "circle", "a", "large", "blue", "square", "on", "white"]
NUM_DREAMS = 44  # of which one is empty
DREAMER = {
    "name": "latent_text_gan",
    "vocabulary": "word",
    "num_tokens": 24,
    "cell": "gru",
    "embedding_dim": 12,
    "hidden_dim": 16,
    "latent_dim": 8,
    "z_dim": 4,
    "mlp_dim": 16,
    "num_steps": 40,
    "num_autoencoder_steps": 15,
}
JUDGE = {"name": "match_judge", "height": 16, "width": 16, "base_channels": 4, "embedding_dim": 8, "dim": 8}


def write_model(folder: Path, task: Any) -> str:
    """A model that has learnt nothing; returns its digest."""
    files = checkpoint.pack(task, {}, {})
    storage.commit_files(str(folder), files, last=checkpoint.DESCRIPTION)
    return str(checkpoint.load_sampler(files).model_digest)


def write_dreamer(folder: Path, seed: int = 0) -> str:
    config = LatentTextGanConfig(**DREAMER)
    vocabulary = LatentTextGan.build_vocabulary(config, [(" ".join(WORDS),)])
    return write_model(folder / "model", LatentTextGan(config, vocabulary, seed))


def write_dreamers_prompts(path: Path) -> None:
    """Free texts, each beside what a person wrote in its place; the last may use no word and is empty."""
    words = [WORDS[0], *(f" {word}" for word in WORDS[1:])]  # as the model knows them
    columns = {
        "prompt_id": pa.array([f"p{i:02d}" for i in range(NUM_DREAMS)]),
        "min_tokens": pa.array([1] * (NUM_DREAMS - 1) + [0]),
        "banned": pa.array([None] * (NUM_DREAMS - 1) + [words], pa.list_(pa.string())),
        "label": pa.array(range(NUM_DREAMS), pa.int64()),
        "reference": pa.array(["a green triangle"] * NUM_DREAMS),
        "attributes": pa.array([[("colour", "green")]] * NUM_DREAMS, ATTRIBUTES),
    }
    storage.commit_table(str(path), pa.table(columns))


@pytest.fixture(scope="module")
def loop(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A painter that was trained a little, a dreamer and a judge that were not."""
    folder = tmp_path_factory.mktemp("loop")
    dreamer = folder / "dreamer"
    write_dreamer(dreamer)
    write_dreamers_prompts(dreamer / "prompts.parquet")
    judge = MatchJudgeConfig(**JUDGE)
    write_model(folder / "judge", MatchJudge(judge, MatchJudge.build_vocabulary(judge, [(" ".join(WORDS),)])))
    held = {
        "name": "dreamer",
        "run_uri": str(dreamer),
        "task": DREAMER,
        "generate": {
            "model_uri": f"{dreamer}/model",
            "prompts_uri": f"{dreamer}/prompts.parquet",
            "sampling": {"num_workers": 1, "shard_rows": 30, "decoding": {"max_tokens": 6}},
        },
    }
    (dreamer / "recipe.yaml").write_text(yaml.safe_dump(held))
    store = [setting for setting in trained.shared if setting.startswith("tracking.")]
    settings = (
        f"generate.model_uri={trained.folder}/checkpoints",
        f"generate.prompts_uri={folder}/run/prompts",
        f"generate.choice={{judge_uri: {folder}/judge, num_candidates: 2}}",
        f"dream={{recipe: {dreamer}/recipe.yaml, overrides: {json.dumps(store)}}}",
    )
    (folder / "run").mkdir()
    return Run(folder / "run", (*trained.shared, *settings))


@pytest.fixture(scope="module")
def printed(loop: Run) -> str:
    """What the command says of a whole loop."""
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("builtins.print", lambda *words, **_: lines.extend(map(str, words)))
        closed_loop.act(loop.recipe())
    return "\n".join(lines)


def test_every_picture_leads_back_to_its_sentence_and_to_all_models(loop: Run, printed: str, trained: Run) -> None:
    whole = json.loads((loop.folder / "manifest.json").read_text())
    pictures = pd.concat(pd.read_parquet(shard["uri"]) for shard in whole["shards"])
    made_by = whole["inputs"]
    folder = made_by["dreamer"]["samples_uri"]
    shards = storage.read_json(f"{folder}/manifest.json")["shards"]
    dreamt = pd.concat(pd.read_parquet(f"{folder}/{shard['uri']}") for shard in shards).set_index("sample_id")
    assert len(pictures) == NUM_DREAMS - 1 and pictures["sample_id"].is_unique
    own = dreamt.loc[pictures["prompt_id"]]
    assert (own["text"].to_numpy() == pictures["prompt"].to_numpy()).all() and pictures["prompt"].str.strip().all()
    assert (own["label"].to_numpy() == pictures["label"].to_numpy()).all(), "what was asked of the dreamer stays"
    assert not {"reference", "attributes"} & set(pictures.columns), "a person wrote them of another text"

    root = loop.folder.parent
    digests = [
        checkpoint.load_sampler({name: (place / name).read_bytes() for name in checkpoint.SAMPLER_FILES}).model_digest
        for place in (root / "dreamer/model", trained.folder / f"checkpoints/step-{tiny.NUM_STEPS:08d}", root / "judge")
    ]
    assert set(own["model_digest"]) == set(pictures["dreamer_digest"]) == {digests[0]}
    assert set(pictures["model_digest"]) == {digests[1]} and pictures["match_score"].between(0, 1).all()
    named = (made_by["dreamer"]["model_digest"], made_by["painter"]["model_digest"], made_by["judge"]["judge_digest"])
    assert [*named] == digests and whole["model_digest"] == digests[1] and whole["verb"] == "closed_loop"

    assert all(storage.file_digest(shard["uri"]) == shard["sha256"] for shard in whole["shards"])
    for maker in (made_by["dreamer"], made_by["painter"]):
        assert maker["samples_manifest_digest"] == storage.file_digest(f"{maker['samples_uri']}/manifest.json")
    report = storage.read_json(f"{loop.folder}/report.json")
    assert report["digests"]["prompts_digest"] == made_by["prompts"]["prompts_digest"]
    assert report["samples_manifest_digest"] == made_by["painter"]["samples_manifest_digest"]
    assert whole["config"]["dream"]["recipe"] == str(root / "dreamer/recipe.yaml")


def test_the_command_counts_and_shows_a_way_back(loop: Run, printed: str) -> None:
    totals = storage.read_json(f"{loop.folder}/manifest.json")["totals"]
    dreamt = storage.read_table(storage.list_files(f"{loop.folder}/prompts")).column("prompt").to_pylist()
    differ = len(set(dreamt))
    assert totals == {"dreamt": NUM_DREAMS, "different": differ, "painted": NUM_DREAMS - 1, "rejected": 1}
    rejects = storage.read_table([f"{loop.folder}/samples/rejects.parquet"]).to_pylist()
    assert [(row["id"], row["reason"]) for row in rejects] == [("p43/0", "the prompt is empty")]
    assert f"texts generated       44, of which {differ} differ" in printed and "prompts rejected      1\n" in printed
    for name in ("report.html", "contact_sheet.png", "manifest.json"):
        assert f"{loop.folder}/{name}\n" in printed and (loop.folder / name).exists()
    first = storage.read_table(storage.list_files(f"{loop.folder}/samples", "-000000.parquet")).to_pylist()[0]
    parts = ("sample_id", "model_digest", "prompt", "dreamer_digest", "prompt_id")
    assert all(str(first[name]) in printed for name in parts) and f"match_score {first['match_score']:.4f}" in printed


def test_a_loop_that_lost_some_files_gets_the_same_again(loop: Run, printed: str) -> None:
    before, dreamt = tiny.contents(loop.folder), tiny.contents(loop.folder.parent / "dreamer")
    lost = [loop.folder / "manifest.json", loop.folder / "samples/manifest.json", *loop.folder.glob("report.*")]
    lost += [sorted(loop.folder.glob("samples/*-000001.parquet"))[0], sorted(loop.folder.glob("prompts/*"))[0]]
    kept = sorted(loop.folder.glob("samples/*-000000.parquet"))[0]
    made = kept.stat().st_mtime_ns
    for path in lost:
        path.unlink()
    closed_loop.act(loop.recipe())
    assert tiny.contents(loop.folder) == before and kept.stat().st_mtime_ns == made
    assert tiny.contents(loop.folder.parent / "dreamer") == dreamt


def test_texts_of_another_dreamer_are_refused(loop: Run, printed: str, tmp_path: Path) -> None:
    before = tiny.contents(loop.folder)
    write_dreamer(tmp_path, seed=1)
    elsewhere = [f"run_uri={tmp_path}", f"generate.model_uri={tmp_path}/model"]
    recipe = loop.recipe()
    other = loop.recipe(f"dream.overrides={json.dumps([*recipe.dream.overrides, *elsewhere])}")
    with pytest.raises(BadInput, match=rf"is no prompt of what {tmp_path}/samples holds; choose another generate.prom"):
        closed_loop.act(other)
    assert tiny.contents(loop.folder) == before


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("generate.model_uri=DREAMER", r"gives texts by noise alone; allowed is a model that gives images by prompt"),
        ("generate.model_uri=/nowhere", "/nowhere holds no model"),
        ("generate.choice.judge_uri=DREAMER", "gives texts; allowed is a model of the task match_judge"),
        ("ingest.dataset_uri=/nowhere", "/nowhere/manifest.json does not exist; run ingest first"),
        ("generate.prompts_uri=a.parquet", r"a\.parquet; dreamt prompts are several files, give a folder"),
        ("dream.recipe=none.yaml", r"^dream.recipe: .*/none\.yaml does not exist; give the path of a recipe"),
        ("dream.overrides=[generate.sed=1]", r"^dream.recipe: .*generate.sed is no known key; did you mean seed\?"),
        ("dream.recipe=PAINTER", "has the task text_to_image, which gives images; allowed is a task that gives texts"),
        ("dream={}", "^dream.recipe is missing; give the path of a recipe whose task gives texts"),
    ],
)
def test_what_closes_no_loop_is_refused_before_anything_is_written(
    loop: Run, trained: Run, tmp_path: Path, setting: str, message: str
) -> None:
    places = {"DREAMER": str(loop.folder.parent / "dreamer/model"), "PAINTER": str(trained.path())}
    for name, place in places.items():
        setting = setting.replace(name, place)
    elsewhere = (f"run_uri={tmp_path}", f"generate.prompts_uri={tmp_path}/prompts")
    overrides = f'dream.overrides=["run_uri={tmp_path}"]'
    with pytest.raises(BadInput, match=message):
        closed_loop.act(load_recipe(str(loop.path()), [*loop.shared, *elsewhere, overrides, setting]))
    assert not list(tmp_path.iterdir())


def write_samples(folder: Path, **further: Any) -> dict[str, list[str]]:
    """A finished generation of texts in two shards, by hand; returns the texts of each."""
    texts = {"d-000000.parquet": ["a red circle", " ", "a red circle"], "d-000001.parquet": ["红色圆形"]}
    shards = []
    for number, (name, held) in enumerate(texts.items()):
        columns: dict[str, Any] = {field.name: pa.nulls(len(held), field.type) for field in TEXT_SAMPLES}
        columns["sample_id"] = pa.array([f"{number}{i}/0" for i in range(len(held))])
        columns |= {"text": pa.array(held), "seed": pa.array([7] * len(held), pa.int64())}
        columns |= {key: pa.array([value] * len(held)) for key, value in further.items()}
        shards.append(ManifestShard(name, len(held), ""))
        storage.commit_table(f"{folder}/{name}", pa.table(columns))
    manifests.commit(str(folder), Manifest("generate", {}, {}, tuple(shards), {"samples": 4}, model_digest="ab12"))
    return texts


def test_texts_become_prompts_that_can_be_painted(tmp_path: Path) -> None:
    texts = write_samples(tmp_path / "samples", share=0.5, reference="a person's", attributes="of another text")
    commit = (f"{tmp_path}/samples", f"{tmp_path}/prompts")
    lineage.commit_prompts(*commit)
    first = tiny.contents(tmp_path / "prompts")
    assert first.keys() == texts.keys()
    for number, (name, held) in enumerate(texts.items()):
        rows = storage.read_table([f"{tmp_path}/prompts/{name}"]).to_pylist()
        ids = [f"{number}{i}/0" for i in range(len(held))]
        assert rows == [
            {"prompt_id": i, "prompt": text, "dreamer_digest": "ab12", "share": 0.5}
            for i, text in zip(ids, held, strict=True)
        ]
    assert prompts.plan(storage.list_files(commit[1]), ["prompt"], 2, 0.25).num_rows == 4
    with pytest.raises(BadInput, match="1 of 4 rows have an empty prompt, the first '01/0'"):
        prompts.plan(storage.list_files(commit[1]), ["prompt"], 2, 0.2)
    (tmp_path / "prompts/d-000000.parquet").unlink()
    made = (tmp_path / "prompts/d-000001.parquet").stat().st_mtime_ns
    lineage.commit_prompts(*commit)
    assert tiny.contents(tmp_path / "prompts") == first
    assert (tmp_path / "prompts/d-000001.parquet").stat().st_mtime_ns == made


def test_what_is_no_finished_generation_of_texts_gives_no_prompts(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"samples/manifest.json does not exist; run generate first"):
        lineage.commit_prompts(f"{tmp_path}/samples", f"{tmp_path}/prompts")
    write_samples(tmp_path / "twice", dreamer_digest="cd34")
    with pytest.raises(BadInput, match="has a column 'dreamer_digest', which dreamt prompts have themselves; rename"):
        lineage.commit_prompts(f"{tmp_path}/twice", f"{tmp_path}/prompts")
    write_samples(tmp_path / "pictures")
    uri = f"{tmp_path}/pictures/d-000000.parquet"
    storage.commit_table(uri, storage.read_table([uri]).drop_columns(["text"]))
    with pytest.raises(BadInput, match=r"d-000000.parquet has no column 'text'"):
        lineage.commit_prompts(f"{tmp_path}/pictures", f"{tmp_path}/prompts")
    assert not (tmp_path / "prompts").exists()


def test_a_folder_of_other_prompts_is_left_alone(tmp_path: Path) -> None:
    write_samples(tmp_path / "samples")
    storage.commit_table(f"{tmp_path}/prompts/mine.parquet", pa.table({"prompt_id": ["a"], "prompt": ["a dog"]}))
    with pytest.raises(BadInput, match=r"prompts/mine.parquet is no prompt of what .*/samples holds; choose another"):
        lineage.commit_prompts(f"{tmp_path}/samples", f"{tmp_path}/prompts")
    assert [path.name for path in (tmp_path / "prompts").iterdir()] == ["mine.parquet"]
