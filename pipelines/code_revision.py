"""Which code wrote a file: the commit of this checkout, or the version of the installed package."""

import functools
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


@functools.cache
def code_revision() -> str:
    """The commit of the checkout that this file belongs to; where it belongs to none, the installed version."""
    if commit := commit_of(Path(__file__)):
        return commit
    try:
        return version("ganrnn")
    except PackageNotFoundError:
        return "unknown"


def commit_of(path: Path) -> str:
    """The commit of the repository that tracks a file; empty where none does.

    A package that was installed into an environment inside of another project lies in that project's folder, but is no
    part of its repository.
    """
    if _git("ls-files", "--error-unmatch", path.name, folder=path.parent) is None:
        return ""
    return _git("rev-parse", "HEAD", folder=path.parent) or ""


def _git(*arguments: str, folder: Path) -> str | None:
    """What git prints in a folder; None where it fails or is not installed."""
    if not (git := shutil.which("git")):
        return None
    result = subprocess.run([git, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else None
