"""Scores that do not separate good samples from bad ones, and why: what judges them cannot tell real images apart."""

import re
from collections.abc import Iterator

from ganrnn.metrics.statistics.intervals import difference_interval
from pipelines.evaluate.images.metrics import PictureScores
from pipelines.evaluate.images.set_statistics import IN_DOMAIN
from pipelines.formats.metric_descriptions import description_of

FEWEST_PICTURES = 3_000  # that the in-domain network has to learn from
_LEAST_KNOWN = 0.5  # of the real images
_MARGIN = 0.05  # by which a score without an interval is better than that of real images, relative to it
_SIGNS = {"higher is better": 1, "lower is better": -1}
# More of these than real images have comes from samples in the middle of real ones, such as blurred ones.
_MOST_REAL = re.compile(r"(clipped_)?(precision|recall|density|coverage)\d|coverage_given_prompt_")
_IS_NOISE_AT_ITS_FLOOR = re.compile(r"kid\d|.*_std$")


def does_not_separate(
    scores: PictureScores, real: PictureScores, num_learnt: int, num_candidates: int
) -> dict[str, list[str]]:
    """By metric, the reasons why it separates nothing; metrics that do are left out.

    scores, real:    of the samples, and of real images in their place
    num_learnt:      of how many images the in-domain network has learnt
    num_candidates:  of R-precision
    """
    retrieval = f"r_precision_{num_candidates}"
    reasons = {name: list(_reasons(name, scores, real, num_learnt, retrieval)) for name in scores.metrics}
    return {name: held for name, held in reasons.items() if held}


def _reasons(name: str, scores: PictureScores, real: PictureScores, num_learnt: int, retrieval: str) -> Iterator[str]:
    is_in_domain = name == retrieval or name.endswith(f"_{IN_DOMAIN}")
    if is_in_domain and num_learnt < FEWEST_PICTURES:
        yield f"the in-domain network has learnt from {num_learnt:,} images, fewer than {FEWEST_PICTURES:,}"
    judged_by = retrieval if is_in_domain else name if name.endswith(("_by_judge", "_accuracy")) else ""
    known = real.metrics.get(judged_by, 1.0)
    if known < _LEAST_KNOWN:
        yield f"of the real images, its judge knows {known:.2f}, less than half ({judged_by})"
    if _is_better_than_real(name, scores, real):
        yield "the samples are better than real images"


def _is_better_than_real(name: str, scores: PictureScores, real: PictureScores) -> bool:
    """By more than chance where both scores have an interval, else by a margin."""
    sign = _SIGNS.get(description_of(name).better, 1 if _MOST_REAL.match(name) else 0)
    if not sign or name not in real.metrics or _IS_NOISE_AT_ITS_FLOOR.match(name):
        return False
    value, floor = scores.metrics[name], real.metrics[name]
    if name in scores.intervals and name in real.intervals:
        low, high = difference_interval(value, scores.intervals[name], floor, real.intervals[name])
        return low > 0 if sign > 0 else high < 0
    return sign * (value - floor) > _MARGIN * abs(floor)
