"""Text in, matching picture out: an RNN reads the prompt, a GAN paints it.

One step is a discriminator update and a generator update; the text encoder learns with the discriminator, where true
and false captions of real pictures teach it words, and the generator reads its state.
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from ganrnn import images as pictures
from ganrnn.distributed import average_gradients
from ganrnn.errors import BadInput
from ganrnn.networks.projection_discriminator import ProjectionDiscriminator
from ganrnn.networks.pyramid import check_image_size
from ganrnn.networks.style_generator import StyleGenerator
from ganrnn.networks.text_encoder import Cell, TextEncoder
from ganrnn.objectives.adversarial import relativistic_loss
from ganrnn.objectives.matching import matching_loss
from ganrnn.objectives.penalties import gradient_penalty
from ganrnn.sampling import noise
from ganrnn.task import Batch, Keys, Rows
from ganrnn.text import Level, Vocabulary, meaning_key


@dataclass(frozen=True)
class TextToImageConfig:
    """Networks, objective and optimisation. Sizes in pixels, features or steps."""

    name: Literal["text_to_image"] = "text_to_image"
    height: int = 32
    width: int = 32
    vocabulary: Level = "word"
    max_tokens: int = 24
    cell: Cell = "gru"
    bidirectional: bool = False
    embedding_dim: int = 64
    hidden_dim: int = 64
    z_dim: int = 32
    style_dim: int = 128
    feature_dim: int = 128
    base_channels: int = 32
    num_steps: int = 2_000
    learning_rate: float = 1e-3
    beta1: float = 0.0
    beta2: float = 0.95
    gamma: float = 0.5
    penalty_every_steps: int = 8
    matching_weight: float = 1.0
    ema_half_life_steps: float = 150.0

    def __post_init__(self) -> None:
        check_image_size(self.height, self.width, "task.")
        for name in ("max_tokens", "num_steps", "penalty_every_steps", "learning_rate", "ema_half_life_steps"):
            if getattr(self, name) <= 0:
                raise BadInput(f"task.{name} is {getattr(self, name)}; allowed are values above 0")


class TextToImage:
    """The networks of the task, their optimisers, one training step and one sampling function."""

    config_type = TextToImageConfig
    input_columns = ("image", "text", "attributes")

    def __init__(self, config: TextToImageConfig, vocabulary: Vocabulary, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.config, self.vocabulary = config, vocabulary
        encoder = TextEncoder(
            len(vocabulary), config.embedding_dim, config.hidden_dim, config.cell, config.bidirectional
        )
        generator = StyleGenerator(
            config.height, config.width, config.z_dim, encoder.out_dim, config.style_dim, config.base_channels
        )
        discriminator = ProjectionDiscriminator(
            config.height, config.width, encoder.out_dim, config.feature_dim, config.base_channels
        )
        self.networks: dict[str, nn.Module] = {
            "encoder": encoder,
            "generator": generator,
            "discriminator": discriminator,
            "encoder_ema": copy.deepcopy(encoder).requires_grad_(False).eval(),
            "generator_ema": copy.deepcopy(generator).requires_grad_(False).eval(),
        }
        self.encoder, self.generator, self.discriminator = encoder, generator, discriminator
        self.optimisers = {
            "generator": self._adam(generator.parameters()),
            "discriminator": self._adam([*discriminator.parameters(), *encoder.parameters()]),
        }
        self.step_index = 0

    def _adam(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Adam:
        betas = (self.config.beta1, self.config.beta2)
        return torch.optim.Adam(parameters, lr=self.config.learning_rate, betas=betas, eps=1e-8, foreach=True)

    def collate(self, rows: Rows) -> dict[str, torch.Tensor]:
        """Data set rows to images uint8 [N, 3, H, W], tokens int64 [N, T], lengths and keys of meaning int64 [N]."""
        tokens, lengths = self.vocabulary.encode(rows["text"], self.config.max_tokens)
        keys = [meaning_key(t, a) for t, a in zip(rows["text"], rows["attributes"], strict=True)]
        images = pictures.to_tensor([image["bytes"] for image in rows["image"]])
        return {"images": images, "tokens": tokens, "lengths": lengths, "keys": torch.tensor(keys)}

    def step(self, batch: Batch) -> dict[str, torch.Tensor]:
        """One discriminator and one generator update on what `collate` gave; the learning rate falls linearly to 0."""
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = self.config.learning_rate * (1 - self.step_index / self.config.num_steps)
        real = pictures.to_float(batch["images"])
        z = torch.randn(len(real), self.config.z_dim, device=real.device)
        condition = self.encoder(batch["tokens"], batch["lengths"])
        fake = self.generator(z, condition.detach())
        metrics = self._discriminator_step(real, fake.detach(), condition, batch)
        metrics |= self._generator_step(real, fake, condition.detach(), batch)
        self._update_ema()
        self.step_index += 1
        return metrics

    def _discriminator_step(
        self, real: torch.Tensor, fake: torch.Tensor, condition: torch.Tensor, batch: Batch
    ) -> dict[str, torch.Tensor]:
        D, config = self.discriminator, self.config
        D.requires_grad_(True)
        penalised = self.step_index % config.penalty_every_steps == 0
        real.requires_grad_(penalised)
        fake.requires_grad_(penalised)
        features = D.read(torch.cat([real, fake]))
        on_real = D.logits(features[: len(real)], condition)
        on_fake = D.logits(features[len(real) :], condition).diagonal()
        adversarial = relativistic_loss(on_real.diagonal(), on_fake)
        matching = matching_loss(on_real, batch["keys"])
        loss = adversarial + config.matching_weight * matching
        metrics = {"loss_d": adversarial, "matching_d": matching, "logit_gap": (on_real.diagonal() - on_fake).mean()}
        if penalised:
            r1 = gradient_penalty(on_real.diagonal(), real)
            r2 = gradient_penalty(on_fake, fake)
            loss = loss + config.penalty_every_steps * config.gamma / 2 * (r1 + r2)
            metrics |= {"r1": r1, "r2": r2}
        self._update("discriminator", loss)
        real.requires_grad_(False)
        return {k: v.detach() for k, v in metrics.items()}

    def _generator_step(
        self, real: torch.Tensor, fake: torch.Tensor, condition: torch.Tensor, batch: Batch
    ) -> dict[str, torch.Tensor]:
        D = self.discriminator
        D.requires_grad_(False)
        with torch.no_grad():
            on_real = D.logits(D.read(real), condition).diagonal()
        on_fake = D.logits(D.read(fake), condition)
        adversarial = relativistic_loss(on_fake.diagonal(), on_real)
        matching = matching_loss(on_fake, batch["keys"])
        self._update("generator", adversarial + self.config.matching_weight * matching)
        return {"loss_g": adversarial.detach(), "matching_g": matching.detach()}

    def _update(self, name: str, loss: torch.Tensor) -> None:
        optimiser = self.optimisers[name]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        average_gradients(p for group in optimiser.param_groups for p in group["params"])
        optimiser.step()

    @torch.no_grad()
    def _update_ema(self) -> None:
        # The average starts short: early weights are forgotten within a tenth of the steps taken so far.
        decay = 0.5 ** (1 / min(self.config.ema_half_life_steps, 1 + self.step_index / 10))
        for name in ("encoder", "generator"):
            ema, live = self.networks[f"{name}_ema"], self.networks[name]
            torch._foreach_lerp_(list(ema.parameters()), list(live.parameters()), 1 - decay)

    @torch.no_grad()
    def sample(self, rows: Rows, keys: Keys) -> torch.Tensor:
        """Paint `rows["prompt"]` [N] with noise of `keys` [N]: uint8 [N, 3, height, width] by the averaged networks."""
        device = next(self.generator.parameters()).device
        tokens, lengths = self.vocabulary.encode(rows["prompt"], self.config.max_tokens)
        condition = self.networks["encoder_ema"](tokens.to(device), lengths.to(device))
        z = noise.normal(keys, self.config.z_dim).to(device)
        return pictures.to_uint8(self.networks["generator_ema"](z, condition))


TASK = TextToImage
