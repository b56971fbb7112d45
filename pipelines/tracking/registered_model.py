"""The code of a registered model: MLflow stores this file with the version and runs it to load the model back.

    model = mlflow.pyfunc.load_model("models:/scenes@champion")
    model.predict(pandas.DataFrame({"prompt": ["a large blue triangle"], "seed": [1], "sample_id": ["0"]}))["image"][0]

MLflow calls this form models-from-code: it passes the files of the version and takes the class from `set_model`. The
file travels with a copy of ganrnn and without the rest of this package; nothing of it is pickled.
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from ganrnn import checkpoint
from ganrnn.config import from_plain
from ganrnn.decoding.rules import Decoding
from ganrnn.outputs import plain_output

DEFAULT_SEED, DEFAULT_SAMPLE_ID = 0, "0"
MICRO_BATCH_SIZE = 64


class RegisteredModel(PythonModel):
    """Prompts in, PNG pictures, texts or scores out, the same as `load_sampler(...).sample(...)` gives.

    Prompts are the columns that the task reads: `prompt`, `label`, `attributes` as JSON objects of strings,
    `source_image` as encoded bytes. `decoding`, a JSON object of the fields of `Decoding`, says how a text is written.
    """

    def load_context(self, context: Any) -> None:
        """Read the two files of the version; raises BadInput when a digest does not fit."""
        files = {name: Path(path).read_bytes() for name, path in context.artifacts.items()}
        self.sampler = checkpoint.load_sampler(files)
        self.output = plain_output(self.sampler)

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """One row with `image` (PNG bytes), `text` or `match_score` for each prompt and, where given, its `seed`,
        `sample_id`.

        The noise is a function of (seed, sample_id): rows equal in both differ by their prompts alone.
        """
        optional = [name for name in self.sampler.optional_columns if name in model_input]
        columns = {name: model_input[name].tolist() for name in self.sampler.prompt_columns}
        columns |= {name: [None if pd.isna(value) else value for value in model_input[name]] for name in optional}
        if "attributes" in columns:
            columns["attributes"] = [json.loads(value) for value in columns["attributes"]]
        if "source_image" in columns:
            columns["source_image"] = [{"bytes": png} for png in columns["source_image"]]
        if self.output.reads_decoding:
            rules = self._column(model_input, "decoding", "{}")
            columns["decoding"] = [from_plain(Decoding, json.loads(rule)) for rule in rules]
        seeds = self._column(model_input, "seed", DEFAULT_SEED)
        sample_ids = self._column(model_input, "sample_id", DEFAULT_SAMPLE_ID)
        keys = [(int(seed), str(sample_id)) for seed, sample_id in zip(seeds, sample_ids, strict=True)]
        columns["prompt_id"] = sample_ids
        samples: list[Any] = []
        for start in range(0, len(keys), MICRO_BATCH_SIZE):
            part = slice(start, start + MICRO_BATCH_SIZE)
            outputs = self.sampler.sample({name: values[part] for name, values in columns.items()}, keys[part])
            samples += self.output.plain(outputs)
        return pd.DataFrame({self.output.column: pd.Series(samples, dtype=object)})

    @staticmethod
    def _column(rows: pd.DataFrame, name: str, default: int | str) -> list[Any]:
        if name not in rows:
            return [default] * len(rows)
        return [default if pd.isna(value) else value for value in rows[name]]


set_model(RegisteredModel())
