"""Each system is trained once a process of tests, and its story told once."""

from collections.abc import Callable
from functools import cache

import pytest

from tests.pipelines.systems.systems import Promoted, promoted, system_run
from tests.pipelines.tiny import Run


@pytest.fixture(scope="session")
def run_of(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """The trained run of a system, by the name of its task. Tests read it and write elsewhere."""

    @cache
    def run_of(name: str) -> Run:
        return system_run(name, trained, tmp_path_factory.mktemp(name))

    return run_of


@pytest.fixture(scope="session")
def promoted_of(run_of: Callable[[str], Run], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Promoted]:
    """That run generated, evaluated and promoted."""

    @cache
    def promoted_of(name: str) -> Promoted:
        return promoted(name, run_of(name), tmp_path_factory.mktemp(f"{name}-promoted"))

    return promoted_of
