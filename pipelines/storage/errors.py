"""What file systems and object stores raise, in one sentence, and whether it may be gone when one tries again."""

import errno
from collections.abc import Mapping
from typing import Any

from aiohttp import ClientError
from botocore.exceptions import BotoCoreError, EndpointConnectionError, HTTPClientError, IncompleteReadError

from ganrnn.errors import BadInput, TryAgain

# s3fs passes on what is no answer of the server: no credentials, an unreachable endpoint, a connection cut for good.
STORE_ERRORS = (OSError, BotoCoreError, ClientError)

_CUT = (EndpointConnectionError, HTTPClientError, IncompleteReadError, ClientError, TimeoutError, ConnectionError)
_SERVER_ERRORS = 500


def refusal(text: str, error: Exception, advice: str = "") -> BadInput:
    """`text`, the reason and the advice as BadInput, or as TryAgain where the store was cut off or at fault itself."""
    answer = _response(error)
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    passes = status >= _SERVER_ERRORS or (not answer and isinstance(error, _CUT))
    kind = TryAgain if passes else BadInput
    return kind(f"{text} ({_reason(error)}){advice}")


def code(error: Exception) -> str:
    """The store's own code for what went wrong, such as SlowDown; empty where it did not answer."""
    return str(_response(error).get("Error", {}).get("Code", ""))


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "no space left on device"
    if code(error):
        return " ".join(f"{code(error)} {_response(error)['Error'].get('Message') or ''}".split())
    return " ".join(str(error).split()) or type(error).__name__


def _response(error: Exception) -> Mapping[str, Any]:
    """What the store itself said: s3fs keeps only the message, and some stores send only a code."""
    response: Mapping[str, Any] = getattr(error.__cause__, "response", None) or {}
    return response
