"""What all tasks with a generator and a discriminator of pictures share: networks, one step, one sampling function.

One step is `discriminator_steps` discriminator updates, each on rows of its own, and a generator update on the last of
them. What a picture is to show is read by an encoder, which learns with the discriminator.
"""

import copy
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ganrnn import noise
from ganrnn.data import images as pictures
from ganrnn.networks.images.dcgan import DcganDiscriminator, DcganGenerator
from ganrnn.networks.images.projection_discriminator import ProjectionDiscriminator
from ganrnn.networks.images.residual import ResidualDiscriminator, ResidualGenerator
from ganrnn.networks.images.spectral import normalise_spectrally
from ganrnn.networks.images.style_generator import StyleGenerator
from ganrnn.objectives.adversarial import OBJECTIVES
from ganrnn.objectives.matching import matching_loss
from ganrnn.objectives.penalties import slope_penalty
from ganrnn.task import BackoffState, Batch, Keys, Rows
from ganrnn.training import ema
from ganrnn.training.augmentation import Augmentation
from ganrnn.training.gan_config import GanConfig
from ganrnn.training.optimizer import Player

_ADJUST_EVERY_STEPS = 4


@dataclass
class Chunk:
    """Rows of one discriminator update with what was painted for them."""

    real: torch.Tensor  # float32 [N, 3, H, W]
    z: torch.Tensor  # float32 [N, z_dim]
    condition: torch.Tensor  # float32 [N, C], with the encoder's graph
    batch: Batch  # as collated; its `keys` int64 [N] are equal where conditions mean the same
    fake: torch.Tensor  # float32 [N, 3, H, W], with the generator's graph where the generator learns from it


class Gan:
    """Networks, players, one training step and one sampling function.

    A task gives an encoder, `nn.Module` with `out_dim`, the names of the tensors of a batch that it reads, and how
    prompts become these tensors. A generator that starts from pictures instead of noise alone comes with the task too,
    which then says by `drawn_from` what it reads beside noise and condition.
    """

    dataset_kind = "images"
    output_modality = "images"
    headline = ("loss_d", "loss_g")
    optional_columns: Sequence[str] = ()
    encoder_inputs: Sequence[str] = ()

    def __init__(self, config: GanConfig, encoder: nn.Module, generator: nn.Module | None = None) -> None:
        self.config, self.encoder = config, encoder
        condition_dim: int = encoder.out_dim  # type: ignore[assignment]
        self.generator = generator or _generator(config, condition_dim)
        self.discriminator: Any = _discriminator(config, condition_dim)
        if config.spectral_norm:
            normalise_spectrally(self.discriminator)
        self.augmentation = _augmentation(config)
        self.networks: dict[str, nn.Module] = {
            "encoder": encoder,
            "generator": self.generator,
            "discriminator": self.discriminator,
            "encoder_ema": copy.deepcopy(encoder).requires_grad_(False).eval(),
            "generator_ema": copy.deepcopy(self.generator).requires_grad_(False).eval(),
        }
        if not self.augmentation.is_idle:
            self.networks["augmentation"] = self.augmentation
        if config.channels_last:
            for network in self.networks.values():
                network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.players = {
            "generator": Player(config.generator, self.generator.parameters()),
            "discriminator": Player(config.discriminator, [*self.discriminator.parameters(), *encoder.parameters()]),
        }
        self._paint = torch.compile(self.generator) if config.compile else self.generator
        self.backoff = BackoffState()
        self.carried: dict[str, torch.Tensor] = {}
        self.step_index = 0

    @property
    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Of both players, by name."""
        return {name: player.optimizer for name, player in self.players.items()}

    @abstractmethod
    def encode_prompts(self, rows: Rows) -> Batch:
        """Prompt columns to what the networks read, on the CPU, under the names that `collate` gives it."""

    def drawn_from(self, batch: Batch, encoder: nn.Module) -> tuple[Any, ...]:
        """What the generator reads beside noise and condition, by an encoder that learns nothing from it."""
        return ()

    def further_losses(self, chunk: Chunk, fake: torch.Tensor) -> Mapping[str, tuple[float, torch.Tensor]]:
        """What a task asks of its generator beside the discriminator's opinion: name -> (weight, loss)."""
        return {}

    def step(self, batch: Batch) -> dict[str, torch.Tensor]:
        """`discriminator_steps` discriminator updates and a generator update on what `collate` gave."""
        config = self.config
        parts = self._parts(batch)
        for number, part in enumerate(parts):
            # In one piece, what the discriminator has seen is what the generator learns from: it is painted once.
            kept = number == len(parts) - 1 and config.num_accumulated == 1
            chunks = [self._chunk(piece, kept) for piece in part]
            metrics = self._discriminator_step(chunks)
        metrics |= self._generator_step(chunks)
        self._update_ema()
        self.step_index += 1
        return metrics

    def _parts(self, batch: Batch) -> list[list[Batch]]:
        """The pieces of each discriminator update."""
        num_rows = len(batch["images"])
        size = self.config.rows_per_piece(num_rows)
        pieces: list[Batch] = [{k: v[i : i + size] for k, v in batch.items()} for i in range(0, num_rows, size)]
        return [pieces[i : i + self.config.num_accumulated] for i in range(0, len(pieces), self.config.num_accumulated)]

    def _chunk(self, batch: Batch, with_graph: bool) -> Chunk:
        real = pictures.to_float(batch["images"])
        z = torch.randn(len(real), self.config.z_dim, device=real.device)
        condition = self.encoder(*(batch[name] for name in self.encoder_inputs))
        with torch.set_grad_enabled(with_graph):
            fake = self.painted(z, condition.detach(), *self.drawn_from(batch, self.encoder))
        return Chunk(real, z, condition, batch, fake)

    def painted(self, z: torch.Tensor, condition: torch.Tensor, *drawn_from: Any) -> torch.Tensor:
        """The generator's pictures, float32 [N, 3, H, W], under the precision of the config."""
        with self._autocast(z.device, penalised=False):
            fake: torch.Tensor = self._paint(z, condition, *drawn_from)
        return fake.float()

    def _autocast(self, device: torch.device, penalised: bool) -> AbstractContextManager[Any]:
        # A penalty is a slope of slopes, which 8 bits of mantissa do not carry.
        half = self.config.precision == "bfloat16" and not penalised
        return torch.autocast(device.type, torch.bfloat16, enabled=half)

    def _discriminator_step(self, chunks: Sequence[Chunk]) -> dict[str, torch.Tensor]:
        config, player = self.config, self.players["discriminator"]
        self.discriminator.requires_grad_(True)
        player.begin(self.step_index, config.num_steps, 0.25 ** self.backoff.at(self.step_index))
        metrics = _accumulated(chunks, self._discriminator_loss)
        metrics["gradient_norm_d"] = player.update()
        if config.penalty == "clip":
            with torch.no_grad():
                for parameter in self.discriminator.parameters():
                    parameter.clamp_(-config.weight_of_penalty, config.weight_of_penalty)
        if config.augmentation.kind == "adaptive" and (self.step_index + 1) % _ADJUST_EVERY_STEPS == 0:
            self.augmentation.adjust()
        return metrics

    def _discriminator_loss(self, chunk: Chunk) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        D, config = self.discriminator, self.config
        penalised = config.penalises_slopes and self.step_index % config.penalty_every_steps == 0
        real, fake = chunk.real, chunk.fake.detach()
        real.requires_grad_(penalised)
        fake.requires_grad_(penalised)
        with self._autocast(real.device, penalised):
            features = self._read(real, fake)
            on_real = D.logits(features[: len(real)], chunk.condition).float()
            on_fake = D.logits(features[len(real) :], chunk.condition).float().diagonal()
        on_own = on_real.diagonal()
        adversarial = OBJECTIVES[config.objective].discriminator(on_own, on_fake)
        metrics = {"loss_d": adversarial, "logit_gap": (on_own - on_fake).mean()}
        metrics["real_ahead"] = (on_own > on_fake).float().mean()
        loss = adversarial
        if config.matching_weight:
            metrics["matching_d"] = matching_loss(on_real, chunk.batch["keys"])
            loss = loss + config.matching_weight * metrics["matching_d"]
        if penalised:
            penalty, parts = slope_penalty(
                config.penalty,
                config.weight_of_penalty,
                lambda points: D.logits(D.read(self.augmentation(points)), chunk.condition).diagonal(),
                (real, on_own),
                (fake, on_fake),
            )
            loss = loss + config.penalty_every_steps * 2 ** self.backoff.at(self.step_index) * penalty
            metrics |= parts
        if config.augmentation.kind == "adaptive":
            self.augmentation.observe(on_own.detach(), on_fake.detach())
        real.requires_grad_(False)
        return loss, metrics

    def _read(self, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        """Features of real and of generated pictures, [2 N, feature_dim]."""
        if self.config.architecture == "dcgan":  # its batch statistics would tell the halves of a batch apart
            return torch.cat([self.discriminator.read(self.augmentation(images)) for images in (real, fake)])
        features: torch.Tensor = self.discriminator.read(self.augmentation(torch.cat([real, fake])))
        return features

    def _generator_step(self, chunks: Sequence[Chunk]) -> dict[str, torch.Tensor]:
        config, player = self.config, self.players["generator"]
        self.discriminator.requires_grad_(False)
        player.begin(self.step_index, config.num_steps, 0.25 ** self.backoff.at(self.step_index))
        metrics = _accumulated(chunks, self._generator_loss)
        metrics["gradient_norm_g"] = player.update()
        return metrics

    def _generator_loss(self, chunk: Chunk) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        D, config = self.discriminator, self.config
        objective, condition = OBJECTIVES[config.objective], chunk.condition.detach()
        fake = chunk.fake
        if not fake.requires_grad:
            fake = self.painted(chunk.z, condition, *self.drawn_from(chunk.batch, self.encoder))
        with self._autocast(fake.device, penalised=False):
            on_fake = D.logits(D.read(self.augmentation(fake)), condition).float()
            on_real = on_fake.diagonal()
            if objective.is_relative:
                with torch.no_grad():
                    on_real = D.logits(D.read(self.augmentation(chunk.real)), condition).float().diagonal()
        adversarial = objective.generator(on_real, on_fake.diagonal())
        metrics = {"loss_g": adversarial}
        loss = adversarial
        if config.matching_weight:
            metrics["matching_g"] = matching_loss(on_fake, chunk.batch["keys"])
            loss = loss + config.matching_weight * metrics["matching_g"]
        for name, (weight, value) in self.further_losses(chunk, fake).items():
            metrics[name] = value
            loss = loss + weight * value
        return loss, metrics

    def _update_ema(self) -> None:
        for name in ("encoder", "generator"):
            average, network = self.networks[f"{name}_ema"], self.networks[name]
            ema.follow(average, network, self.step_index, self.config.ema_half_life_steps)

    @torch.no_grad()
    def sample(self, rows: Rows, keys: Keys) -> torch.Tensor:
        """Paint prompts [N] with noise of `keys` [N]: uint8 [N, 3, height, width] by the averaged networks."""
        device = next(self.generator.parameters()).device
        batch = {name: tensor.to(device) for name, tensor in self.encode_prompts(rows).items()}
        encoder = self.networks["encoder_ema"]
        condition = encoder(*(batch[name] for name in self.encoder_inputs))
        z = noise.normal(keys, self.config.z_dim).to(device)
        return pictures.to_uint8(self.networks["generator_ema"](z, condition, *self.drawn_from(batch, encoder)))


def _accumulated(
    chunks: Sequence[Chunk], loss_of: Callable[[Chunk], tuple[torch.Tensor, dict[str, torch.Tensor]]]
) -> dict[str, torch.Tensor]:
    """Gradients of the mean loss of some chunks, added up one after the other; returns the means of their metrics."""
    means: dict[str, torch.Tensor] = {}
    for chunk in chunks:
        loss, metrics = loss_of(chunk)
        (loss / len(chunks)).backward()
        for name, value in metrics.items():
            means[name] = means.get(name, 0) + value.detach() / len(chunks)
    return means


def _augmentation(config: GanConfig) -> Augmentation:
    chosen = config.augmentation
    return Augmentation(
        probability=0.0 if chosen.kind == "none" else chosen.probability,
        target=chosen.target if chosen.kind == "adaptive" else None,
        ramp_images=chosen.ramp_images,
        wrap=config.wrap_horizontally,
    )


def _generator(config: GanConfig, condition_dim: int) -> nn.Module:
    size, wrap = (config.height, config.width), config.wrap_horizontally
    if config.architecture == "style":
        return StyleGenerator(*size, config.z_dim, condition_dim, config.style_dim, config.base_channels, wrap)
    generator = {"dcgan": DcganGenerator, "residual": ResidualGenerator}[config.architecture]
    return generator(*size, config.z_dim, condition_dim, config.base_channels, wrap)


def _discriminator(config: GanConfig, condition_dim: int) -> nn.Module:
    discriminator = {
        "style": ProjectionDiscriminator,
        "dcgan": DcganDiscriminator,
        "residual": ResidualDiscriminator,
    }[config.architecture]
    size, wrap = (config.height, config.width), config.wrap_horizontally
    return discriminator(*size, condition_dim, config.feature_dim, config.base_channels, wrap)
