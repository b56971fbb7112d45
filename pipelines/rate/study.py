"""A study in its folder: items drawn once from their sources, and what they and the trials are a function of.

    study = open_study(recipe, samples_uri, reference_uri)

study.sqlite below `rate.study_uri` holds all of it; another study in the same folder is refused.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.config.rate import REFERENCE, SAMPLES
from pipelines.config.recipe import Recipe
from pipelines.rate.items import Medium, model_digest, read_items, source_digest
from pipelines.rate.store import Store, create, study_exists
from pipelines.rate.trials import Design
from pipelines.storage.folder_identity import require_same

# Of the section `rate`, what the trials of a study depend on; the others may change while it runs.
_FIXED = ("task", "split", "num_pool", "num_items", "num_practice", "num_checks", "exposure_seconds", "text_length")


@dataclass(frozen=True)
class Study:
    """Answers and items, whose turn is what, and whether pictures or texts are to be seen."""

    store: Store
    design: Design
    medium: Medium


def open_study(recipe: Recipe, samples_uri: str, reference_uri: str) -> Study:
    """The study in its folder, drawn from the sources first where there is none."""
    rate, folder = recipe.rate, study_folder(recipe)
    sources = {SAMPLES: samples_uri, REFERENCE: reference_uri, **rate.beside}
    if not study_exists(folder):
        _create(recipe, folder, sources)
    store = Store(folder)
    advice = "set it back, or set rate.study_uri to another folder"
    require_same(rate.study_uri, store.about["identity"], _identity(recipe, sources), advice)
    return Study(store, Design(rate, recipe.seed, store.pools()), store.about["medium"])


def study_folder(recipe: Recipe) -> Path:
    """Where the study lies; BadInput for anything but a folder of this machine."""
    folder = storage.local_path(recipe.rate.study_uri)
    if folder is None:
        raise BadInput(f"rate.study_uri is {recipe.rate.study_uri}; SQLite needs a folder on a disk of this machine")
    return folder


def _identity(recipe: Recipe, sources: Mapping[str, str]) -> dict[str, Any]:
    """What the items and trials of a study are a function of."""
    settings = asdict(recipe.rate)
    return {
        "sources": {name: source_digest(uri) for name, uri in sources.items()},
        "seed": recipe.seed,
        "rate": {name: settings[name] for name in _FIXED},
    }


def _create(recipe: Recipe, folder: Path, sources: Mapping[str, str]) -> None:
    rate, made_of = recipe.rate, _identity(recipe, sources)
    medium, items = read_items(sources, rate, recipe.seed)
    numbers: dict[str, list[int]] = {name: [] for name in sources}
    for number, item in enumerate(items):
        numbers[item.source].append(number)
    Design(rate, recipe.seed, numbers)  # before anything is written
    about = {
        "study_id": storage.sha256(json.dumps([made_of, [item.digest for item in items]], sort_keys=True).encode()),
        "identity": made_of,
        "sources": dict(sources),
        "medium": medium,
        "model_digest": model_digest(sources[SAMPLES]),
    }
    create(folder, about, items)
