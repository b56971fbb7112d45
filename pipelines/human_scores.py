"""What people said of a model, for those who decide about it: the ratings.json that `ganrnn rate --report` writes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ganrnn.errors import BadInput
from ganrnn.metrics.difference import Interval
from pipelines import storage

FILE = "ratings.json"
PREFIX = "human_"
PREFERENCE = "human_preference"  # to the reference of the study; half of the answers say nothing
# Of the section `rate`, what two studies have to share for their scores to be compared.
_PROTOCOL = ("task", "split", "num_items", "num_practice", "num_checks", "exposure_seconds", "text_length")


@dataclass(frozen=True)
class HumanScores:
    """Metrics of a study and the intervals of those that have one, the wider one where there are two.

    digest:            sha256 of the file
    protocol_digest:   equal for studies of the same kind against the same reference
    reference_digest:  of what the samples were judged beside; of a folder of samples that is its manifest's
    """

    uri: str
    digest: str
    metrics: Mapping[str, float]
    intervals: Mapping[str, Interval]
    protocol_digest: str
    reference_digest: str


def read_human_scores(folder_uri: str, model_digest: str) -> HumanScores:
    """The report of a study about samples of this model; BadInput where there is none, or it is about another."""
    uri = storage.join(folder_uri, FILE)
    raw = storage.read_json(uri)
    try:
        human, config, reference = raw["human"], raw["config"], raw["digests"]["reference_source"]
        metrics = {name: float(value) for name, value in raw["metrics"].items()}
        intervals = _wider(raw["intervals"], raw["intervals_by_rater"])
        settings = {name: config[name] for name in _PROTOCOL}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"{uri} is no report of `ganrnn rate --report` ({error!r})") from error
    if human.get("model_digest") != model_digest:
        raise BadInput(
            f"{uri}: raters judged model {str(human.get('model_digest'))[:12]}, this is {model_digest[:12]}; "
            "have samples of this model rated"
        )
    protocol = json.dumps([settings, reference], sort_keys=True).encode()
    return HumanScores(
        uri, storage.sha256(storage.read_bytes(uri)), metrics, intervals, storage.sha256(protocol), reference
    )


def _wider(*intervals: Mapping[str, Any]) -> dict[str, Interval]:
    names = {name for held in intervals for name in held}
    bounds = {name: [held[name] for held in intervals if name in held] for name in names}
    return {name: (min(low for low, _ in both), max(high for _, high in both)) for name, both in bounds.items()}
