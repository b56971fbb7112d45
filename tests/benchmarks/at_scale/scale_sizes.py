"""How much the benchmarks of scale measure, and the model that is so small that a million rows take minutes."""

from dataclasses import dataclass, field

from tests.benchmarks import workspace

# 16x16 pictures by 6,700 weights: what is measured is everything around the model.
TINY_TASK = (
    "task.height=16",
    "task.width=16",
    "task.embedding_dim=8",
    "task.hidden_dim=16",
    "task.z_dim=8",
    "task.style_dim=16",
    "task.feature_dim=16",
    "task.base_channels=4",
)


@dataclass(frozen=True)
class ScaleSizes:
    """Rows and repeats. `speed` holds those of the comparison with a plain loop."""

    planned_rows: int = 1_000_000_000
    planned_file_rows: int = 1_000_000
    planned_shard_rows: int = 4_000
    many_prompts: int = 1_000_000
    few_prompts: int = 10_000
    resumed_prompts: int = 4_000_000
    many_shard_rows: int = 4_000
    peer_repeats: int = 2
    s3_repeats: int = 3
    s3_prompts: int = 65_536
    speed: workspace.Sizes = field(default_factory=workspace.Sizes)


QUICK = ScaleSizes(
    planned_rows=1_000_000,
    planned_file_rows=10_000,
    many_prompts=4_000,
    few_prompts=400,
    resumed_prompts=4_000,
    many_shard_rows=100,
    peer_repeats=1,
    s3_repeats=1,
    s3_prompts=2_048,
    speed=workspace.QUICK,
)
