"""Names of places: paths, file:// and object store URIs."""

import os
import re
from pathlib import Path

_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def absolute(uri: str) -> str:
    """Plain and sqlite paths made absolute (Ray workers run in other folders); other URIs as they are."""
    if uri.startswith("sqlite:///") and not uri.startswith("sqlite:////"):
        return f"sqlite:///{Path(uri.removeprefix('sqlite:///')).absolute()}"
    if uri.startswith("file://"):
        uri = uri.removeprefix("file://")
    return uri if _SCHEME.match(uri) else os.path.normpath(Path(uri).expanduser().absolute())


def join(uri: str, *parts: str) -> str:
    """A URI below another."""
    return "/".join([uri.rstrip("/"), *(part for part in parts if part)])
