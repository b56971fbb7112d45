"""Acrostics in every form of the Tang poems' recipe: are all of them in form, and what does the form cost?

Asks for DATA, a folder that has tang_poems/train.parquet and val.parquet.
"""

import subprocess
import sys
from collections import Counter
from typing import Any

import pyarrow as pa

from ganrnn import noise
from ganrnn.metrics.texts.poem_form import in_form
from pipelines import storage
from pipelines.config.loader import load_recipe
from pipelines.config.recipe import Recipe
from pipelines.formats.dataset import read_manifest, shard_uris
from tests.benchmarks.recipe_scores import data_folder, report
from tests.benchmarks.record import ROOT, Figure, digits

PATH = "jobs/recipes/texts/tang_poems.yaml"
NUM_POEMS = 1_000
NUM_HEADS = 300  # characters to begin lines with: those that begin the most lines of training poems
FORMS = ((4, 5), (4, 7), (8, 5), (8, 7))


def measure() -> list[Figure]:
    """Train as far as that has not been done, write poems, look at each."""
    folder = f"{data_folder()}/tang_poems"
    settings = [f"ingest.source_uri={folder}/train.parquet", f"ingest.holdout_uri={folder}/val.parquet"]
    held = report("tang_poems", settings)
    run_uri = load_recipe(PATH).run_uri
    settings += [f"generate.prompts_uri={run_uri}/acrostics.parquet", f"generate.samples_uri={run_uri}/acrostics"]
    recipe = load_recipe(PATH, settings)
    storage.commit_table(recipe.generate.prompts_uri, _prompts(recipe))
    words = [word for setting in settings for word in ("--set", setting)]
    subprocess.run([sys.executable, "-m", "jobs", "generate", PATH, *words], cwd=ROOT, check=True)
    manifest = storage.read_json(f"{recipe.generate.samples_uri}/manifest.json")
    uris = [f"{recipe.generate.samples_uri}/{shard['uri']}" for shard in manifest["shards"]]
    poems = storage.read_table(uris).to_pylist()
    return [Figure("poems_in_form", _share_in_form(poems), _details(poems) | held)]


def _prompts(recipe: Recipe) -> pa.Table:
    """Poems asked for: each form in turn, every line beginning with a character of its own."""
    uris = shard_uris(recipe.ingest.dataset_uri, read_manifest(recipe.ingest.dataset_uri), "train")
    counts: Counter[str] = Counter()
    for text in storage.read_table(uris, ["text"]).column("text").to_pylist():
        counts.update(line[0] for line in text.replace("。", "，").split("，") if line)
    common = [character for character, _ in counts.most_common(NUM_HEADS)]
    forms = [FORMS[i % len(FORMS)] for i in range(NUM_POEMS)]
    heads = [
        "".join(common[int(u * NUM_HEADS)] for u in noise.uniform(num_lines, recipe.seed, f"heads/{i}"))
        for i, (num_lines, _) in enumerate(forms)
    ]
    return pa.table(
        {
            "prompt_id": [f"{i:04d}" for i in range(NUM_POEMS)],
            "num_lines": [num_lines for num_lines, _ in forms],
            "chars_per_line": [length for _, length in forms],
            "max_tokens": [num_lines * (length + 1) for num_lines, length in forms],
            "heads": heads,
        }
    )


def _share_in_form(poems: list[dict[str, Any]]) -> float:
    """Of all that were asked for; a poem that was not written is in no form."""
    held = [in_form(p["text"], p["num_lines"], p["chars_per_line"], p["heads"]) for p in poems]
    return sum(held) / NUM_POEMS


def _details(poems: list[dict[str, Any]]) -> dict[str, Any]:
    """By form, in nats a character: the model's likelihood, and how much of it the form and the heads forbade."""
    details: dict[str, Any] = {"num_poems": len(poems)}
    for num_lines, length in FORMS:
        of_form = [p for p in poems if (p["num_lines"], p["chars_per_line"]) == (num_lines, length)]
        num_tokens = sum(p["num_tokens"] for p in of_form)
        details[f"{num_lines}x{length}"] = {
            name: digits(sum(p[name] for p in of_form) / num_tokens) for name in ("log_probability", "constraint_cost")
        }
    return details | {"poems": [p["text"] for p in poems[:40]]}
