"""Ray Train against plain torchrun: the same worker function, the same rows, the same weights at the end."""

from mlflow import MlflowClient

from pipelines import storage
from pipelines.sampling.model_files import fetch_files
from tests.benchmarks.record import Figure, digits, ratio_figure
from tests.benchmarks.workspace import RECIPE, Workspace

NUM_WORKERS = 2
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(NUM_WORKERS))
SIDES = {
    "torchrun": (*TORCHRUN, "tests/benchmarks/demo/torchrun_train.py", RECIPE),
    "ray_train": ("-m", "jobs", "train", RECIPE),
}


def measure(workspace: Workspace) -> list[Figure]:
    """Images a second after the warm-up, both sides in turn."""
    workspace.ingest()
    speeds: dict[str, list[float]] = {side: [] for side in SIDES}
    weights = set()
    for repeat in range(workspace.sizes.train_repeats):
        for side in SIDES:
            speed, digest = _train(workspace, side, f"{side}-{repeat}")
            print(f"  {side:<10} {speed:7.1f} images/s", flush=True)
            speeds[side].append(speed)
            weights.add(digest)
    assert len(weights) == 1, f"the sides trained different weights: {weights}"
    sizes = workspace.sizes
    details = {
        "images_per_second": {side: [digits(speed) for speed in held] for side, held in speeds.items()},
        "steps_counted": sizes.train_steps - sizes.warm_up_steps,
        "num_workers": NUM_WORKERS,
        "equal_weights_at_the_end": True,
    }
    ratios = [ray / plain for plain, ray in zip(*speeds.values(), strict=True)]
    meaning = "images/s of training under Ray Train by those of the same worker function under torchrun, after warm-up"
    return [ratio_figure("ray_train_vs_torchrun", ratios, meaning, details)]


def _train(workspace: Workspace, side: str, name: str) -> tuple[float, str]:
    """Images a second and the digest of the weights. The times are those of the MLflow points that rank 0 logged."""
    sizes = workspace.sizes
    overrides = workspace.overrides(
        f"tracking.experiment={name}",
        f"train.checkpoint_uri={workspace.folder}/{name}",
        f"train.num_workers={NUM_WORKERS}",
        f"train.log_every_steps={sizes.log_every_steps}",
        f"train.checkpoint_every_steps={sizes.train_steps}",
        f"train.sample_every_steps={sizes.train_steps}",
        f"task.num_steps={sizes.train_steps}",
    )
    workspace.run(SIDES[side], overrides)
    recipe = workspace.recipe()
    client = MlflowClient(recipe.tracking.tracking_uri)
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    points = {point.step: point.timestamp / 1000 for point in client.get_metric_history(run.info.run_id, "loss_g")}
    seconds = points[sizes.train_steps] - points[sizes.warm_up_steps]
    images = (sizes.train_steps - sizes.warm_up_steps) * recipe.train.global_batch_size
    files = fetch_files(f"{workspace.folder}/{name}", recipe.tracking)
    return images / seconds, storage.sha256(files["sampler.safetensors"])
