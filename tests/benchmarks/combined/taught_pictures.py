"""Generators that a judge has taught, or that look at single words, beside plain ones of as many steps.

Of each, what it paints and the best of four. One judge teaches and chooses; another of the same recipe and another seed
counts, and beside it (`_indomain`) the in-domain network of evaluate, which no generator and no judge knows. Prompts of
scenes have combinations of attributes that were held out from training; those of `seen_scenes` were not. Boxes of NLVR
ask for DATA, as judges.py says; their judges learn from the same pictures as the generators, about a thousand. Both
ways answer the same prompts: the details say how many the choice of four gained and lost by the judge that counts.
"""

from collections.abc import Callable, Sequence
from typing import Any

from pipelines import storage
from pipelines.config.loader import load_recipe
from pipelines.config.recipe import Recipe
from pipelines.evaluate.driver import evaluate
from pipelines.formats.dataset import read_manifest, shard_uris
from pipelines.generate.driver import generate
from pipelines.ingest.driver import ingest
from pipelines.train.driver import train
from tests.benchmarks.combined.retrieved_pairs import hits, paired
from tests.benchmarks.recipe_scores import data_folder
from tests.benchmarks.record import ROOT, Figure, digits, recipe_path

JUDGE = "scene_judge"
NUM_SEEN = 2_000
VARIANTS: dict[str, Sequence[str]] = {
    "plain": (),
    "taught": ("train.judge_uri=JUDGE", "task.judge_weight=0.5"),
    "attentive": ("task.word_attention=true",),
    "taught_attentive": ("train.judge_uri=JUDGE", "task.judge_weight=0.5", "task.word_attention=true"),
}
# Of the judge of single boxes: true pairs alone, told apart from all others of a batch.
BOXES = (
    "ingest.label_column=null",
    "ingest.group_column=null",
    "ingest.width=64",
    "task.width=64",
    "task.max_tokens=48",
    "task.contrast_weight=1.0",
    "task.num_steps=800",
    "train.patience=0",
)


def scenes() -> list[Figure]:
    """Of the demo's data, in 2,500 steps."""
    data = _recipe("demo", ())
    ingest(data)
    place = _data(data)
    judges = scene_judges()
    settings = (*place, "train.num_workers=1", "task.num_steps=2500")
    found = {name: _scores("demo", name, settings, judges) for name in VARIANTS}
    return [figure for variant, ways in found.items() for figure in figures_of(f"scenes_{variant}", ways)]


def seen() -> list[Figure]:
    """The same generators of scenes asked for combinations of attributes that they learnt: how often all is right."""
    data = _recipe("demo", ())
    uri = data.ingest.dataset_uri
    shards = shard_uris(uri, read_manifest(uri), "train")
    rows = storage.read_table(shards, ["id", "text", "attributes"]).slice(0, NUM_SEEN)
    prompts_uri = f"{data.run_uri}/seen.parquet"
    storage.commit_table(prompts_uri, rows.rename_columns(["prompt_id", "prompt", "attributes"]))
    figures = []
    for variant in VARIANTS:
        place = f"runs/demo_{variant}"
        settings = (f"run_uri={place}", f"ingest.dataset_uri={uri}", f"generate.prompts_uri={prompts_uri}")
        places = (f"generate.samples_uri={place}/seen", f"evaluate.report_uri={place}/report-seen")
        recipe = _recipe("demo", (*settings, *places))
        generate(recipe)
        metrics = evaluate(recipe).to_json()["metrics"]
        found = {name: digits(value) for name, value in metrics.items() if name.endswith("_accuracy")}
        figures.append(Figure(f"shape_accuracy_seen_{variant}", found["shape_accuracy"], found))
    return figures


def scene_judges() -> list[str]:
    """One that may teach and choose, and one that counts."""
    own = _data(_recipe(JUDGE, ()))
    return [_judge(JUDGE, f"runs/{name}", seed, own) for seed, name in enumerate((JUDGE, f"{JUDGE}_1"))]


def boxes() -> list[Figure]:
    """Of single boxes with captions that count shapes, in 2,000 steps; judges of the same pictures."""
    folder = f"{data_folder()}/nlvr_boxes"
    data = (f"ingest.source_uri={folder}/train.parquet", f"ingest.holdout_uri={folder}/val.parquet")
    recipe = _recipe("nlvr_boxes", data)
    ingest(recipe)
    place = _data(recipe)
    judges = [_judge("nlvr_judge", f"runs/boxes_judge_{seed}", seed, (*data, *BOXES)) for seed in (0, 1)]
    settings = (*data, *place, "task.num_steps=2000")
    plain, taught = (_scores("nlvr_boxes", name, settings, judges) for name in ("plain", "taught"))
    return [*figures_of("nlvr_boxes", plain), *figures_of("nlvr_boxes_taught", taught)]


def _recipe(name: str, settings: Sequence[str]) -> Recipe:
    return load_recipe(str(ROOT / recipe_path(name)), settings)


def _data(recipe: Recipe) -> tuple[str, str]:
    """Settings by which other runs share the data of a recipe, and with it the in-domain network."""
    return f"ingest.dataset_uri={recipe.ingest.dataset_uri}", f"generate.prompts_uri={recipe.generate.prompts_uri}"


def _judge(name: str, run_uri: str, seed: int, settings: Sequence[str]) -> str:
    """A judge's checkpoints, trained as far as that has not been done."""
    own = (f"run_uri={run_uri}", *settings)
    ingest(_recipe(name, own))
    recipe = _recipe(name, (*own, f"seed={seed}"))
    train(recipe)
    return recipe.train.checkpoint_uri


def _scores(name: str, variant: str, settings: Sequence[str], judges: Sequence[str]) -> dict[str, Any]:
    """Of a variant, trained as far as that has not been done."""
    own = [word.replace("JUDGE", judges[0]) for word in VARIANTS[variant]]
    place = f"runs/{name}_{variant}"
    shared = (*settings, *own, f"run_uri={place}")
    train(_recipe(name, shared))
    return painted(name, place, shared, judges)


def painted(name: str, place: str, settings: Sequence[str], judges: Sequence[str]) -> dict[str, Any]:
    """Scores of what the model of a recipe paints, and of the best of four by one judge; another counts."""
    first, second = judges
    ways = {
        "all": (),
        "best_of_4": (f"generate.choice.judge_uri={first}", "generate.choice.num_candidates=4"),
    }
    found: dict[str, dict[str, Any]] = {}
    answers = []
    for way, choice in ways.items():
        places = (f"generate.samples_uri={place}/{way}", f"evaluate.report_uri={place}/report-{way}")
        recipe = _recipe(name, (*settings, *choice, *places, f"evaluate.judge_uri={second}"))
        generate(recipe)
        held = evaluate(recipe).to_json()
        found[way] = {
            kind: {metric: digits(value) for metric, value in held[kind].items()} for kind in ("metrics", "floors")
        }
        found[way]["intervals"] = {metric: [digits(v) for v in both] for metric, both in held["intervals"].items()}
        answers.append(hits(recipe, second))
        print(f"  {place}, {way}: {found[way]['metrics']}", flush=True)
    found["best_of_4"]["paired"] = paired(*answers)
    print(f"  {place}, best of four beside all: {found['best_of_4']['paired']}", flush=True)
    return found


def figures_of(data: str, ways: dict[str, Any]) -> list[Figure]:
    """R-precision of what was painted in each way, by the judge that counts and by the in-domain network."""
    figures = []
    for way, held in ways.items():
        (by_judge,) = [metric for metric in held["metrics"] if metric.endswith("_by_judge")]
        metric = by_judge.removesuffix("_by_judge")
        name = "_".join([metric, data] + ([way] if way != "all" else []))
        figures.append(Figure(name, held["metrics"][by_judge], held))
        figures.append(Figure(f"{name}_indomain", held["metrics"][metric], {}))
    return figures


GROUPS: dict[str, Callable[[], list[Figure]]] = {"taught_scenes": scenes, "seen_scenes": seen, "taught_boxes": boxes}
