"""The verbs of the command line: what each reads and writes, its arguments and examples. Imports nothing heavy."""

from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import dataclass

_PROMPT = "a large blue triangle at the left on a black background"


@dataclass(frozen=True)
class Verb:
    """One verb, which `act` of jobs/`module`.py does.

    act is given the recipe where `reads_recipe`, else the parsed arguments.
    """

    summary: str
    reads: str
    writes: str
    examples: tuple[str, ...]
    add_arguments: Callable[[ArgumentParser], object]
    module: str
    reads_recipe: bool = False


def _recipe(parser: ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help="a recipe file, or a name that `ganrnn recipes` lists")
    _set(parser)


def _demo(parser: ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", nargs="?", default="demo", help="another recipe (default: demo)")
    _set(parser)


def _set(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        dest="overrides",
        help="override a key of the recipe, such as train.num_workers=1; the value is YAML; may be repeated",
    )


def _generate(parser: ArgumentParser) -> None:
    _recipe(parser)
    parser.add_argument(
        "--verify",
        action="store_const",
        const="check",
        dest="act",
        help="write nothing: hash the samples, make generate.verify_share of the shards again and compare",
    )


def _status(parser: ArgumentParser) -> None:
    parser.add_argument("samples_uri", metavar="SAMPLES_URI", help="the folder that generate.samples_uri names")


def _compare(parser: ArgumentParser) -> None:
    parser.add_argument("run_a", metavar="RUN_A", help="folder or URI with the report.json of an evaluation")
    parser.add_argument("run_b", metavar="RUN_B", help="folder or URI with the report.json of another one")


def _rate(parser: ArgumentParser) -> None:
    parser.add_argument("samples_uri", metavar="SAMPLES_URI", help="generated samples: a folder or a Parquet file")
    parser.add_argument("reference_uri", metavar="REFERENCE_URI", help="a dataset, or the samples of another model")
    parser.add_argument(
        "recipe", metavar="RECIPE", nargs="?", help="a recipe, of which the sections rate and tracking are read"
    )
    _set(parser)
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--invite", metavar="N", type=int, help="print links for N raters and exit")
    other.add_argument("--report", action="store_true", help="score the answers: JSON, Parquet and an MLflow run")


def _paint(parser: ArgumentParser) -> None:
    parser.add_argument(
        "prompts",
        metavar="PROMPT",
        nargs="*",
        help="a text, a class label or NAME=VALUE,..., as the model reads it, a row each; by default all classes",
    )
    parser.add_argument(
        "--model", metavar="URI", default="runs/demo/checkpoints", help="checkpoints or models:/NAME@ALIAS"
    )
    parser.add_argument("--tracking-uri", metavar="URI", help="the MLflow server or database of models:/ URIs")
    parser.add_argument(
        "--seed",
        metavar="N",
        type=int,
        action="append",
        dest="seeds",
        help="another seed gives another image (default 0); given several times, a column each",
    )
    parser.add_argument("--columns", metavar="N", type=int, help="N columns, of the seed and those that follow it")
    parser.add_argument("--to", metavar="PROMPT", help="an animation from the prompts to this one")
    parser.add_argument("--to-seed", metavar="N", type=int, help="an animation from the noise of the seed to this one")
    parser.add_argument("--frames", metavar="N", type=int, help="frames of an animation (default 24)")
    parser.add_argument(
        "--out", metavar="FILE", help="the file to write: a .png, .jpg or .webp, or of an animation a .webp or .gif"
    )
    parser.add_argument("--source", metavar="FILE", help="the image to edit, for models of the task image_to_image")


def _keys(parser: ArgumentParser) -> None:
    parser.add_argument("section", metavar="SECTION", nargs="?", help="a section or key, such as generate.sampling")
    parser.add_argument("--task", metavar="NAME", help="the only task whose keys of the section task are listed")


VERBS = {
    "ingest": Verb(
        "read images with captions, texts or pairs of texts into a dataset of Parquet files",
        "ingest.source_uri, a folder or Parquet file; nothing for built-in scenes",
        "ingest.dataset_uri: train, val and test, prompts.parquet, rejects.parquet, manifest.json",
        ("ganrnn ingest demo --set ingest.dataset_uri=s3://bucket/scenes",),
        _recipe,
        "ingest",
        reads_recipe=True,
    ),
    "train": Verb(
        "train the recipe's task on a dataset, or resume at the last checkpoint",
        "ingest.dataset_uri, which ingest wrote",
        "train.checkpoint_uri: checkpoints; metrics and samples to an MLflow run",
        ("ganrnn train demo --set train.num_workers=1",),
        _recipe,
        "train",
        reads_recipe=True,
    ),
    "generate": Verb(
        "sample a model for every prompt, each shard exactly once",
        "generate.prompts_uri, a Parquet file or folder, and the model of generate.model_uri",
        "generate.samples_uri: samples in Parquet, rejects.parquet, manifest.json",
        (
            "ganrnn generate demo --set generate.model_uri=models:/demo@champion",
            "ganrnn generate demo --verify --set generate.verify_share=0.1",
        ),
        _generate,
        "generate",
        reads_recipe=True,
    ),
    "status": Verb(
        "show the progress of a generation, read from its files alone",
        "SAMPLES_URI, of a generation that runs, was cut short or is finished",
        "",
        ("ganrnn status runs/demo/samples",),
        _status,
        "status",
    ),
    "evaluate": Verb(
        "score samples, or a model on prompts, against the reference",
        "generate.samples_uri (or prompts and a model) and ingest.dataset_uri",
        "evaluate.report_uri: report.json, report.html, contact_sheet.png",
        ("ganrnn evaluate demo",),
        _recipe,
        "evaluate",
        reads_recipe=True,
    ),
    "compare": Verb(
        "compare two evaluated runs metric by metric, or say why their scores are not comparable",
        "report.json of both runs",
        "",
        ("ganrnn compare runs/demo runs/scene_attributes",),
        _compare,
        "compare",
    ),
    "rate": Verb(
        "serve a web page on which people judge samples",
        "samples and a reference; the variable GANRNN_RATE_SECRET signs the raters' links",
        "rate.study_uri: the study and its answers; --report adds scores and an MLflow run",
        (
            "export GANRNN_RATE_SECRET=$(openssl rand -hex 32)",
            "ganrnn rate runs/demo/samples runs/demo/dataset",
            "ganrnn rate runs/demo/samples runs/demo/dataset --invite 20",
            "ganrnn rate runs/demo/samples runs/demo/dataset --report",
        ),
        _rate,
        "rate",
    ),
    "promote": Verb(
        "register a model, as champion if it passes the thresholds and beats the present one",
        "evaluate.report_uri, the checkpoint that it scored, and the champion's scores",
        "a version of promote.registered_model with its alias; exit code 3 for a challenger",
        ("ganrnn promote demo --set promote.at_least.r_precision_100=0.6",),
        _recipe,
        "promote",
        reads_recipe=True,
    ),
    "validate": Verb(
        "check a recipe as nightly does before it begins, and print what would be done",
        "the recipe, the data set where there is one, and the models that the recipe names",
        "",
        ("ganrnn validate demo",),
        _recipe,
        "validate",
        reads_recipe=True,
    ),
    "nightly": Verb(
        "run ingest, train, generate, evaluate and promote in order, as a schedule does",
        "what ingest reads",
        "what these verbs write; each does only what is missing",
        ("ganrnn nightly scene_edits",),
        _recipe,
        "nightly",
        reads_recipe=True,
    ),
    "demo": Verb(
        "run nightly and print a table of scores",
        "what ingest reads; built-in scenes for the recipe demo",
        "what nightly writes; below runs/demo for the recipe demo",
        ("ganrnn demo",),
        _demo,
        "demo",
        reads_recipe=True,
    ),
    "closed_loop": Verb(
        "let one model write prompts, another paint them and a judge filter the images",
        "dream.recipe, whose model writes the prompts; the models of generate.model_uri and generate.choice",
        "prompts, samples, a report, and run_uri/manifest.json, which traces each image to all models",
        ("ganrnn closed_loop closed_loop",),
        _recipe,
        "closed_loop",
        reads_recipe=True,
    ),
    "paint": Verb(
        "paint prompts: a picture, a grid of prompts and noises, or an animation between two",
        "a model whose task gives images",
        "one file: a PNG, of an animation a WebP, or what the ending of --out says",
        (
            f'ganrnn paint "{_PROMPT}"',
            'ganrnn paint "左边有一个大的蓝色三角形" --model models:/demo@champion --seed 7',
            'ganrnn paint "make it red" --model runs/scene_edits/checkpoints --source before.png',
            'ganrnn paint "a red circle" "a blue square" --columns 8',
            'ganrnn paint "a red circle" --to "a blue square" --frames 30 --out between.gif',
            'ganrnn paint "a red circle" --columns 4 --to-seed 100',
            "ganrnn paint --model runs/cifar10_classes/checkpoints --columns 8",
            "ganrnn paint colour=red,shape=circle --model runs/scene_attributes/checkpoints",
        ),
        _paint,
        "paint",
    ),
    "keys": Verb(
        "list the keys of a recipe with type, default, allowed values and meaning",
        "",
        "",
        ("ganrnn keys train", "ganrnn keys generate.sampling.decoding", "ganrnn keys task --task image_gan"),
        _keys,
        "keys",
    ),
    "recipes": Verb(
        "list the packaged recipes, which may be given by name from any folder",
        "",
        "",
        ("ganrnn recipes",),
        lambda parser: None,
        "packaged_recipes",
    ),
}
