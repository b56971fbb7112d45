"""`generate` beside a plain loop of the same model and beside Ray Data's own reading, mapping and writing."""

from dataclasses import replace

from tests.benchmarks.at_scale.scale_sizes import ScaleSizes
from tests.benchmarks.demo import generate_speed
from tests.benchmarks.record import Figure
from tests.benchmarks.workspace import Workspace


def measure(workspace: Workspace, sizes: ScaleSizes) -> list[Figure]:
    """All three in turn."""
    workspace.sizes = replace(workspace.sizes, speed_repeats=sizes.peer_repeats)
    return generate_speed.measure(workspace, {"generate_vs_loop", "generate_vs_ray_write"})
