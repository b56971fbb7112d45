"""Which code wrote a file: the commit of ganrnn's own repository, or the version of the installed package.

A checkout says it by git, an image by a file that its build wrote, an installation from a repository by what pip noted.
"""

import functools
import json
import os
import shutil
import subprocess
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
# Set while git runs a hook, or by a user: they would answer for another repository than that of the folder.
_OF_A_REPOSITORY = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY")


@functools.cache
def code_revision() -> str:
    """The commit of this code where that is known, else the installed version."""
    return commit_of(_ROOT) or written_by_the_build(_ROOT) or _installed() or "unknown"


def commit_of(root: Path) -> str:
    """The commit of ganrnn's own repository, whose top is `root`; empty where it is not.

    What was installed into an environment inside of another project, or copied into its repository, lies in that
    project's folder, but its commits say nothing about ganrnn.
    """
    top = _git("rev-parse", "--show-toplevel", folder=root)
    if not top or Path(top).resolve() != root.resolve() or _project_name(root) != "ganrnn":
        return ""
    return _git("rev-parse", "HEAD", folder=root) or ""


def written_by_the_build(root: Path) -> str:
    """What the build of an image has written into the package; empty where it has not."""
    file = root / "pipelines/REVISION"
    return file.read_text(encoding="utf-8").strip() if file.is_file() else ""


def commit_noted_by_pip(direct_url: str | None) -> str:
    """The commit in `direct_url.json` (PEP 610), which pip writes for a package installed from a repository."""
    commit: str = json.loads(direct_url or "{}").get("vcs_info", {}).get("commit_id", "")
    return commit


def _installed() -> str:
    try:
        package = Distribution.from_name("ganrnn")
    except PackageNotFoundError:
        return ""
    return commit_noted_by_pip(package.read_text("direct_url.json")) or package.version


def _project_name(root: Path) -> str:
    try:
        project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8")).get("project", {})
    except (OSError, ValueError):
        return ""
    return str(project.get("name", ""))


def _git(*arguments: str, folder: Path) -> str | None:
    """What git prints in a folder; None where it fails or is not installed."""
    if not (git := shutil.which("git")):
        return None
    environment = {name: value for name, value in os.environ.items() if name not in _OF_A_REPOSITORY}
    command = [git, *arguments]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else None
