"""The two tiers: a test is quick (`make test`), or it is slow and says why (`make test-slow`).

@pytest.mark.slow("starts Ray Train")
"""

from collections.abc import Collection
from typing import Any

# The one file of the quick tier that may start Ray: with --dist loadfile, one process of tests works on it alone.
QUICK_RAY_FILE = "test_ray_runner.py"
RAY_FIXTURE = "ray_session"


def refusal(mark: Any, fixtures: Collection[str], file_name: str) -> str | None:
    """What is wrong with a test's tier, given its marker `slow` or None; None where nothing is."""
    if mark is None:
        if RAY_FIXTURE in fixtures and file_name != QUICK_RAY_FILE:
            return f"it starts Ray: mark it slow or move it to {QUICK_RAY_FILE}"
        return None
    reasons = [*mark.args, *mark.kwargs.values()]
    if len(reasons) != 1 or not isinstance(reasons[0], str) or not reasons[0].strip():
        return 'its marker slow needs a reason: @pytest.mark.slow("starts a cluster")'
    return None
