"""The latent GAN's steps against their formulas, and what its texts depend on: their keys and columns alone."""

from typing import Any

import pytest
import torch

from ganrnn import checkpoint, noise
from ganrnn.decoding.rules import Decoding
from ganrnn.errors import BadInput
from ganrnn.networks.texts.latent_sphere import on_sphere
from ganrnn.tasks.latent_text_gan import LatentTextGan, LatentTextGanConfig

TEXTS = ["a small red circle", "no", "two blue squares, one above", "红色圆形", "green", "so it goes on"]
NUM_ROWS = 6
SMALL: dict[str, Any] = {
    **{"num_tokens": 30, "embedding_dim": 6, "hidden_dim": 8, "latent_dim": 5, "z_dim": 4, "mlp_dim": 12},
    **{"num_steps": 50, "num_autoencoder_steps": 0, "critic_steps": 1, "label_dim": 3},
}


def model(**changes: Any) -> LatentTextGan:
    config = LatentTextGanConfig(**SMALL | changes)
    vocabulary = LatentTextGan.build_vocabulary(config, [(text, 0) for text in TEXTS])
    return LatentTextGan(config, vocabulary, seed=3)


def pronounced(**changes: Any) -> LatentTextGan:
    """With weights that make the latent count, as after a training."""
    task = model(**changes)
    for network in (task.average.to_latent, task.average.bridge, task.generator_average.end):
        network.weight.data *= 3.0
    task.average.decoder.own_weight.data *= 6.0
    return task


def batch_of(task: LatentTextGan) -> Any:
    labels = {"label": [0, 1, 1, 0, 1, 0]} if task.config.labels else {}
    return task.batches({"text": TEXTS, **labels}, NUM_ROWS, seed=0).at(0)


def weights(network: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in network.parameters()])


@pytest.mark.parametrize("labels", [0, 2])
def test_the_critics_and_the_generators_update_are_their_formulas(labels: int) -> None:
    task, twin = model(labels=labels), model(labels=labels)
    for own in (task, twin):  # the averaged encoder is the one that counts
        own.average.to_latent.weight.data *= 2.0
    batch = batch_of(task)
    torch.manual_seed(5)
    metrics = task.step(batch)

    torch.manual_seed(5)
    drawn_labels = batch["drawn_labels"] if labels else None
    real = twin.average.encode(batch["drawn"])
    fake = twin.generator(torch.randn(NUM_ROWS, 4), drawn_labels).detach()
    share = torch.rand(NUM_ROWS)[:, None]
    points = (share * real + (1 - share) * fake).requires_grad_()
    (slope,) = torch.autograd.grad(twin.critic(points, drawn_labels).sum(), points, create_graph=True)
    penalty = (slope.norm(dim=1) - 1).square().mean()
    loss = twin.critic(fake, drawn_labels).mean() - twin.critic(real, drawn_labels).mean()
    assert float(metrics["loss_d"]) == pytest.approx(loss.item(), abs=1e-6)
    assert float(metrics["slope_penalty"]) == pytest.approx(penalty.item(), rel=1e-4)

    def adam(network: torch.nn.Module) -> None:
        torch.optim.Adam(network.parameters(), lr=5e-4, betas=(0.5, 0.9)).step()

    (loss + 10.0 * penalty).backward()
    adam(twin.critic)
    torch.testing.assert_close(weights(task.critic), weights(twin.critic), rtol=0, atol=1e-6)
    loss_g = -twin.critic(twin.generator(torch.randn(NUM_ROWS, 4), drawn_labels), drawn_labels).mean()
    twin.generator.zero_grad()
    loss_g.backward()
    assert float(metrics["loss_g"]) == pytest.approx(loss_g.item(), abs=1e-5)
    adam(twin.generator)
    torch.testing.assert_close(weights(task.generator), weights(twin.generator), rtol=0, atol=1e-6)
    assert not torch.equal(weights(task.critic), weights(model(labels=labels).critic))


def test_the_autoencoders_update_is_the_mean_loss_of_noisy_latents() -> None:
    task, twin = model(num_autoencoder_steps=10, latent_noise=0.7), model()
    batch = batch_of(task)
    torch.manual_seed(5)
    metrics = task.step(batch)
    torch.manual_seed(5)
    tokens = batch["tokens"]
    latents = twin.network.encode(tokens[:, 1:])
    moved = on_sphere(latents + 0.7 * torch.randn_like(latents))
    logits = twin.network.decoder.logits(twin.network(moved, None, tokens[:, :-1]))
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), ignore_index=0)
    assert float(metrics["loss"]) == pytest.approx(loss.item(), rel=1e-5)
    assert float(metrics["tokens"]) == float(batch["num_targets"]) == sum(len(text) + 1 for text in TEXTS)


def test_the_players_begin_after_the_autoencoder_and_with_their_own_schedules() -> None:
    task = model(num_autoencoder_steps=2, critic_steps=3)
    before = {name: weights(network) for name, network in task.networks.items()}
    batches = task.batches({"text": TEXTS}, NUM_ROWS, seed=0)
    for step in range(2):
        assert "loss_d" not in task.step(batches.at(step))
    for name, network in task.networks.items():
        assert torch.equal(weights(network), before[name]) != name.startswith("network"), name
    assert {"loss_d", "loss_g", "loss", "gradient_norm_d", "gradient_norm_g"} <= task.step(batches.at(2)).keys()
    for name, network in task.networks.items():
        assert not torch.equal(weights(network), before[name]), name
    assert task.optimizers["critic"].param_groups[0]["lr"] == 5e-4
    assert task.optimizers["critic"].state_dict()["state"][0]["step"] == 3
    assert task.optimizers["generator"].state_dict()["state"][0]["step"] == 1
    assert task.step_index == 3


def test_drawn_rows_are_of_any_length_and_bring_their_labels() -> None:
    task = model(labels=2, critic_steps=2)
    rows = {"text": TEXTS, "label": [0, 1, 1, 0, 1, 0]}
    one, other = (task.batches(rows, NUM_ROWS, 0, rank, 2) for rank in range(2))
    known = {tuple(task.vocabulary.encode(text)): label for text, label in zip(*rows.values(), strict=True)}
    seen = set()
    for step in range(20):
        parts = [batches.at(step) for batches in (one, other)]
        assert not torch.equal(parts[0]["drawn_labels"], parts[1]["drawn_labels"]) or step
        for part in parts:
            assert len(part["drawn"]) == 2 * NUM_ROWS // 2
            for tokens, label in zip(part["drawn"].tolist(), part["drawn_labels"].tolist(), strict=True):
                text = tuple(token for token in tokens if token > 3)
                assert known[text] == label
                seen.add(text)
    assert seen == known.keys()


def test_the_likelihood_is_that_of_every_token_told_its_texts_latent() -> None:
    task = pronounced(labels=2)
    labels = [0, 1, 1, 0, 1, 0]
    total, count = task.negative_log_likelihood({"text": TEXTS, "label": labels})
    expected = 0.0
    for text, label in zip(TEXTS, labels, strict=True):
        tokens = torch.tensor([[2, *task.vocabulary.encode(text), 3]])
        features = task.average(task.average.encode(tokens[:, 1:]), torch.tensor([label]), tokens[:, :-1])
        own = task.average.decoder.logits(features).log_softmax(2).gather(2, tokens[:, 1:, None])
        expected -= own.sum().item()
    assert total == pytest.approx(expected, rel=1e-5) and count == sum(len(text) + 1 for text in TEXTS)


def asked(num: int, **columns: Any) -> tuple[dict[str, Any], list[tuple[int, str]]]:
    """Rows and keys of prompts, their rules and other columns repeated."""
    rules = [Decoding(max_tokens=9), Decoding(max_tokens=9, num_beams=3), Decoding(max_tokens=9, temperature=0.0)]
    columns_of_rows: dict[str, Any] = {
        "prompt_id": [str(i) for i in range(num)],
        "decoding": [rules[i % 3] for i in range(num)],
    }
    columns_of_rows |= {name: [values[i % len(values)] for i in range(num)] for name, values in columns.items()}
    return columns_of_rows, [(7, str(i)) for i in range(num)]


def test_the_ends_of_an_interpolation_are_reconstructions() -> None:
    task = pronounced()
    others = TEXTS[1:] + TEXTS[:1]
    starts, keys = asked(6, from_text=TEXTS)
    ends = starts | {"from_text": others}
    way = starts | {"to_text": others}
    assert task.sample(way | {"share": [0.0] * 6}, keys) == task.sample(starts, keys)
    assert task.sample(way | {"share": [1.0] * 6}, keys) == task.sample(ends, keys)
    between = task.sample(way | {"share": [0.5] * 6}, keys)
    assert between != task.sample(starts, keys) and between != task.sample(ends, keys)


def test_a_text_is_the_same_in_any_company() -> None:
    task = pronounced(labels=2)
    rows, keys = asked(
        40,
        label=[0, 1],
        prompt=["", "a ", None],
        from_text=[None, "no", TEXTS[2], None, "green"],
        to_text=[None, None, "green", None, TEXTS[0]],
        share=[None, None, 0.3, None, 0.8],
    )
    expected = task.sample(rows, keys)
    assert len({repr(written) for written in expected}) > 30 and not any(written.problem for written in expected)
    assert all(
        generated.text.startswith(prompt or "") for generated, prompt in zip(expected, rows["prompt"], strict=True)
    )
    for size in (1, 7):
        generated = []
        for start in range(0, 40, size):
            part = slice(start, start + size)
            generated += task.sample({name: column[part] for name, column in rows.items()}, keys[part])
        assert generated == expected
    order = noise.permutation(40, 0, "company").tolist()
    shuffled = {name: [column[i] for i in order] for name, column in rows.items()}
    assert task.sample(shuffled, [keys[i] for i in order]) == [expected[i] for i in order]


def test_a_dream_is_its_keys_and_a_reconstruction_its_texts() -> None:
    task = pronounced()
    rows, keys = asked(9)
    rows["decoding"] = [Decoding(max_tokens=9, temperature=0.0)] * 9
    others = [(8, sample_id) for _, sample_id in keys]
    assert task.sample(rows, keys) != task.sample(rows, others)
    told = rows | {"from_text": ["so it goes on"] * 9}
    assert task.sample(told, keys) == task.sample(told, others)


def test_a_label_changes_what_is_dreamt() -> None:
    task = pronounced(labels=2)
    rows, keys = asked(9)
    one, other = (task.sample(rows | {"label": [label] * 9}, keys) for label in (0, 1))
    assert sum(a.text != b.text for a, b in zip(one, other, strict=True)) >= 6
    assert task.prompt_columns == ("label",) and task.input_columns == ("text", "label")
    assert model().prompt_columns == () and model().input_columns == ("text",)


def test_a_model_is_the_same_after_it_was_stored() -> None:
    task = pronounced(labels=2, vocabulary="word", cell="lstm", num_decoder_layers=2)
    rows, keys = asked(4, label=[0, 1], from_text=[None, "no", None, "green"])
    files = checkpoint.pack(task, {}, {})
    assert checkpoint.load_sampler(files).sample(rows, keys) == task.sample(rows, keys)
    assert task.count_unknown({"prompt_id": ["a"], "prompt": ["é"], "from_text": ["no"], "to_text": ["é"]}) == [2]


def test_dreams_that_are_all_alike_have_no_diversity() -> None:
    task = pronounced()
    assert task.diversity({"text": TEXTS}) > 0.2
    task.generator_average.end.weight.data.zero_()
    assert task.diversity({"text": TEXTS}) == pytest.approx(0.0, abs=1e-5)


def test_a_prompt_that_makes_no_sense_costs_its_row() -> None:
    task = pronounced(labels=2)
    rows, keys = asked(6, label=[0, 1, 2, 0, 1, None])
    rows |= {
        "from_text": ["no", None, None, "a" * 30, "no", None],
        "to_text": ["green", "no", None, None, "green", None],
    }
    rows["share"] = [1.5, 0.5, None, None, 1, None]
    assert [written.problem for written in task.sample(rows, keys)] == [
        "share is 1.5; allowed are values from 0 to 1",
        "to_text needs from_text: it is where the way to it begins",
        "label is 2; allowed are whole numbers from 0 to 1, as task.labels says",
        "from_text has 30 tokens; this model reads 29",
        "",
        "label is None; allowed are whole numbers from 0 to 1, as task.labels says",
    ]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"latent_dim": 1}, "task.latent_dim is 1; allowed are values from 2 to 1024"),
        ({"latent_noise": -0.1}, "task.latent_noise is -0.1; allowed are values from 0 up"),
        ({"critic_steps": 0}, "task.critic_steps is 0; allowed are values from 1 up"),
        ({"hidden_dim": 7}, "task.hidden_dim is 7; allowed are multiples of 2"),
        ({"num_autoencoder_steps": 50}, "task.num_autoencoder_steps is 50; allowed are values from 0 to below"),
        ({"labels": -1}, "task.labels is -1; allowed are values from 0 up"),
    ],
)
def test_a_mistake_is_named(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput) as error:
        model(**changes)
    assert str(error.value).startswith(sentence)


def test_a_label_beyond_those_of_the_task_is_refused() -> None:
    config = LatentTextGanConfig(**SMALL | {"labels": 2})
    with pytest.raises(BadInput, match=r"the training text 'no': label is 2; allowed are whole numbers from 0 to 1"):
        LatentTextGan.build_vocabulary(config, [("yes", 1), ("no", 2)])
    with pytest.raises(BadInput, match="label is None"):
        model(labels=2).negative_log_likelihood({"text": ["no"], "label": [None]})
