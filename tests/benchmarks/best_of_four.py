"""R-precision of pictures of scenes, and of the best of four by a judge that no generator has learnt from.

The recipes demo and scene_judge are trained as far as that has not been done. What scores is the in-domain network of
the demo's evaluation, which neither of them knows: the judge may choose, it does not count.
"""

from typing import Any

from recipe_scores import report
from record import ROOT, Figure

from pipelines.config import load_recipe
from pipelines.evaluate import evaluate
from pipelines.generate import generate

CHOICE = ("generate.choice.num_candidates=4", "generate.samples_uri=runs/demo/best_of_4")


def measure() -> list[Figure]:
    """Both, on the same prompts."""
    plain = report("demo", [])
    report("scene_judge", [])
    judge = load_recipe(str(ROOT / "jobs/recipes/scene_judge.yaml"), []).train.checkpoint_uri
    recipe = load_recipe(
        str(ROOT / "jobs/recipes/demo.yaml"),
        [*CHOICE, f"generate.choice.judge_uri={judge}", "evaluate.report_uri=runs/demo/best_of_4_report"],
    )
    generate(recipe)
    best: dict[str, Any] = evaluate(recipe)
    (name,) = [name for name in plain["metrics"] if name.startswith("r_precision_")]
    return [
        Figure(f"{name}_scenes", plain["metrics"][name], plain),
        Figure(f"{name}_scenes_best_of_4", best["metrics"][name], {key: best[key] for key in ("metrics", "intervals")}),
    ]
