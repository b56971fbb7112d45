"""Recipes: what resolves to what, and the one sentence that a user reads for each mistake."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.config.loader import load_recipe
from pipelines.config.plain_yaml import read_yaml
from pipelines.config.recipe import Recipe
from pipelines.config.uri_fields import MODELS, is_uri_field, uri_field, with_absolute_uris
from pipelines.evaluate.driver import evaluate
from pipelines.formats.manifest import MANIFEST
from pipelines.generate.driver import generate
from pipelines.generate.verify import verify
from pipelines.sampling.rhymes import with_rhymes
from pipelines.train.driver import train
from tests.pipelines.tiny import Run

DEMO = str(Path(__file__).parents[3] / "jobs/recipes/demo.yaml")


def test_every_recipe_in_the_repository_loads() -> None:
    paths = sorted(Path(DEMO).parent.rglob("*.yaml"))
    assert len(paths) > 20
    for path in paths:
        recipe = load_recipe(str(path))
        assert json.loads(json.dumps(recipe.as_dict())) == recipe.as_dict()


def test_empty_uris_lie_below_run_uri_and_names_follow_the_recipe(tmp_path: Path) -> None:
    recipe = load_recipe(DEMO, [f"run_uri={tmp_path}/run/", "name=shapes", "seed=7"])
    run = f"{tmp_path}/run"
    assert (recipe.run_uri, recipe.ingest.dataset_uri) == (run, f"{run}/dataset")
    assert recipe.generate.prompts_uri == f"{run}/dataset/prompts.parquet"
    assert recipe.generate.model_uri == recipe.train.checkpoint_uri == f"{run}/checkpoints"
    assert (recipe.promote.registered_model, recipe.tracking.experiment) == ("shapes", "shapes")
    assert recipe.generate.seed == 7
    assert recipe.resolved() == recipe


def test_relative_paths_become_absolute_and_other_uris_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = load_recipe(
        DEMO, ["run_uri=runs/a", "ingest.dataset_uri=s3://bucket/data", "generate.model_uri=models:/m@c"]
    )
    assert recipe.run_uri == f"{tmp_path}/runs/a"
    assert recipe.ingest.dataset_uri == "s3://bucket/data"
    assert recipe.generate.model_uri == "models:/m@c"
    assert recipe.dream.recipe == "" and load_recipe(DEMO, ["dream.recipe=b.yaml"]).dream.recipe == f"{tmp_path}/b.yaml"
    assert recipe.tracking.tracking_uri.startswith(f"sqlite:///{tmp_path}/")


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("run_uri=s3:/b/x", r"run_uri is 's3:/b/x', which is neither a URI nor a path"),
        ("ingest.dataset_uri=file://host/x", r"ingest\.dataset_uri is 'file://host/x', which names another host"),
        ("train.checkpoint_uri=$HOME/x", r"train\.checkpoint_uri is '\$HOME/x', in which \$HOME is no folder"),
        ("ingest.source_uri=hf://a/b", r"ingest\.source_uri is 'hf://a/b', whose scheme hf:// is not known"),
        ("generate.samples_uri=models:/m@c", r"generate\.samples_uri is 'models:/m@c', which is neither"),
        ("generate.model_uri=models:/m", r"generate\.model_uri is 'models:/m'; allowed are models:/NAME@ALIAS"),
        ("evaluate.sweep={temperatures: [1], beside: {a: 's4://b'}}", r"sweep\.beside\.a is 's4://b', whose scheme"),
        ("tracking.tracking_uri=sqlite:m.db", r"tracking\.tracking_uri is 'sqlite:m\.db'; allowed are sqlite:///FILE"),
        ("tracking.artifact_uri=s3:///x", r"tracking\.artifact_uri is 's3:///x', in which '' is no bucket"),
        ("dream.recipe=s3:x", r"dream\.recipe is 's3:x', which is neither"),
    ],
)
def test_a_uri_that_names_nothing_is_refused_with_its_key(override: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        load_recipe(DEMO, [override])


def test_overrides_are_yaml_values_and_the_last_one_holds() -> None:
    overrides = ["train.num_workers=1", "train.num_workers=4", "ingest.attribute_columns=[a, b]", "train.use_gpu=true"]
    recipe = load_recipe(DEMO, [*overrides, "promote.at_least.colour=0.95", "ingest.scenes.languages=[zh]"])
    assert (recipe.train.num_workers, recipe.train.use_gpu) == (4, True)
    assert recipe.ingest.attribute_columns == ("a", "b")
    assert recipe.promote.at_least["colour"] == 0.95
    assert recipe.ingest.scenes.languages == ("zh",)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("train.num_worker=1", "train.num_worker is no known key; did you mean num_workers?"),
        ("ingest.scenes.num_trian=3", "ingest.scenes.num_trian is no known key; did you mean num_train?"),
        ("bogus.x=1", "bogus is no known key; allowed are name, run_uri, task, seed, ingest"),
        ("task.bogus=1", "task.bogus is no known key; "),
        ("task.name=foo", "task.name is 'foo'; allowed are "),
        ("train.num_workers=two", "train.num_workers is 'two'; allowed is a whole number"),
        ("train.num_workers=1.5", "train.num_workers is 1.5; allowed is a whole number"),
        ("train.num_workers=true", "train.num_workers is true; allowed is a whole number"),
        ("train.num_workers=0", "train.num_workers is 0; allowed are values from 1 up"),
        (
            "train.global_batch_size=33",
            "train.global_batch_size is 33; allowed are multiples of train.num_workers (2) from 2 up",
        ),
        ("train.use_gpu=1", "train.use_gpu is 1; allowed is true or false"),
        ("train=3", "train is 3; allowed is a section with keys such as num_workers, use_gpu"),
        (
            "ingest.source=video",
            "ingest.source is 'video'; allowed are scenes, image_folder, parquet, text_files",
        ),
        ("ingest.source=parquet", "ingest.source_uri is missing; source parquet needs the folder or file to read"),
        ("ingest.holdout_share=.nan", "ingest.holdout_share is nan; allowed are finite numbers"),
        ("ingest.scenes.languages=[fr]", "ingest.scenes.languages.0 is 'fr'; allowed are en, zh"),
        ("evaluate.extractor.sha256=xyz", "evaluate.extractor.sha256 is 'xyz'; allowed are 64 digits from 0 to f"),
        ("promote.at_least.colour=high", "promote.at_least.colour is 'high'; allowed is a number"),
        (
            "promote.at_least={colour:0.9}",
            "promote.at_least.colour:0.9 has no value; YAML needs a blank after",
        ),
        ("name=a/b", "promote.registered_model is 'a/b', by default the name of the recipe; allowed is"),
        ("promote.registered_model=a:b", "promote.registered_model is 'a:b', by default"),
        ("promote.registered_model=..", "promote.registered_model is '..', by default"),
        ("promote.registered_model=it's", 'promote.registered_model is "it\'s", by default'),
        ("promote.registered_model=50%", "promote.registered_model is '50%', by default"),
        ("promote.registered_model=a@b", "promote.registered_model is 'a@b', by default"),
        ("ingest.image_column=picture", "ingest.image_column is 'picture'; it is for images from source parquet"),
        ("seed=2026-01-01", "seed is '2026-01-01'; allowed is a whole number"),
        (
            "generate.sampling.min_workers=3",
            "generate.sampling.min_workers is 3; allowed are values from 0 to generate.sampling.num",
        ),
        ("generate.verify_share=1.5", "generate.verify_share is 1.5; allowed are values from 0 to 1"),
        ("dream.overrides=[seed=1]", "dream.recipe is missing; give the recipe that dream.overrides are for"),
        ("dream={recipe: a.yaml, overrides: [seed]}", "dream.overrides holds 'seed'; allowed is a.b=value, such as"),
        ("dream={recipe: a.yaml, overrides: [=1]}", "dream.overrides holds '=1'; allowed is a.b=value, such as"),
    ],
)
def test_a_mistake_is_named_with_its_value_and_what_is_allowed(override: str, sentence: str) -> None:
    with pytest.raises(BadInput) as error:
        load_recipe(DEMO, [override])
    assert str(error.value).startswith((f"--set {override}: {sentence}", f"{DEMO}: {sentence}"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("novalue", "--set novalue: give key=value"),
        ("=3", "--set =3: give key=value"),
        ("name.x=1", "--set name.x=1: name is a value, not a section"),
        ("train.num_workers=[1", "--set train.num_workers=[1: the value is not YAML"),
        ("ingest={a: 1, b: {c: 1, c: 2}}", "--set ingest={a: 1, b: {c: 1, c: 2}}: line 1: 'c' stands twice, first in"),
        (
            "run_uri=runs/my run #1",
            "--set run_uri=runs/my run #1: YAML takes '#1' for a comment and would",
        ),
        ("name=#1", "--set name=#1: YAML takes '#1' for a comment"),
        ("ingest.attribute_columns=[a, b] # c", "--set ingest.attribute_columns=[a, b] # c: YAML takes '# c'"),
    ],
)
def test_an_override_that_is_none_is_named(override: str, sentence: str) -> None:
    with pytest.raises(BadInput) as error:
        load_recipe(DEMO, [override])
    assert str(error.value).startswith(sentence)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"", "is empty; a recipe is a mapping of sections"),
        (b"- a", "holds ['a']; a recipe is a mapping of sections"),
        (b"a: [1", "is not a YAML file"),
        (b"\xff\xfe\x00", "is not a YAML file"),
        (b"name: x\nrun_uri: y\n", "task.name is missing; allowed are"),
        (b"name: x\ntask: {name: text_to_image}\n", "run_uri is missing; allowed is text"),
    ],
)
def test_a_broken_recipe_is_refused_with_its_path(text: bytes, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(text)
    with pytest.raises(BadInput) as error:
        load_recipe(str(path))
    assert str(error.value).startswith(str(path))
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name: a\ningest: {}\ntrain: {}\ningest: {}\n", "line 4: 'ingest' stands twice, first in line 2; leave one"),
        ("name: a\ningest:\n  height: 16\n  'height': 32\n", "line 4: 'height' stands twice, first in line 3;"),
        ("name: a\ndream:\n  - {x: {1: a, '1': b}}\n", "line 3: '1' stands twice, first in line 3;"),
        ("a: &a {x: 1}\nb:\n  <<: *a\n  x: 2\n  y: 1\n  y: 2\n", "line 6: 'y' stands twice, first in line 5;"),
    ],
)
def test_a_key_that_stands_twice_is_refused_with_its_line(text: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(BadInput) as error:
        load_recipe(str(path))
    assert str(error.value).startswith(f"{path} {sentence}")


def test_partitions_are_numbers_or_texts_as_they_are_written() -> None:
    values = {"9": 9, "010": "010", "10:30": "10:30", "1.5": 1.5, "2026-01-31": "2026-01-31", "'9'": "9", "0": 0}
    for written, value in values.items():
        recipe = load_recipe(DEMO, [f"generate.since.m={written}", f"generate.where.m={written}"])
        assert recipe.generate.since == recipe.generate.where == {"m": value}


def test_a_merged_key_may_be_given_again() -> None:
    merged = read_yaml("a: &a {x: 1, y: 2}\nb: &b\n  <<: *a\n  x: 3\nc:\n  <<: *b\n  y: 4\n")
    assert merged["b"] == {"x": 3, "y": 2} and merged["c"] == {"x": 3, "y": 4}


def test_a_missing_recipe_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.yaml does not exist; give the path of a recipe"):
        load_recipe(str(tmp_path / "none.yaml"))
    with pytest.raises(BadInput, match="is not a YAML file"):
        load_recipe(str(tmp_path))


def test_rhymes_are_read_by_the_verbs_that_decode(tmp_path: Path) -> None:
    file = tmp_path / "rhymes.txt"
    recipe = load_recipe(DEMO, [f"generate.sampling.rhymes_uri={file}"])  # which is not there yet
    file.write_text("# level tone\n東同中\n", "utf-8-sig")
    sampling = with_rhymes(recipe).generate.sampling
    assert (sampling.decoding.rhymes, sampling.rhymes_uri) == (("# level tone", "東同中"), None)
    plain = load_recipe(DEMO)
    assert with_rhymes(plain) is plain
    file.write_text("東同中\nhill still\n")
    with pytest.raises(BadInput, match="rhymes: line 2 holds 'h'; allowed are Han ideographs and blanks"):
        with_rhymes(recipe)
    file.write_bytes(b"\xff")
    with pytest.raises(BadInput, match=r"rhymes\.txt is not UTF-8"):
        with_rhymes(recipe)
    both = [f"generate.sampling.rhymes_uri={file}", "generate.sampling.decoding.rhymes=[東同]"]
    with pytest.raises(BadInput, match="one is enough"):
        load_recipe(DEMO, both)


@pytest.mark.parametrize("verb", [train, generate, verify, evaluate])
def test_a_verb_that_decodes_refuses_rhymes_that_are_not_there(
    verb: Callable[[Recipe], Any], trained: Run, tmp_path: Path
) -> None:
    settings = [f"generate.sampling.rhymes_uri={tmp_path}/none.txt", f"generate.samples_uri={tmp_path}/samples"]
    storage.commit_json(f"{tmp_path}/samples/{MANIFEST}", {})
    with pytest.raises(BadInput, match=r"none\.txt does not exist"):
        verb(trained.recipe(*settings))


@dataclass(frozen=True)
class _Inner:
    file_uri: str = uri_field()
    more: dict[str, str] = field(default_factory=dict, metadata=MODELS)


@dataclass(frozen=True)
class _Outer:
    out_uri: str = uri_field(below="a/b")
    run_uri: str = uri_field(below="")
    maybe_uri: str | None = uri_field(None)
    name: str = "x.y"
    inner: _Inner = field(default_factory=_Inner)


def test_declared_uris_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert with_absolute_uris(_Outer(), "/run") == _Outer("/run/a/b", "/run", None)
    inner = _Inner("file", {"a": "models:/m@c", "b": "b"})
    resolved = with_absolute_uris(_Outer("out", "s3://b/r", "file:///m", "x", inner), "/run")
    own = {"a": "models:/m@c", "b": f"{tmp_path}/b"}
    assert resolved == _Outer(f"{tmp_path}/out", "s3://b/r", "/m", "x", _Inner(f"{tmp_path}/file", own))
    assert with_absolute_uris(resolved, "/run") == resolved


def test_every_key_that_ends_in_uri_is_declared() -> None:
    """One that is forgotten works on a laptop and fails on a cluster, whose workers run in other folders."""

    def undeclared(section: Any, prefix: str) -> Iterator[str]:
        for key in fields(section):
            value, name = getattr(section, key.name), f"{prefix}{key.name}"
            if is_dataclass(value):
                yield from undeclared(value, f"{name}.")
            elif (key.name.endswith("_uri") or key.name == "beside") != is_uri_field(key):
                yield name

    recipe = load_recipe(DEMO)
    assert list(undeclared(recipe, "")) == []


def test_the_best_of_the_runs_own_checkpoints_may_be_asked_for(tmp_path: Path) -> None:
    recipe = load_recipe(DEMO, [f"run_uri={tmp_path}", 'generate.model_uri="@best"'])
    assert recipe.generate.model_uri == f"{tmp_path}/checkpoints@best"
