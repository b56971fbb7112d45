"""The manifest of a verb: written last, its presence means that the output is complete."""

import shutil
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 1


MANIFEST = "manifest.json"


def build_manifest(
    verb: str,
    *,
    inputs: Mapping[str, Any],
    config: Mapping[str, Any],
    shards: list[dict[str, Any]],
    totals: Mapping[str, Any],
    model_digest: str | None = None,
) -> dict[str, Any]:
    """The manifest of a verb's output, written last; `shards` holds {uri, rows, sha256} each."""
    return {
        "schema_version": SCHEMA_VERSION,
        "verb": verb,
        "inputs": dict(inputs),
        "config": dict(config),
        "code_revision": code_revision(),
        "model_digest": model_digest,
        "shards": shards,
        "totals": dict(totals),
    }


def code_revision() -> str:
    """The commit of this checkout, or the installed version where there is none."""
    if git := shutil.which("git"):
        result = subprocess.run(
            [git, "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
        )
        if result.returncode == 0:
            return result.stdout.strip()
    try:
        return version("ganrnn")
    except PackageNotFoundError:
        return "unknown"
