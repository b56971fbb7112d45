"""A prompt as the registered model takes it: one pandas row of plain values."""

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

# Columns that a model may read, in the types of an MLflow signature.
KINDS = {
    **dict.fromkeys(("prompt", "prefix", "from_text", "to_text", "attributes"), "string"),
    **{"label": "long", "share": "double", "source_image": "binary"},
}


def frame(prompt: Mapping[str, Any], **more: Any) -> pd.DataFrame:
    """Attributes become a JSON object, a picture its bytes."""
    plain = dict(prompt)
    if "attributes" in plain:
        plain["attributes"] = json.dumps(dict(plain["attributes"] or {}), ensure_ascii=False)
    if "source_image" in plain:
        plain["source_image"] = plain["source_image"]["bytes"]
    return pd.DataFrame({name: [value] for name, value in (plain | more).items()})
