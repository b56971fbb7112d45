"""How S3 is spoken to, for clients of every kind and in every process.

Endpoint and credentials come from the usual variables (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
AWS_DEFAULT_REGION, AWS_PROFILE ...). What they leave open is filled in: how often a request is tried, and no checksums
beyond those that every server knows.
"""

import os
from typing import Any

# A server that does not answer for this long is asked again, AWS_MAX_ATTEMPTS times in all. Listings are not kept: they
# would hide what other processes write.
OPTIONS: dict[str, Any] = {"config_kwargs": {"connect_timeout": 10, "read_timeout": 30}, "use_listings_cache": False}


_DEFAULTS = {
    "AWS_RETRY_MODE": "standard",
    "AWS_MAX_ATTEMPTS": "6",
    "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
    "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
}


def fill_in() -> None:
    """Set what this process's variables leave open, for itself and the workers that inherit them."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)


def environment() -> dict[str, str]:
    """The variables that S3 clients of every kind read, given or by default, for workers elsewhere."""
    fill_in()
    return {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "MLFLOW_S3_"))}
