"""What ingest reads and how: the section `ingest` of a recipe."""

from dataclasses import dataclass, field
from typing import Literal

from ganrnn.config import at_least, require_share
from ganrnn.data.built_in import KINDS
from ganrnn.data.scenes import ScenesConfig
from ganrnn.errors import BadInput
from pipelines.config.uri_fields import uri_field

KINDS_OF_SOURCE = {
    "scenes": ("images", "texts", "pairs"),
    "image_folder": ("images",),
    "parquet": ("images", "texts", "pairs"),
    "text_files": ("texts",),
}


@dataclass(frozen=True)
class IngestConfig:
    """Images with captions, texts, or pairs of texts to a dataset in Parquet.

    The dataset is split so that no group of rows stands on two sides: train; val, the reference of evaluation; and
    test, whose captions or beginnings are the prompts. Text files are held out at their end, and their rows joined are
    the file. A turn of a dialogue has all turns before it as its source. Scenes have their captions as texts, and as
    pairs those in English with those in Chinese.
    """

    #: What a row is: an image with its caption, a text, or a pair of source and target text.
    kind: Literal["images", "texts", "pairs"] = "images"
    #: Where rows come from: scenes are built in, the other sources are read from source_uri.
    source: Literal["scenes", "image_folder", "parquet", "text_files"] = "scenes"
    #: Folder for image_folder, Parquet file or folder for parquet, .txt file or folder for text_files.
    source_uri: str | None = uri_field(None)
    #: Further rows of the same form as source_uri, none of which is trained on.
    holdout_uri: str | None = uri_field(None)
    test_uri: str | None = uri_field(None)  #: Rows of split test; all rows of holdout_uri are then val.
    #: Share of the groups that is set aside without holdout_uri: one half is val, the other is test.
    holdout_share: float = 0.2
    scenes: ScenesConfig = field(default_factory=ScenesConfig)  #: Which built-in scenes are drawn, and how many.
    height: int = 32  #: Height of the dataset's images, in pixels.
    width: int = 32  #: Width of the dataset's images, in pixels.
    #: File of captions in an image_folder (CSV, JSONL, JSON, Parquet) if it is not found by its usual name.
    captions_file: str | None = None
    #: Column with a row's id; null takes the column id if there is one, '' none: ids are then made from the rows.
    id_column: str | None = None
    image_column: str = "image"  #: Column with the image, of source parquet; an image_folder names it in file_name.
    #: Column with the image to start from, of a task such as image_to_image; of image_folder, its file.
    source_image_column: str | None = None
    #: Column with the caption, text or target; null writes attributes or the label as the caption.
    text_column: str | None = "text"
    source_column: str = "source"  #: Column with the source text of a pair.
    #: Text between the turns of a dialogue in source_column: each turn but the first is a target.
    turn_separator: str | None = None
    prompt_characters: int = 0  #: Number of characters of a held-out text that its prompt shows, for kind texts.
    piece_characters: int = 2_000  #: Number of characters in a row of text_files, which are cut at this length.
    label_column: str | None = None  #: Column with a row's class, a whole number.
    #: Column whose equal values never stand on two sides of a split; without it, each row is its own group.
    group_column: str | None = None
    attribute_columns: tuple[str, ...] = ()  #: Columns that become the attributes of a row, by name.
    shard_rows: int = 4_096  #: Number of rows in a Parquet file of the dataset.
    row_group_rows: int = 512  #: Number of rows in a Parquet row group, the least that training reads at a time.
    max_reject_share: float = 0.01  #: Share of rejected rows above which ingest fails.
    dataset_uri: str = uri_field(below="dataset")  #: Folder of the dataset.

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
        if self.image_column != "image" and (self.source, self.kind) != ("parquet", "images"):
            raise BadInput(
                f"ingest.image_column is {self.image_column!r}; it is for images from source parquet "
                "(an image_folder names its files in the column file_name)"
            )
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
