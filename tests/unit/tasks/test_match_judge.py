"""A judge learns what is true of pictures: its step by the formula, its verdicts in any company, labels that count."""

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from ganrnn.data.images import encode_png, to_float, to_tensor
from ganrnn.data.scene_edits import statements
from ganrnn.data.scenes import ScenesConfig
from ganrnn.errors import BadInput
from ganrnn.objectives.matching import contrast_loss
from ganrnn.tasks.match_judge import TASK, MatchJudge, MatchJudgeConfig
from ganrnn.training.optimizer import PlayerConfig

SCENES = list(statements(ScenesConfig(num_train=64, kind="statements"), "train", 0, 16, 16))
ROWS: dict[str, list[Any]] = {
    "image": [{"bytes": encode_png(scene.image)} for scene in SCENES],
    "text": [scene.text for scene in SCENES],
    "label": [scene.label for scene in SCENES],
    "attributes": [scene.attributes for scene in SCENES],
}
PROMPTS = {"prompt": ROWS["text"], "source_image": ROWS["image"]}
SMALL: dict[str, Any] = {"height": 16, "width": 16, "base_channels": 4, "embedding_dim": 8, "dim": 12}
CONSTANT = PlayerConfig(learning_rate=1e-2, schedule="constant", beta1=0.9, beta2=0.99)


def model(**changes: Any) -> MatchJudge:
    config = MatchJudgeConfig(**SMALL | {"optimiser": CONSTANT, "num_steps": 200} | changes)
    return MatchJudge(config, MatchJudge.build_vocabulary(config, ((text,) for text in ROWS["text"])))


def rows_of(start: int, stop: int) -> dict[str, list[Any]]:
    return {name: column[start:stop] for name, column in ROWS.items()}


def test_the_task_is_found_by_its_name() -> None:
    assert TASK is MatchJudge and MatchJudgeConfig().name == "match_judge"
    assert (MatchJudge.dataset_kind, MatchJudge.output_modality) == ("images", "scores")


@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_a_step_descends_on_the_truth_and_the_contrast(weight: float) -> None:
    task, twin = (model(contrast_weight=weight) for _ in range(2))
    batch = task.collate(rows_of(0, 24))
    assert 0 < int(batch["is_true"].sum()) < 24
    seen = twin.network.encode_images(to_float(batch["images"]))
    logits = twin.network.all_pairs(seen, twin.network.encode_texts(batch["tokens"], batch["lengths"]))
    loss = F.binary_cross_entropy_with_logits(logits.diagonal(), batch["is_true"].float())
    (loss + weight * contrast_loss(logits, batch["keys"], batch["is_true"])).backward()
    expected = torch.cat([p.grad.flatten() for p in twin.network.parameters() if p.grad is not None])
    metrics = task.step(batch)
    assert float(metrics["loss"]) == pytest.approx(loss.item(), rel=1e-5)
    assert float(metrics["gradient_norm"]) == pytest.approx(expected.norm().item(), rel=1e-4)
    assert ("contrast" in metrics) == bool(weight) and task.step_index == 1
    assert all(not held.requires_grad for held in metrics.values())


def test_without_labels_every_pair_is_true() -> None:
    rows = rows_of(0, 8) | {"label": [None] * 8}
    assert model().collate(rows)["is_true"].all()
    total, count = model().negative_log_likelihood(rows)
    logits = model().logits(rows["image"], rows["text"])
    assert count == 8 and total == pytest.approx(F.softplus(-logits).sum().item(), rel=1e-5)


def test_likelihood_is_that_of_the_labels() -> None:
    task = model()
    logits, labels = task.logits(ROWS["image"], ROWS["text"]), torch.tensor(ROWS["label"]).float()
    total, count = task.negative_log_likelihood({name: [*column, *column] for name, column in ROWS.items()})
    expected = F.binary_cross_entropy_with_logits(logits, labels, reduction="sum")
    assert count == 128 and total == pytest.approx(2 * expected.item(), rel=1e-4)


def test_a_verdict_does_not_depend_on_the_others() -> None:
    task = model()
    for step in range(3):
        task.step(task.collate(rows_of(16 * step, 16 * step + 16)))
    keys = [(0, f"{i}/0") for i in range(len(SCENES))]
    whole = task.sample(PROMPTS, keys)
    assert whole.shape == (64,) and 0 <= whole.min() < whole.max() <= 1
    for size in (1, 7):
        parts = [
            task.sample({name: column[i : i + size] for name, column in PROMPTS.items()}, keys[i : i + size])
            for i in range(0, 21, size)
        ]
        torch.testing.assert_close(torch.cat(parts), whole[:21], rtol=0, atol=1e-6)


def test_candidates_are_ranked_by_their_logits_in_any_company() -> None:
    task = model()
    images, texts = to_tensor([held["bytes"] for held in ROWS["image"][:3]]), ROWS["text"][:9]
    candidates = torch.tensor([[0, 8, 3], [4, 4, 1], [2, 7, 5]])
    ranked = task.rank(images, texts, candidates)
    pairs = [(ROWS["image"][row], texts[place]) for row, chosen in enumerate(candidates.tolist()) for place in chosen]
    alone = task.logits([image for image, _ in pairs], [text for _, text in pairs])
    assert torch.allclose(ranked.flatten(), alone, atol=1e-5)
    assert torch.equal(task.rank(images[1:2], texts, candidates[1:2]), ranked[1:2])


def test_it_learns_what_is_true() -> None:
    task = model(contrast_weight=0.0)
    batch = task.collate(ROWS)
    for _ in range(40):
        metrics = task.step(batch)
    assert float(metrics["right"]) > 0.9
    verdicts = task.sample(PROMPTS, [(0, "")] * 64) > 0.5
    assert (verdicts == torch.tensor(ROWS["label"]).bool()).float().mean() > 0.8


def test_unknown_words_are_counted() -> None:
    assert model().count_unknown({"prompt": ["a red circle", "a mauve rhombus", ""]}) == [0, 2, 0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"height": 18}, "task.height is 18; allowed are multiples of 4 from 16 up"),
        ({"dim": 7}, "task.dim is 7; allowed are multiples of 2 from 2 up"),
        ({"num_steps": 0}, "task.num_steps is 0; allowed are values above 0"),
        ({"contrast_weight": -1.0}, "task.contrast_weight is -1.0; allowed are values from 0 up"),
        ({"optimiser": PlayerConfig(beta1=1.0)}, "task.optimiser.beta1 is 1.0; allowed are values from 0 to below 1"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        model(**changes)
