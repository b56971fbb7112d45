"""R-precision of pictures of scenes, and of the best of four by a judge that no generator has learnt from.

The recipes demo and scene_judge are trained as far as that has not been done. What counts is the in-domain network of
the demo's evaluation, and beside it (`_by_judge`) a judge of another seed: the one that chooses does not count.
"""

from recipe_scores import report
from record import Figure
from taught_pictures import painted, scene_judges


def measure() -> list[Figure]:
    """Both, on the same prompts."""
    report("demo", [])
    report("scene_judge", [])
    found = painted("demo", "runs/demo", (), scene_judges())
    name, *by_judge = sorted(name for name in found["all"]["metrics"] if name.startswith("r_precision_"))
    ways = {"scenes": "all", "scenes_best_of_4": "best_of_4"}
    return [
        Figure(metric.replace(name, f"{name}_{data}"), found[way]["metrics"][metric], found[way])
        for data, way in ways.items()
        for metric in (name, *by_judge)
    ]
