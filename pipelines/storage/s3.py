"""How S3 is spoken to, for clients of every kind and in every process.

Endpoint and credentials come from the usual variables (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
AWS_DEFAULT_REGION, AWS_PROFILE ...). What they leave open is filled in: how often a request is tried, and no checksums
beyond those that every server knows.
"""

import os
from typing import Any

import fsspec

# A server that does not answer for this long is asked again, AWS_MAX_ATTEMPTS times in all. Listings are not kept: they
# would hide what other processes write.
_OPTIONS: dict[str, Any] = {"config_kwargs": {"connect_timeout": 10, "read_timeout": 30}, "use_listings_cache": False}


_DEFAULTS = {
    "AWS_RETRY_MODE": "standard",
    "AWS_MAX_ATTEMPTS": "6",
    "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
    "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
}


_VERSION = "?versionId="


def filesystem() -> Any:
    """The client of S3 for files. Keys are taken to the letter, also those in which s3fs sees a version."""
    fill_in()
    fs = fsspec.filesystem("s3", **_OPTIONS)
    split_path = type(fs).split_path

    def literal(path: str) -> tuple[str, str, None]:
        before, mark, after = path.partition(_VERSION)
        bucket, key, _ = split_path(fs, before)
        return bucket, f"{key}{mark}{after}", None

    fs.split_path = literal
    return fs


def fill_in() -> None:
    """Set what this process's variables leave open, for itself and the workers that inherit them."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)


def environment() -> dict[str, str]:
    """The variables that S3 clients of every kind read, given or by default, for workers elsewhere."""
    fill_in()
    return {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "MLFLOW_S3_"))}
