"""The loop closed, and what the judge lets pass: of dreamt sentences that a scene has, and of those that none has.

The dreamer, the judge and the painter are trained as far as that has not been done; then the recipe closed_loop runs.
"""

from jobs import closed_loop
from pipelines import storage
from pipelines.config.loader import load_recipe
from pipelines.formats.manifest import MANIFEST
from tests.benchmarks.combined.dreamt_texts import DREAMER, scene_captions
from tests.benchmarks.recipe_scores import report
from tests.benchmarks.record import ROOT, Figure


def measure() -> list[Figure]:
    """Shares of right sentences, dreamt and kept."""
    for name in (DREAMER, "scene_judge", "demo"):
        report(name, [])
    recipe = load_recipe(str(ROOT / "jobs/recipes/closed_loop.yaml"), [])
    closed_loop.act(recipe)
    whole = storage.read_json(f"{recipe.run_uri}/{MANIFEST}")
    dreamt = _column(list(storage.list_files(recipe.generate.prompts_uri, ".parquet")))
    kept = _column([shard["uri"] for shard in whole["shards"]])
    right = scene_captions()
    num_right, num_kept = (sum(text in right for text in texts) for texts in (dreamt, kept))
    details = {
        "totals": whole["totals"],
        "dreamt_right": num_right,
        "rejected_of_right": num_right - num_kept,
        "rejected_of_others": len(dreamt) - len(kept) - (num_right - num_kept),
    }
    return [
        Figure("loop_right_of_dreamt", num_right / len(dreamt), details),
        Figure("loop_right_of_kept", num_kept / len(kept), {}),
    ]


def _column(uris: list[str]) -> list[str]:
    texts: list[str] = storage.read_table(uris, ["prompt"])["prompt"].to_pylist()
    return texts
