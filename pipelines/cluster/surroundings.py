"""What Ray needs of the machine and of the network, checked before Ray is loaded: without it, Ray waits for minutes."""

import os
import socket

from ganrnn.errors import BadInput, TryAgain

_SECONDS = 10
# What Ray appends to its folder for the longest of its sockets, and the longest name that Linux gives a socket.
_SOCKET = "/ray/session_2026-01-31_23-59-59_999999_4194304/sockets/plasma_store"
_LONGEST = 107


def require_ray() -> None:
    """Raises TryAgain where nothing answers at RAY_ADDRESS, and BadInput for a temporary folder of too long a name."""
    if address := os.environ.get("RAY_ADDRESS", ""):
        _require_answer(address)
    else:
        _require_short_folder()


def _require_answer(address: str) -> None:
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not (host and port.isdigit()):  # auto, for which Ray looks itself
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise TryAgain(
            f"RAY_ADDRESS is {address}, where no Ray cluster answers ({error}); "
            "start the cluster, or unset RAY_ADDRESS to run Ray on this machine alone"
        ) from error


def _require_short_folder() -> None:
    for name in ("RAY_TMPDIR", "TMPDIR"):
        if name in os.environ:
            folder = os.environ[name]
            length, longest = len(os.fsencode(folder)), _LONGEST - len(_SOCKET)
            if length > longest:
                raise BadInput(
                    f"{name} is {folder}, a name of {length} bytes; allowed are {longest}, since Ray's "
                    "sockets lie below it: export RAY_TMPDIR with a shorter folder, such as /tmp"
                )
            return
