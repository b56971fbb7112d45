"""A GAN in the latent space of a text autoencoder.

An autoencoder of RNNs maps texts to latents on a sphere and back; a Wasserstein GAN learns the distribution of the
latents. A new text is decoded from a generated latent; an interpolation of two texts from a latent between theirs. Zhao
et al., "Adversarially regularized autoencoders" (ARAE, 2018); Donahue & Rumshisky, "Adversarial text generation without
reinforcement learning" (LaTextGAN, 2018).
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch

from ganrnn import noise
from ganrnn.config import at_least, below, multiples, within
from ganrnn.decoding.decode import GeneratedText, generate
from ganrnn.errors import BadInput
from ganrnn.networks.texts.latent_sphere import MAX_DIMENSIONS, exact_between, on_sphere, relative_diversity
from ganrnn.networks.texts.residual_mlp import ExactLatentGenerator, LatentGenerator, ResidualMlp
from ganrnn.networks.texts.text_autoencoder import ExactDecoder, ExactEncoder, TextAutoencoder
from ganrnn.objectives.adversarial import OBJECTIVES
from ganrnn.objectives.penalties import USUAL_WEIGHTS, slope_penalty
from ganrnn.objectives.sequences import linear_cross_entropies
from ganrnn.task import Batch, Keys, Rows
from ganrnn.text.batches import RowBatches, padded
from ganrnn.text.vocabulary import END, PAD, TextVocabulary
from ganrnn.training import ema
from ganrnn.training.optimizer import Player, PlayerConfig
from ganrnn.training.text_step import OneTextTask, TextTaskConfig, optional_texts

_VALIDATION_ROWS = 16
_OBJECTIVE = OBJECTIVES["wasserstein"]


def _player() -> PlayerConfig:
    return PlayerConfig(learning_rate=5e-4, beta1=0.5, beta2=0.9)


@dataclass(frozen=True)
class LatentTextGanConfig(TextTaskConfig):
    """An autoencoder of texts, and after its first steps a GAN of its latents.

    A step reads at most train.global_batch_size x `num_tokens` tokens.
    """

    name: Literal["latent_text_gan"] = "latent_text_gan"  #: Name of the task.
    num_tokens: int = 64  #: Number of tokens of a row per step; longer rows are cut.
    num_encoder_layers: int = 1  #: Number of recurrent layers of the encoder.
    num_decoder_layers: int = 1  #: Number of recurrent layers of the decoder.
    latent_dim: int = 64  #: Number of features of a latent, a point on a sphere.
    #: Size of the noise that moves a latent while the autoencoder learns, as a multiple of the latent's.
    latent_noise: float = 0.5
    labels: int = 0  #: Number of kinds of texts by the column label; 0 is for texts without labels.
    label_dim: int = 16  #: Number of features of a label.
    z_dim: int = 32  #: Number of noise values per sample.
    mlp_dim: int = 256  #: Number of features of a layer of generator and critic.
    num_blocks: int = 3  #: Number of residual blocks of generator and critic.
    generator: PlayerConfig = field(default_factory=_player)  #: Adam of the generator of latents.
    critic: PlayerConfig = field(default_factory=_player)  #: Adam of the critic of latents.
    critic_steps: int = 5  #: Critic updates per step, each on train.global_batch_size latents.
    penalty_weight: float = USUAL_WEIGHTS["gradient"]  #: Weight of the critic's gradient penalty.
    num_autoencoder_steps: int = 500  #: Number of first steps in which only the autoencoder learns, below num_steps.

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("task", self, num_tokens=1, num_encoder_layers=1, num_decoder_layers=1, label_dim=1, z_dim=1)
        at_least("task", self, mlp_dim=1, num_blocks=1, critic_steps=1, latent_noise=0, labels=0, penalty_weight=0)
        within("task", self, latent_dim=(2, MAX_DIMENSIONS))
        below("task", self, num_autoencoder_steps="num_steps")
        multiples("task", self, hidden_dim=(2, 2))
        self.generator.check("task.generator")
        self.critic.check("task.critic")

    def problem_of(self, label: Any) -> str:
        """Why a label is invalid; empty for a valid label."""
        if not self.labels or (label is not None and 0 <= label < self.labels):
            return ""
        return f"label is {label}; allowed are whole numbers from 0 to {self.labels - 1}, as task.labels says"


class LatentTextGan(OneTextTask):
    """The task; `network` is the autoencoder."""

    config_type = LatentTextGanConfig
    likelihood_given = "latents"
    optional_columns = ("prompt", "from_text", "to_text", "share")

    def __init__(self, config: LatentTextGanConfig, vocabulary: TextVocabulary, seed: int = 0) -> None:
        torch.manual_seed(seed)
        network = TextAutoencoder(
            len(vocabulary),
            config.cell,
            config.embedding_dim,
            config.hidden_dim,
            config.num_encoder_layers,
            config.num_decoder_layers,
            config.latent_dim,
            config.labels,
            config.label_dim,
            tied=config.tied,
            **config.rules,
        )
        super().__init__(config, network, vocabulary)
        self.input_columns = self.vocabulary_columns(config)
        self.prompt_columns = self.input_columns[1:]
        sizes = (config.mlp_dim, config.num_blocks)
        self.generator = LatentGenerator(config.z_dim, *sizes, config.latent_dim, config.labels, config.label_dim)
        self.critic = ResidualMlp(config.latent_dim, *sizes, 1, config.labels, config.label_dim)
        self.generator_average = copy.deepcopy(self.generator).requires_grad_(False).eval()
        self.networks |= {"generator": self.generator, "generator_ema": self.generator_average, "critic": self.critic}
        self.players = {
            "generator": Player(config.generator, self.generator.parameters()),
            "critic": Player(config.critic, self.critic.parameters()),
        }

    @property
    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """The optimizers of the autoencoder and of both players by name."""
        return super().optimizers | {name: player.optimizer for name, player in self.players.items()}

    @staticmethod
    def vocabulary_columns(config: LatentTextGanConfig) -> Sequence[str]:
        """The data set's columns that `build_vocabulary` reads."""
        return ("text", "label") if config.labels else ("text",)

    @staticmethod
    def build_vocabulary(config: LatentTextGanConfig, rows: Iterable[tuple[Any, ...]]) -> TextVocabulary:
        """The vocabulary of the training rows. Raises BadInput for an invalid label."""

        def checked() -> Iterable[tuple[Any, ...]]:
            for row in rows:
                if problem := config.problem_of(row[-1]):
                    raise BadInput(f"the training text {row[0]!r:.80}: {problem}")
                yield row

        return OneTextTask.build_vocabulary(config, checked())

    def batches(self, rows: Rows, num_rows: int, seed: int, rank: int = 0, world_size: int = 1) -> RowBatches:
        """The batches of the training rows; `num_rows` is train.global_batch_size."""
        return RowBatches(
            [self.vocabulary.encode(text) for text in rows["text"]],
            num_rows=num_rows,
            num_tokens=self.config.num_tokens,
            seed=seed,
            rank=rank,
            world_size=world_size,
            labels=rows["label"] if self.config.labels else None,
            num_drawn=self.config.critic_steps * (num_rows // world_size),
        )

    def step(self, batch: Batch) -> dict[str, torch.Tensor]:
        """One update on a batch of `ganrnn/text/batches.py`."""
        metrics = {}
        if self.step_index >= self.config.num_autoencoder_steps:
            metrics = self._play(batch)
        latents = self.network.encode(batch["tokens"][:, 1:])
        noisy_latents = on_sphere(latents + self.config.latent_noise * torch.randn_like(latents))
        losses = self._losses(self.network, noisy_latents, batch, self.config.label_smoothing)
        return metrics | self.learn(*losses, batch["num_targets"])

    @staticmethod
    def _losses(
        network: TextAutoencoder, latents: torch.Tensor, batch: Batch, smoothing: float = 0.0
    ) -> tuple[torch.Tensor, torch.Tensor]:
        tokens, decoder = batch["tokens"], network.decoder
        features = network(latents, batch.get("labels"), tokens[:, :-1])
        return linear_cross_entropies(features, decoder.logit_weight, decoder.bias, tokens[:, 1:], smoothing)

    def _play(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Updates of the critic, each on other texts encoded by the EMA encoder, and one of the generator."""
        config, num = self.config, self.config.critic_steps
        with torch.no_grad():
            real = self.average.encode(batch["drawn"]).chunk(num)
        labels = batch["drawn_labels"].chunk(num) if config.labels else [None] * num
        for latents, latent_labels in zip(real, labels, strict=True):
            metrics = self._critic_step(latents, latent_labels)
        metrics |= self._generator_step(real[-1], labels[-1])
        gan_step = self.step_index - config.num_autoencoder_steps
        ema.update(self.generator_average, self.generator, gan_step, config.ema_half_life_steps)
        return metrics

    def _begin(self, player: Player) -> None:
        """Start an update; the schedules of generator and critic start after the autoencoder steps."""
        config, factor = self.config, 0.25 ** self.backoff.at(self.step_index)
        num_autoencoder_steps = config.num_autoencoder_steps
        player.begin(self.step_index - num_autoencoder_steps, config.num_steps - num_autoencoder_steps, factor)

    def _generated_latents(self, num: int, labels: torch.Tensor | None) -> torch.Tensor:
        z = torch.randn(num, self.config.z_dim, device=self.device)
        latents: torch.Tensor = self.generator(z, labels)
        return latents

    def _critic_step(self, real: torch.Tensor, labels: torch.Tensor | None) -> dict[str, torch.Tensor]:
        self.critic.requires_grad_(True)
        self._begin(self.players["critic"])
        with torch.no_grad():
            fake = self._generated_latents(len(real), labels)
        on_real, on_fake = (self.critic(latents, labels)[:, 0] for latents in (real, fake))
        loss = _OBJECTIVE.discriminator(on_real, on_fake)
        penalty, parts = slope_penalty(
            "gradient",
            self.config.penalty_weight * 2 ** self.backoff.at(self.step_index),
            lambda points: self.critic(points, labels)[:, 0],
            (real, on_real),
            (fake, on_fake),
        )
        (loss + penalty).backward()
        metrics = {"loss_d": loss, "real_ahead": (on_real > on_fake).float().mean(), **parts}
        return {name: value.detach() for name, value in metrics.items()} | {
            "gradient_norm_d": self.players["critic"].update()
        }

    def _generator_step(self, real: torch.Tensor, labels: torch.Tensor | None) -> dict[str, torch.Tensor]:
        self.critic.requires_grad_(False)
        self._begin(self.players["generator"])
        fake = self._generated_latents(len(real), labels)
        on_fake = self.critic(fake, labels)[:, 0]
        loss = _OBJECTIVE.generator(on_fake, on_fake)
        loss.backward()
        return {
            "loss_g": loss.detach(),
            "latent_diversity": relative_diversity(fake.detach(), real),
            "gradient_norm_g": self.players["generator"].update(),
        }

    @torch.no_grad()
    def negative_log_likelihood(self, rows: Rows, cut_rows_end: bool = True) -> tuple[float, int]:
        """The negative log-likelihood of rows given their latents, in nats, and the number of tokens.

        It measures reconstruction by the EMA network. It is not the likelihood under the model, which includes the
        latents, and is not comparable with that of a language model. Rows that are cut count END or not.
        """
        total, count = 0.0, 0
        for batch in self.batches(self._checked(rows), _VALIDATION_ROWS, seed=0).once(cut_rows_end):
            tensors = {name: tensor.to(self.device) for name, tensor in batch.items()}
            latents = self.average.encode(tensors["tokens"][:, 1:])
            total += float(self._losses(self.average, latents, tensors)[0])
            count += int((tensors["tokens"][:, 1:] != PAD).sum())
        return total, count

    def _checked(self, rows: Rows) -> Rows:
        """The rows of the data set. Raises BadInput for an invalid label."""
        for label in rows["label"] if self.config.labels else ():
            if problem := self.config.problem_of(label):
                raise BadInput(problem)
        return rows

    @torch.no_grad()
    def diversity(self, rows: Rows) -> float:
        """The diversity of generated latents divided by that of rows of the data set, see `relative_diversity`."""
        num = len(rows["text"])
        labels = torch.tensor(rows["label"], device=self.device) if self.config.labels else None
        z = noise.normal([(0, f"diversity/{i}") for i in range(num)], self.config.z_dim).to(self.device)
        generated, real = self.generator_average(z, labels), self.average.encode(self._read(rows["text"]))
        return float(relative_diversity(generated, real))

    def _read(self, texts: Sequence[str]) -> torch.Tensor:
        """Tokens int64 [N, S] of texts with END, cut to the encoder's length."""
        max_tokens = self.config.num_tokens - 1
        return padded([np.array([*self.vocabulary.encode(text)[:max_tokens], END]) for text in texts]).to(self.device)

    @torch.no_grad()
    def sample(self, rows: Rows, keys: Keys) -> list[GeneratedText]:
        """Texts for rows [N] from generated latents, which begin with their prompts, by the rules in column `decoding`.

        With `from_text` the latent of that text is decoded, with `to_text` also the latent at `share` of the way to it.
        """
        texts = {i: GeneratedText.failed(problem) for i in range(len(keys)) if (problem := self._problem(rows, i))}
        valid_rows = [i for i in range(len(keys)) if i not in texts]
        good_rows = {name: [column[i] for i in valid_rows] for name, column in rows.items()}
        good_keys = [keys[i] for i in valid_rows]
        labels = torch.tensor(good_rows["label"], device=self.device) if self.config.labels else None
        decoder = ExactDecoder(self.average, self.vocabulary)
        state = decoder.begin(self._latents(good_rows, good_keys, labels), labels)
        requests = self.decoding_requests(good_rows, good_keys, optional_texts(good_rows, "prompt", len(valid_rows)))
        texts |= zip(valid_rows, generate(decoder, state, requests), strict=True)
        return [texts[i] for i in range(len(keys))]

    def _problem(self, rows: Rows, row: int) -> str:
        """Why a row is invalid; empty for a valid row."""
        from_text, to_text, share = (
            rows[name][row] if name in rows else None for name in ("from_text", "to_text", "share")
        )
        for name, text in (("from_text", from_text), ("to_text", to_text)):
            num_tokens, max_tokens = len(self.vocabulary.encode(text or "")), self.config.num_tokens - 1
            if num_tokens > max_tokens:
                return f"{name} has {num_tokens} tokens; this model reads {max_tokens}"
        if to_text and not from_text:
            return "to_text needs from_text: it is where the way to it begins"
        if to_text and (share is None or not 0 <= share <= 1):
            return f"share is {share}; allowed are values from 0 to 1"
        return self.config.problem_of(rows["label"][row]) if self.config.labels else ""

    def _latents(self, rows: Rows, keys: Keys, labels: torch.Tensor | None) -> torch.Tensor:
        """The latents of rows, snapped [N, D]."""
        # Keys of another stream than decoding's, so that the noise of a latent is independent of the sampled tokens.
        z = noise.normal([(seed, f"latent/{sample_id}") for seed, sample_id in keys], self.config.z_dim)
        latents = ExactLatentGenerator(self.generator_average)(z.to(self.device), labels)
        starts, ends = (optional_texts(rows, name, len(keys)) for name in ("from_text", "to_text"))
        texts = sorted({text for text in (*starts, *ends) if text})
        if not texts:
            return latents
        latent_of = dict(zip(texts, ExactEncoder(self.average)(self._read(texts)), strict=True))
        for row, (start, end) in enumerate(zip(starts, ends, strict=True)):
            if end:
                latents[row] = exact_between(latent_of[start], latent_of[end], rows["share"][row])
            elif start:
                latents[row] = latent_of[start]
        return latents

    def count_unknown(self, rows: Mapping[str, Sequence[Any]]) -> list[int]:
        """For each row, how many tokens of its prompt and of the texts to interpolate are unknown."""
        columns = [optional_texts(rows, name, len(rows["prompt_id"])) for name in self.optional_columns[:3]]
        return [sum(map(self.vocabulary.count_unknown, texts)) for texts in zip(*columns, strict=True)]


TASK = LatentTextGan
