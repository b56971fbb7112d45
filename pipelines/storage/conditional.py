"""Conditional writes of objects, on which a lease stands."""

from pipelines.storage import errors
from pipelines.storage.errors import STORE_ERRORS
from pipelines.storage.files import ask, one_put, open_filesystem, read_at_once


def create_bytes(uri: str, data: bytes) -> bool:
    """Write an object unless there is one, in one step; False where there is. For object stores and unique data."""
    return _put_if(uri, data, mode="create")


def replace_bytes(uri: str, data: bytes, tag: str) -> bool:
    """Write an object if it is still the one of `tag`, in one step; False where it is not. For object stores."""
    return _put_if(uri, data, IfMatch=tag.strip('"'))  # Ceph compares it without the quotes that it sends it with


def read_tagged(uri: str) -> tuple[bytes | None, str]:
    """An object and a tag that changes with it; (None, "") where there is none. For object stores."""
    fs, path = open_filesystem(uri)

    def read() -> tuple[bytes | None, str]:
        try:
            # Between the two calls the object may change; its tag then no longer fits, and nothing is replaced.
            tag = fs.info(path).get("ETag", "")
            return read_at_once(fs, path), tag
        except FileNotFoundError:
            return None, ""

    return ask(uri, read)


def _put_if(uri: str, data: bytes, **condition: str) -> bool:
    """Whether the object is `data` now, written under a condition. `data` has to be unique to its writer."""
    # A request that is tried again after its answer was lost meets its own object.
    return _put_once(uri, data, **condition) or read_tagged(uri)[0] == data


def _put_once(uri: str, data: bytes, **condition: str) -> bool:
    fs, path = open_filesystem(uri)
    try:
        fs.pipe_file(path, data, **one_put(fs), **condition)
    except FileExistsError:
        return False
    except STORE_ERRORS as error:
        if errors.code(error) in ("PreconditionFailed", "ConditionalRequestConflict"):
            return False
        raise errors.refusal(f"{uri} cannot be written", error) from error
    return True
