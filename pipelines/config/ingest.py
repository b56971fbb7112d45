"""What ingest reads and how: the section `ingest` of a recipe."""

from dataclasses import dataclass, field
from typing import Literal

from ganrnn.data.built_in import KINDS
from ganrnn.data.scenes import ScenesConfig
from ganrnn.errors import BadInput
from pipelines.config.checks import at_least, require_share

KINDS_OF_SOURCE = {
    "scenes": ("images", "texts", "pairs"),
    "image_folder": ("images",),
    "parquet": ("images", "texts", "pairs"),
    "text_files": ("texts",),
}


@dataclass(frozen=True)
class IngestConfig:
    """Pictures with captions, texts, or pairs of texts to dataset Parquet, split so that no group stands on two sides.

    `source_uri` is a folder for image_folder, a Parquet file or folder for parquet, a .txt file or folder for
    text_files, nothing for scenes. Rows of `holdout_uri`, where given, are never trained on; else `holdout_share` of
    the groups is set aside, of text_files the end. What is set aside becomes val (the reference of evaluation) and
    test (its prompts) in equal parts; with `test_uri` its rows are test, and all of `holdout_uri` is val.

    Without `text_column` the words of a row are its attributes or label.
    `source_image_column` holds the picture that a row's own is to be made from, or in image_folder its file name.
    Of texts, a prompt is the first `prompt_characters`; of pairs, what stands in `source_column`, and `text_column` is
    what it is to become; with `turn_separator` the source is a dialogue, its turns stand between such separators, and
    each turn but the first becomes a text, what was said before it its source. Text files are cut every
    `piece_characters`; joined, the pieces are the file. Scenes give their captions as texts, and as pairs those in
    English with those in Chinese.
    """

    kind: Literal["images", "texts", "pairs"] = "images"
    source: Literal["scenes", "image_folder", "parquet", "text_files"] = "scenes"
    source_uri: str | None = None
    holdout_uri: str | None = None
    test_uri: str | None = None
    holdout_share: float = 0.2
    scenes: ScenesConfig = field(default_factory=ScenesConfig)
    height: int = 32
    width: int = 32
    captions_file: str | None = None
    id_column: str | None = None
    image_column: str = "image"
    source_image_column: str | None = None
    text_column: str | None = "text"
    source_column: str = "source"
    turn_separator: str | None = None
    prompt_characters: int = 0
    piece_characters: int = 2_000
    label_column: str | None = None
    group_column: str | None = None
    attribute_columns: tuple[str, ...] = ()
    shard_rows: int = 4_096
    row_group_rows: int = 512
    max_reject_share: float = 0.01
    dataset_uri: str = ""

    def __post_init__(self) -> None:
        at_least("ingest", self, height=16, width=16, shard_rows=1, row_group_rows=1)
        at_least("ingest", self, prompt_characters=0, piece_characters=1)
        require_share("ingest", self, "holdout_share", "max_reject_share")
        if self.source == "scenes" and self.holdout_uri:
            raise BadInput(f"ingest.holdout_uri is {self.holdout_uri}; source scenes draws its own held-out pictures")
        if self.test_uri and not self.holdout_uri:
            raise BadInput("ingest.test_uri needs ingest.holdout_uri: rows that watch the training must be others")
        if self.turn_separator and (self.kind != "pairs" or self.source != "parquet"):
            raise BadInput("ingest.turn_separator is for ingest.kind pairs from source parquet: dialogues, one a row")
        if self.source != "scenes" and not self.holdout_uri and not self.holdout_share:
            raise BadInput("ingest.holdout_share is 0; without ingest.holdout_uri it must be above 0")
        if self.source == "scenes" and self.source_image_column:
            raise BadInput("ingest.source_image_column is for pictures of your own; scenes draw theirs")
        if self.kind not in KINDS_OF_SOURCE[self.source]:
            raise BadInput(
                f"ingest.kind is {self.kind}; source {self.source} gives {' or '.join(KINDS_OF_SOURCE[self.source])}"
            )
        if self.kind == "pairs" and self.source == "scenes" and self.scenes.kind != "captions":
            raise BadInput(f"ingest.scenes.kind is {self.scenes.kind}; pairs are made of captions")
        if self.kind != "images" and not self.text_column:
            raise BadInput(f"ingest.text_column is missing; a row of {self.kind} is its text")
        if self.kind != "images" and self.source_image_column:
            raise BadInput(f"ingest.source_image_column is for pictures; ingest.kind is {self.kind}")
        if self.source != "scenes" and not self.source_uri:
            raise BadInput(f"ingest.source_uri is missing; source {self.source} needs the folder or file to read")

    @property
    def has_sources(self) -> bool:
        """Whether the dataset has a column source_image."""
        drawn = self.kind == "images" and self.source == "scenes" and KINDS[self.scenes.kind].has_sources
        return bool(self.source_image_column) or drawn
