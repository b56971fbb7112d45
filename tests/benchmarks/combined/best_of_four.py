"""R-precision of pictures of scenes, and of the best of four by a judge that no generator has learnt from.

The recipes demo and scene_judge are trained as far as that has not been done. What counts is a judge of another seed,
since the one that chooses cannot, and beside it (`_indomain`) the in-domain network of the demo's evaluation.
"""

from tests.benchmarks.combined.taught_pictures import figures_of, painted, scene_judges
from tests.benchmarks.recipe_scores import report
from tests.benchmarks.record import Figure


def measure() -> list[Figure]:
    """Both, on the same prompts."""
    report("demo", [])
    report("scene_judge", [])
    return figures_of("scenes", painted("demo", "runs/demo", (), scene_judges()))
