"""Shared by all tasks with a generator and a discriminator of pictures: networks, training step, sampling.

One step is `discriminator_steps` discriminator updates, each on different rows, and a generator update on the rows of
the last one. In the first `num_energy_steps` steps the generator learns without a discriminator. Each player reads
the conditions by an encoder of its own, which learns with it.
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
from ganrnn.networks.images.palette_generator import STYLE_GENERATORS
from ganrnn.networks.images.projection_discriminator import ImageEncoder, ProjectionDiscriminator
from ganrnn.networks.images.residual import ResidualDiscriminator, ResidualGenerator
from ganrnn.networks.images.spectral import normalise_spectrally
from ganrnn.networks.images.style_generator import StyleGenerator
from ganrnn.objectives.adversarial import OBJECTIVES
from ganrnn.objectives.energy import energy_score
from ganrnn.objectives.matching import matching_loss
from ganrnn.objectives.penalties import slope_penalty
from ganrnn.task import BackoffState, Batch, Keys, Rows
from ganrnn.training import ema
from ganrnn.training.augmentation import Augmentation
from ganrnn.training.gan_config import GanConfig
from ganrnn.training.optimizer import Player, PlayerConfig

_ADJUST_EVERY_STEPS = 4
_SHARE_EVERY_STEPS = 25


@dataclass
class MicroBatch:
    """Rows of one backward pass with the pictures generated for them."""

    real: torch.Tensor  # float32 [N, 3, H, W]
    z: torch.Tensor  # float32 [k N, z_dim]: k is 2 for the energy score, else 1
    condition: torch.Tensor  # float32 [N, C], by the discriminator's encoder, with its graph; [0] before it learns
    batch: Batch  # as collated; its `keys` int64 [N] are equal for conditions with the same meaning
    fakes: torch.Tensor  # float32 [k N, 3, H, W], with the graph of generator and encoder if they learn from them

    @property
    def fake(self) -> torch.Tensor:
        """A picture of each condition, float32 [N, 3, H, W]."""
        return self.fakes[: len(self.real)]


class Gan:
    """Networks, players, one training step and one sampling function.

    A task provides an encoder, an `nn.Module` with `out_dim`, the names of the batch tensors that it reads, and
    `encode_prompts`, which computes these tensors from prompts. A task may also provide a generator with further
    inputs, which `generator_inputs` returns.
    """

    dataset_kind = "images"
    output_modality = "images"
    headline = ("loss_d", "loss_g")
    optional_columns: Sequence[str] = ()
    encoder_inputs: Sequence[str] = ()

    def __init__(self, config: GanConfig, encoder: nn.Module, generator: nn.Module | None = None) -> None:
        self.config, self.encoder, self.generator_encoder = config, encoder, copy.deepcopy(encoder)
        condition_dim: int = encoder.out_dim  # type: ignore[assignment]
        self.generator = generator or _generator(config, condition_dim)
        self.discriminator: Any = _discriminator(config, condition_dim)
        if config.spectral_norm:
            normalise_spectrally(self.discriminator)
        self.augmentation = _augmentation(config)
        self.networks: dict[str, nn.Module] = {
            "encoder": encoder,
            "generator_encoder": self.generator_encoder,
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
        rates = config.matrix_learning_rate
        self.players = {
            "generator": _player(config.generator, rates.generator, self.generator, self.generator_encoder),
            "discriminator": _player(config.discriminator, rates.discriminator, self.discriminator, encoder),
        }
        self._generate = torch.compile(self.generator) if config.compile else self.generator
        self.backoff = BackoffState()
        self.carried: dict[str, torch.Tensor] = {}
        self.step_index = 0

    @property
    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """The optimizers of both players by name."""
        optimizers: dict[str, torch.optim.Optimizer] = {}
        for name, player in self.players.items():
            optimizers[name] = player.optimizer
            if player.matrix_optimizer:
                optimizers[f"{name}_matrices"] = player.matrix_optimizer
        return optimizers

    @abstractmethod
    def encode_prompts(self, rows: Rows) -> Batch:
        """Prompt columns to the input tensors of the networks, on the CPU, with the names that `collate` uses."""

    def generator_inputs(self, batch: Batch, encoder: nn.Module) -> tuple[Any, ...]:
        """Inputs of the generator besides noise and condition; `encoder` is the generator's."""
        return ()

    def auxiliary_losses(self, micro_batch: MicroBatch, fake: torch.Tensor) -> Mapping[str, tuple[float, torch.Tensor]]:
        """Losses of the generator besides the adversarial one: name -> (weight, loss)."""
        return {}

    def step(self, batch: Batch) -> dict[str, torch.Tensor]:
        """`discriminator_steps` discriminator updates and a generator update on a batch of `collate`."""
        config = self.config
        parts = self._parts(batch)
        metrics = {}
        if self.step_index < config.num_energy_steps:
            pieces = [piece for part in parts for piece in part]
            micro_batches = [self._micro_batch(piece, with_graph=len(pieces) == 1) for piece in pieces]
        else:
            for number, part in enumerate(parts):
                # Without accumulation the generator learns from the pictures of the last discriminator update.
                with_graph = number == len(parts) - 1 and config.num_accumulated == 1
                micro_batches = [self._micro_batch(piece, with_graph) for piece in part]
                metrics = self._discriminator_step(micro_batches)
        metrics |= self._generator_step(micro_batches)
        self._update_ema()
        self.step_index += 1
        return metrics

    def _parts(self, batch: Batch) -> list[list[Batch]]:
        """The pieces of a batch for each discriminator update, one per backward pass."""
        num_rows = len(batch["images"])
        size = self.config.rows_per_piece(num_rows)
        pieces: list[Batch] = [{k: v[i : i + size] for k, v in batch.items()} for i in range(0, num_rows, size)]
        return [pieces[i : i + self.config.num_accumulated] for i in range(0, len(pieces), self.config.num_accumulated)]

    def _micro_batch(self, batch: Batch, with_graph: bool) -> MicroBatch:
        real = pictures.to_float(batch["images"])
        num_samples = 2 if self.config.energy_weight else 1
        # Drawn row by row, so that the noise of a row does not depend on how the batch is cut.
        z = torch.randn(len(real), num_samples * self.config.z_dim, device=real.device)
        z = torch.cat(z.chunk(num_samples, dim=1))
        condition = real.new_empty(0)
        if self.step_index >= self.config.num_energy_steps:
            condition = self.encoder(*(batch[name] for name in self.encoder_inputs))
        with torch.set_grad_enabled(with_graph):
            fakes = self._generate_for(batch, z if with_graph else z[: len(real)])
        return MicroBatch(real, z, condition, batch, fakes)

    def _generate_for(self, batch: Batch, z: torch.Tensor) -> torch.Tensor:
        """Pictures for a batch of N rows and their noise, [k N, z_dim]: k samples of each row, [k N, 3, H, W]."""
        condition = self.generator_encoder(*(batch[name] for name in self.encoder_inputs))
        num_samples = len(z) // len(condition)
        if num_samples > 1:
            batch = {name: torch.cat([tensor] * num_samples) for name, tensor in batch.items()}
        return self.generated(
            z, condition.repeat(num_samples, 1), *self.generator_inputs(batch, self.generator_encoder)
        )

    def generated(self, z: torch.Tensor, condition: torch.Tensor, *generator_inputs: Any) -> torch.Tensor:
        """The generator's pictures, float32 [N, 3, H, W], in the precision of the config."""
        with self._autocast(z.device, penalised=False):
            fake: torch.Tensor = self._generate(z, condition, *generator_inputs)
        return fake.float()

    def _autocast(self, device: torch.device, penalised: bool) -> AbstractContextManager[Any]:
        # A gradient penalty needs second derivatives, for which bfloat16's 8 bits of mantissa are too few.
        use_bfloat16 = self.config.precision == "bfloat16" and not penalised
        return torch.autocast(device.type, torch.bfloat16, enabled=use_bfloat16)

    def _discriminator_step(self, micro_batches: Sequence[MicroBatch]) -> dict[str, torch.Tensor]:
        config, player = self.config, self.players["discriminator"]
        self.discriminator.requires_grad_(True)
        num_first = config.num_energy_steps  # without a discriminator
        factor = 0.25 ** self.backoff.at(self.step_index)
        player.begin(self.step_index - num_first, config.num_steps - num_first, factor)
        metrics = _accumulated(micro_batches, self._discriminator_loss)
        metrics["gradient_norm_d"] = player.update()
        if config.penalty == "clip":
            with torch.no_grad():
                for parameter in self.discriminator.parameters():
                    parameter.clamp_(-config.weight_of_penalty, config.weight_of_penalty)
        if config.augmentation.kind == "adaptive" and (self.step_index + 1) % _ADJUST_EVERY_STEPS == 0:
            self.augmentation.adjust()
        return metrics

    def _discriminator_loss(self, micro_batch: MicroBatch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        D, config = self.discriminator, self.config
        penalised = config.penalises_slopes and self.step_index % config.penalty_every_steps == 0
        real, fake = micro_batch.real, micro_batch.fake.detach()
        real.requires_grad_(penalised)
        fake.requires_grad_(penalised)
        with self._autocast(real.device, penalised):
            features = self._read(real, fake)
            on_real = D.logits(features[: len(real)], micro_batch.condition).float()
            on_fake = D.logits(features[len(real) :], micro_batch.condition).float().diagonal()
        on_matching = on_real.diagonal()
        adversarial = OBJECTIVES[config.objective].discriminator(on_matching, on_fake)
        metrics = {"loss_d": adversarial, "logit_gap": (on_matching - on_fake).mean()}
        metrics["real_ahead"] = (on_matching > on_fake).float().mean()
        loss = adversarial
        if config.matching_weight:
            metrics["matching_d"] = matching_loss(on_real, micro_batch.batch["keys"])
            loss = loss + config.matching_weight * metrics["matching_d"]
        if penalised:
            penalty, parts = slope_penalty(
                config.penalty,
                config.weight_of_penalty,
                lambda points: D.logits(D.read(self.augmentation(points)), micro_batch.condition).diagonal(),
                (real, on_matching),
                (fake, on_fake),
            )
            loss = loss + config.penalty_every_steps * 2 ** self.backoff.at(self.step_index) * penalty
            metrics |= parts
        if config.augmentation.kind == "adaptive":
            self.augmentation.observe(on_matching.detach(), on_fake.detach())
        real.requires_grad_(False)
        return loss, metrics

    def _read(self, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        """Features of real and generated pictures, [2 N, feature_dim]."""
        if self.config.architecture == "dcgan":  # batch statistics would reveal which half of a batch is generated
            return torch.cat([self.discriminator.read(self.augmentation(images)) for images in (real, fake)])
        features: torch.Tensor = self.discriminator.read(self.augmentation(torch.cat([real, fake])))
        return features

    def _generator_step(self, micro_batches: Sequence[MicroBatch]) -> dict[str, torch.Tensor]:
        config, player = self.config, self.players["generator"]
        self.discriminator.requires_grad_(False)
        player.begin(self.step_index, config.num_steps, 0.25 ** self.backoff.at(self.step_index))
        metrics = _accumulated(micro_batches, self._generator_loss)
        metrics["gradient_norm_g"] = player.update()
        return metrics

    def _generator_loss(self, micro_batch: MicroBatch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        config, fakes = self.config, micro_batch.fakes
        if not fakes.requires_grad:
            fakes = self._generate_for(micro_batch.batch, micro_batch.z)
        losses = dict(self.auxiliary_losses(micro_batch, fakes[: len(micro_batch.real)]))
        if config.energy_weight:
            score = energy_score(fakes, micro_batch.real, config.repulsion_at(self.step_index))
            losses["energy"] = (config.energy_weight, score)
        if self.step_index >= config.num_energy_steps:
            losses |= self._adversarial_losses(micro_batch, fakes)
        weighted = {name: weight * value for name, (weight, value) in losses.items()}
        metrics = {name: value for name, (_, value) in losses.items()}
        if "matching_g" in losses and self.step_index % _SHARE_EVERY_STEPS == 0:
            metrics["matching_share"] = _share_of_gradients("matching_g", weighted, fakes)
        return torch.stack([*weighted.values()]).sum(), metrics

    def _adversarial_losses(self, micro_batch: MicroBatch, fake: torch.Tensor) -> dict[str, tuple[float, torch.Tensor]]:
        """The generator's losses by the discriminator for one or two samples of each condition, [k N, 3, H, W]."""
        D, config = self.discriminator, self.config
        objective, condition = OBJECTIVES[config.objective], micro_batch.condition.detach()
        with self._autocast(fake.device, penalised=False):
            logits = D.logits(D.read(self.augmentation(fake)), condition).float().split(len(condition))
            on_real = logits[0].diagonal()
            if objective.is_relative:
                with torch.no_grad():
                    on_real = D.logits(D.read(self.augmentation(micro_batch.real)), condition).float().diagonal()
        adversarial = [objective.generator(on_real, on_fake.diagonal()) for on_fake in logits]
        losses = {"loss_g": (1.0, torch.stack(adversarial).mean())}
        if config.matching_weight:
            matching = [matching_loss(on_fake, micro_batch.batch["keys"]) for on_fake in logits]
            losses["matching_g"] = (config.matching_weight, torch.stack(matching).mean())
        return losses

    def _update_ema(self) -> None:
        for name, network in (("encoder", self.generator_encoder), ("generator", self.generator)):
            average = self.networks[f"{name}_ema"]
            ema.update(average, network, self.step_index, self.config.ema_half_life_steps)

    @torch.no_grad()
    def sample(self, rows: Rows, keys: Keys) -> torch.Tensor:
        """Pictures uint8 [N, 3, height, width] for prompts [N] with noise of `keys` [N], by the EMA networks.

        The noise of each row is multiplied by its `truncation`, where `rows` have one: the truncation trick of Brock et
        al., "Large scale GAN training for high fidelity natural image synthesis" (ICLR 2019), without resampling.
        """
        z = noise.normal(keys, self.config.z_dim)
        if "truncation" in rows:
            z = z * torch.tensor(rows["truncation"], dtype=z.dtype)[:, None]
        return self._sampled(z, *self._read_prompts(rows))

    @torch.no_grad()
    def sample_between(self, rows: Rows, keys: Keys, to_rows: Rows, to_keys: Keys, share: float) -> torch.Tensor:
        """As `sample`, at a share from 0 to 1 of the way to other conditions [N] and the noise of other keys [N].

        Conditions are mixed as the encoder gives them, noise along the sphere. What else the generator reads, a source
        picture or words, is that of `rows`.
        """
        condition, generator_inputs = self._read_prompts(rows)
        end, _ = self._read_prompts(to_rows)
        z_dim = self.config.z_dim
        z = noise.between(noise.normal(keys, z_dim), noise.normal(to_keys, z_dim), share)
        return self._sampled(z, torch.lerp(condition, end, share), generator_inputs)

    def _read_prompts(self, rows: Rows) -> tuple[torch.Tensor, tuple[Any, ...]]:
        """The conditions of prompts, [N, C], by the EMA encoder, and what the generator reads besides."""
        device = next(self.generator.parameters()).device
        batch = {name: tensor.to(device) for name, tensor in self.encode_prompts(rows).items()}
        encoder = self.networks["encoder_ema"]
        return encoder(*(batch[name] for name in self.encoder_inputs)), self.generator_inputs(batch, encoder)

    def _sampled(self, z: torch.Tensor, condition: torch.Tensor, generator_inputs: tuple[Any, ...]) -> torch.Tensor:
        """Pictures uint8 [N, 3, H, W] of noise and conditions, by the EMA generator."""
        z = z.to(condition.device)
        return pictures.to_uint8(self.networks["generator_ema"](z, condition, *generator_inputs))


def _accumulated(
    micro_batches: Sequence[MicroBatch], loss_of: Callable[[MicroBatch], tuple[torch.Tensor, dict[str, torch.Tensor]]]
) -> dict[str, torch.Tensor]:
    """Accumulate the gradients of the mean loss of micro-batches; returns the means of their metrics."""
    means: dict[str, torch.Tensor] = {}
    for micro_batch in micro_batches:
        loss, metrics = loss_of(micro_batch)
        (loss / len(micro_batches)).backward()
        for name, value in metrics.items():
            means[name] = means.get(name, 0) + value.detach() / len(micro_batches)
    return means


def _share_of_gradients(name: str, losses: Mapping[str, torch.Tensor], fakes: torch.Tensor) -> torch.Tensor:
    """The norm of a loss's gradient at the generated pictures over the sum of the norms of all losses' gradients."""
    norms = {key: torch.autograd.grad(loss, fakes, retain_graph=True)[0].norm() for key, loss in losses.items()}
    return norms[name] / torch.stack([*norms.values()]).sum()


def _augmentation(config: GanConfig) -> Augmentation:
    augmentation = config.augmentation
    return Augmentation(
        probability=0.0 if augmentation.kind == "none" else augmentation.probability,
        target=augmentation.target if augmentation.kind == "adaptive" else None,
        ramp_images=augmentation.ramp_images,
        wrap=config.wrap_horizontally,
    )


def _player(config: PlayerConfig, matrix_rate: float, *networks: nn.Module) -> Player:
    """A player whose matrices have Muon where the rate is not 0: those of style generators and image encoders."""
    parameters = [parameter for network in networks for parameter in network.parameters()]
    layers = [module for network in networks for module in network.modules()] if matrix_rate else []
    matrices = [m for layer in layers if isinstance(layer, (StyleGenerator, ImageEncoder)) for m in layer.matrices()]
    return Player(config, parameters, matrices, matrix_rate)


def _generator(config: GanConfig, condition_dim: int) -> nn.Module:
    size, wrap = (config.height, config.width), config.wrap_horizontally
    if style_generator := STYLE_GENERATORS.get(config.architecture):
        return style_generator(*size, config.z_dim, condition_dim, config.style_dim, config.base_channels, wrap)
    generator = {"dcgan": DcganGenerator, "residual": ResidualGenerator}[config.architecture]
    return generator(*size, config.z_dim, condition_dim, config.base_channels, wrap)


def _discriminator(config: GanConfig, condition_dim: int) -> nn.Module:
    others = {"dcgan": DcganDiscriminator, "residual": ResidualDiscriminator}
    discriminator = others.get(config.architecture, ProjectionDiscriminator)
    size, wrap = (config.height, config.width), config.wrap_horizontally
    return discriminator(*size, condition_dim, config.feature_dim, config.base_channels, wrap)
