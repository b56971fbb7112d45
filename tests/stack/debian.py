"""Programs of Debian that are fetched once with apt, as any user, and unpacked into a cache; nothing is installed.

The cache is ~/.cache/ganrnn, or GANRNN_STACK_CACHE.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path


class Unavailable(Exception):
    """This machine cannot have the programs; the message says why."""


def unpacked(name: str, packages: Sequence[str], needed: Sequence[str] = ()) -> Path:
    """The folder NAME-VERSION that packages and what they need are unpacked in, filled first if need be.

    The version is that of the first package; `needed` are tools that have to be here. Raises Unavailable.
    """
    cache = Path(os.environ.get("GANRNN_STACK_CACHE") or "~/.cache/ganrnn").expanduser().absolute()
    if found := sorted(cache.glob(f"{name}-[0-9]*")):
        return found[-1]
    if missing := [tool for tool in ("apt-get", "dpkg", "dpkg-deb", *needed) if not shutil.which(tool)]:
        raise Unavailable(f"{name} needs Debian or Ubuntu with apt; {', '.join(missing)} is not here")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=cache) as part:
        root = Path(part) / "root"
        root.mkdir()
        archives = _download(Path(part) / "apt", packages)
        for archive in archives:
            _tool("dpkg", "-x", str(archive), str(root))
        main = next(archive for archive in archives if archive.name.startswith(f"{packages[0]}_"))
        target = cache / f"{name}-{_tool('dpkg-deb', '--field', str(main), 'Version').strip()}"
        try:
            root.rename(target)
        except OSError:
            if not target.is_dir():  # Otherwise someone else was faster.
                raise
    return target


def _download(folder: Path, packages: Sequence[str]) -> list[Path]:
    """The packages and all that they need and this machine lacks; lists and archives stay in the folder."""
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    places = (f"Dir::State::lists={folder}/lists", f"Dir::Cache={folder}/cache")
    # No lock and no change of user: this is no installation, and need not be root.
    manners = ("Debug::NoLocking=true", "APT::Sandbox::User=", "Acquire::Retries=3", "Acquire::http::Timeout=30")
    options = [word for option in (*places, *manners) for word in ("-o", option)]
    _tool("apt-get", "-qq", *options, "update")
    _tool("apt-get", "-qq", *options, "install", "-y", "--download-only", "--no-install-recommends", *packages)
    return sorted((folder / "cache/archives").glob("*.deb"))


def _tool(*command: str) -> str:
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if result.returncode:
        reason = " ".join(result.stderr.split()[-40:])
        raise Unavailable(f"the packages cannot be had ({' '.join(command[:1])}: {reason})")
    return result.stdout
