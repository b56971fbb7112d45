"""The quick score ranks what can be ranked by eye."""

import torch

from ganrnn.data import scenes
from ganrnn.metrics.images.quick_score import QuickScore, QuickSpread


def pictures(split: str, num: int = 200) -> torch.Tensor:
    config = scenes.ScenesConfig(num_train=num, num_val=num)
    drawn = scenes.scenes(config, split, 0, 16, 16)  # type: ignore[arg-type]
    return torch.stack([torch.tensor(scene.image).permute(2, 0, 1) for scene in drawn])


def test_distances_rank_like_the_eye() -> None:
    score, real = QuickScore(pictures("val")), pictures("train")
    noise = torch.randint(0, 256, real.shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    blurred = torch.nn.functional.avg_pool2d(real.float(), 3, 1, 1).to(torch.uint8)
    distances = [score(images).distance for images in (real, blurred, noise)]
    assert distances[0] * 2 < distances[1] < distances[2]


def test_copies_of_one_picture_have_no_diversity_and_copies_of_ten_little() -> None:
    score, real = QuickScore(pictures("val")), pictures("train")
    one, ten = score(real[:1].repeat(200, 1, 1, 1)), score(real[:10].repeat(20, 1, 1, 1))
    assert one.diversity < 1e-4 < 0.5 < ten.diversity < score(real).diversity
    assert abs(score(real).diversity - 1) < 0.05
    assert score(real).distance < ten.distance < one.distance


def test_it_is_the_same_every_time_and_draws_nothing() -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    real = pictures("train")
    assert QuickScore(pictures("val"))(real) == QuickScore(pictures("val"))(real)
    assert torch.equal(torch.get_rng_state(), state)


def test_samples_that_do_not_answer_the_noise_have_no_spread() -> None:
    real = pictures("val")
    score, groups = QuickScore(real), real.split(10)
    for spread in (QuickSpread(groups), QuickSpread(groups, score.scaled_features)):
        assert spread(groups) == 1 and spread([group[:1].repeat(6, 1, 1, 1) for group in groups]) < 1e-4
        assert 0 < spread([group // 2 for group in groups]) < 1
    copies = [real[:1].repeat(6, 1, 1, 1)]
    assert QuickSpread(copies)(copies) is None and QuickSpread(())(()) is None
