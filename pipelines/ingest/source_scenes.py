"""The built-in data sets as a source."""

from collections.abc import Iterator

from ganrnn.data.built_in import KINDS
from ganrnn.data.scenes import in_chinese
from pipelines.config.ingest import IngestConfig
from pipelines.ingest.source_row import SPLITS, RawRow


def scene_rows(config: IngestConfig, seed: int) -> Iterator[RawRow]:
    """The rows of a built-in data set, drawn as they are asked for."""
    for split in SPLITS:
        for scene in KINDS[config.scenes.kind].draw(config.scenes, split, seed, config.height, config.width):
            is_pair = config.kind == "pairs"
            yield RawRow(
                f"scene {scene.id}",
                scene.image,
                scene.source,
                in_chinese(scene) if is_pair else scene.text,
                scene.text if is_pair else None,
                scene.id,
                scene.label,
                attributes=scene.attributes,
                group="|".join(f"{name}={value}" for name, value in sorted(scene.attributes.items())),
                split=split,
            )
