"""What a verb, and every verb after it, needs: checked before anything is written.

    require_feasible(recipe, "nightly")

Settings are checked against the task and each other, then the surroundings, the store of MLflow and the models that the
recipe names, then the data set where there is one already; `nightly` checks the data set again after ingest.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from ganrnn.checkpoint import DESCRIPTION
from ganrnn.errors import BadInput
from ganrnn.task import task_class
from jobs.checks.data import require_data
from jobs.checks.settings import expected_of, require_data_settings, require_settings
from pipelines import storage
from pipelines.cluster.runner import Runner, Workers
from pipelines.cluster.surroundings import require_ray
from pipelines.config.recipe import Recipe
from pipelines.evaluate.driver import independent_judge
from pipelines.evaluate.images.worker import load
from pipelines.evaluate.metric_names import has_prompts_of_dataset, metric_names, require_metrics
from pipelines.formats import prompts
from pipelines.formats.dataset import read_manifest
from pipelines.formats.manifest import MANIFEST
from pipelines.sampling import model_files
from pipelines.sampling.judge import judge_of
from pipelines.train.driver import check_fit, judge_to_learn_from

ORDER = ("ingest", "train", "generate", "evaluate", "promote")


def require_feasible(recipe: Recipe, verb: str) -> None:
    """Raises BadInput for the first thing that `verb` or a verb after it would refuse; `nightly` is all of them.

    TryAgain where a cluster or a server does not answer.
    """
    is_whole = verb == "nightly"
    verbs = ORDER if is_whole else ORDER[ORDER.index(verb) :]
    if is_whole and recipe.generate.incremental:
        raise BadInput("generate.incremental is true; only `ganrnn generate` takes that, evaluate reads one folder")
    require_settings(recipe)
    is_ingested = storage.exists(storage.join(recipe.ingest.dataset_uri, MANIFEST))
    if "ingest" in verbs and not is_ingested:
        require_data_settings(recipe)
        for key in ("source_uri", "holdout_uri", "test_uri"):
            if (uri := getattr(recipe.ingest, key)) and not storage.exists(uri):
                raise BadInput(f"ingest.{key} is {uri}, which does not exist; paths begin at the working folder")
    extractor = load(recipe.evaluate.extractor)
    if not is_ingested:
        require_metrics(recipe, metric_names(recipe, expected_of(recipe), extractor))
    if verb != "promote":
        require_ray()
    _require_store(recipe)
    _require_models(recipe, verbs, is_whole)
    if is_ingested:
        require_ingested(recipe, is_whole, "train" in verbs)


def require_ingested(recipe: Recipe, is_evaluated: bool, is_trained: bool) -> None:
    """Raises BadInput where the data set does not fit what follows ingest."""
    manifest = read_manifest(recipe.ingest.dataset_uri)
    if is_trained:
        check_fit(recipe, manifest)
    if has_prompts_of_dataset(recipe) or storage.exists(recipe.generate.prompts_uri):
        require_data(recipe, manifest, is_evaluated)


def require_resources(runner: Runner, recipe: Recipe) -> None:
    """Raises BadInput where the cluster has too little for a verb."""
    train, sampling = recipe.train, recipe.generate.sampling
    runner.require("train", Workers(train.num_workers, train.cpus_per_worker, float(train.use_gpu)))
    workers = Workers(sampling.num_workers, sampling.cpus_per_worker, sampling.gpus_per_worker)
    runner.require("generate.sampling", workers)
    if task_class(recipe.task.name).output_modality == "images":
        runner.require("evaluate", Workers(recipe.evaluate.num_workers))


def _require_store(recipe: Recipe) -> None:
    uri = recipe.tracking.tracking_uri
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
        return  # made on first use
    from pipelines.tracking import runs  # takes seconds to load

    runs.require_experiment(recipe.tracking)


def _require_models(recipe: Recipe, verbs: tuple[str, ...], is_whole: bool) -> None:
    """The models, and the prompts, that a recipe names instead of its own.

    What generation reads need not be there yet when a data set is made or a model trained.
    """
    generates = is_whole or verbs[0] == "generate"
    config, choice = recipe.generate, recipe.generate.choice
    named = {f"evaluate.sweep.beside.{name}": uri for name, uri in recipe.evaluate.sweep.beside.items()}
    has_own_model = storage.is_within(config.model_uri, recipe.train.checkpoint_uri)
    if not has_own_model and (generates or verbs[0] == "evaluate"):
        named["generate.model_uri"] = config.model_uri
    for key, uri in named.items():
        try:
            with TemporaryDirectory() as scratch:
                model_files.fetch(uri, recipe.tracking, Path(scratch), [DESCRIPTION])
        except BadInput as error:
            raise type(error)(f"{key}: {error}") from error
    if "train" in verbs:
        judge_to_learn_from(recipe)
    chooser = None
    if choice.judge_uri:
        if task_class(recipe.task.name).output_modality != "images":
            raise BadInput("generate.choice is for models that generate images from prompts; this model does not")
        chooser = judge_of(recipe, choice.judge_uri, "generate.choice.judge_uri", recipe.task)
    independent_judge(recipe, {"judge_digest": chooser.digest} if chooser else None)
    if generates and not has_prompts_of_dataset(recipe):
        for uri in prompts.find(config.prompts_uri, config.since, config.where):
            storage.require_columns(uri, storage.open_parquet(uri).schema_arrow, ["prompt_id"])
            break
