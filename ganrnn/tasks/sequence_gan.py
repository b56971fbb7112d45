"""A GAN of texts: a language model trained by policy gradients with rewards from a discriminator.

The generator is pretrained like `language_model`. Then it samples texts, a discriminator rewards every prefix, and the
generator is updated by REINFORCE with a baseline: SeqGAN (Yu et al. 2017) with the dense rewards of ScratchGAN (de
Masson d'Autume et al. 2019) instead of rollouts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from ganrnn import distributed
from ganrnn.config import at_least, below, within
from ganrnn.errors import BadInput
from ganrnn.networks.texts.prefix_discriminator import PrefixDiscriminatorName, prefix_discriminator
from ganrnn.objectives import policy
from ganrnn.objectives.return_baseline import ReturnBaseline
from ganrnn.task import Batch, Rows
from ganrnn.tasks.language_model import LanguageModel, LanguageModelConfig
from ganrnn.text.batches import RowBatches
from ganrnn.text.vocabulary import END, PAD, TextVocabulary
from ganrnn.training import ema
from ganrnn.training.optimizer import Player, PlayerConfig


@dataclass(frozen=True)
class SequenceGanConfig(LanguageModelConfig):
    """A language model whose generator then learns from a discriminator by policy gradients.

    After the first `num_pretraining_steps`, both schedules begin. The return of a choice is the sum of the rewards that
    follow, discounted by token, with the last reward counted for all places up to `num_tokens`. The generator then
    writes and learns without dropout. The discriminator has as many features as the generator.
    """

    #: Name of the task.
    name: Literal["sequence_gan"] = "sequence_gan"  # type: ignore[assignment]  # the name of another task
    #: Number of first steps, up to num_steps, in which the generator learns as a language model by task.optimiser.
    num_pretraining_steps: int = 1_000
    discriminator: PrefixDiscriminatorName = "cnn"  #: Discriminator of beginnings of texts: recurrent or convolutional.
    discriminator_dropout: float = 0.1  #: Probability with which features of the discriminator are dropped.
    discount: float = 0.9  #: Weight of a reward that comes one token later, relative to the one before.
    entropy_weight: float = 0.01  #: Weight of the entropy of the generator's choices in its objective.
    likelihood_weight: float = 0.0  #: Weight of the log-likelihood of a real text in the generator's objective.
    #: Adam of the generator after num_pretraining_steps.
    policy_optimiser: PlayerConfig = field(
        default_factory=lambda: PlayerConfig(
            learning_rate=5e-4, warmup_steps=50, beta1=0.9, beta2=0.99, max_gradient_norm=10.0
        )
    )
    #: Adam of the discriminator.
    discriminator_optimiser: PlayerConfig = field(
        default_factory=lambda: PlayerConfig(
            learning_rate=1e-3, schedule="constant", beta1=0.9, beta2=0.99, max_gradient_norm=10.0
        )
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stream:
            raise BadInput("task.stream is true; allowed is false: a discriminator reads texts from their beginnings")
        within("task", self, num_pretraining_steps=(0, "num_steps"))
        below("task", self, discriminator_dropout=1)
        within("task", self, discount=(0, 1))
        at_least("task", self, entropy_weight=0, likelihood_weight=0)
        self.policy_optimiser.check("task.policy_optimiser")
        self.discriminator_optimiser.check("task.discriminator_optimiser")


class SequenceGan(LanguageModel):
    """The task."""

    config_type: type[LanguageModelConfig] = SequenceGanConfig
    config: SequenceGanConfig

    def __init__(self, config: SequenceGanConfig, vocabulary: TextVocabulary, seed: int = 0) -> None:
        super().__init__(config, vocabulary, seed)
        self.num_likelihood_steps = config.num_pretraining_steps
        self.discriminator: nn.Module = prefix_discriminator(
            config.discriminator,
            len(vocabulary),
            config.cell,
            config.embedding_dim,
            config.hidden_dim,
            config.discriminator_dropout,
        )
        self.baseline = ReturnBaseline(config.num_tokens)
        self.networks |= {"discriminator": self.discriminator, "baseline": self.baseline}
        self.policy_player = Player(config.policy_optimiser, self.network.parameters())
        self.discriminator_player = Player(config.discriminator_optimiser, self.discriminator.parameters())

    @property
    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """The optimizers of pretraining, of the generator after it, and of the discriminator."""
        return {
            "network": self.player.optimizer,
            "policy": self.policy_player.optimizer,
            "discriminator": self.discriminator_player.optimizer,
        }

    def batches(self, rows: Rows, num_rows: int, seed: int, rank: int = 0, world_size: int = 1) -> RowBatches:
        """The batches; after pretraining rows of all lengths, so that the length of a batch reveals nothing."""
        return RowBatches(
            [self.vocabulary.encode(text) for text in rows["text"]],
            num_rows=num_rows,
            num_tokens=self.config.num_tokens,
            seed=seed,
            rank=rank,
            world_size=world_size,
            mixed_from=self.config.num_pretraining_steps,
        )

    def step(self, batch: Batch) -> dict[str, torch.Tensor]:
        """One update on a batch of `ganrnn/text/batches.py`; after pretraining, one update of each player."""
        config = self.config
        if self.step_index < config.num_pretraining_steps:
            return super().step(batch)
        self.network.eval()  # without dropout, whose masks would differ between sampling and learning
        samples = self.network.draw(len(batch["tokens"]), config.num_tokens)
        metrics = self._discriminator_step(batch, samples) | self._generator_step(batch, samples)
        ema.update(self.average, self.network, self.step_index, config.ema_half_life_steps)
        self.step_index += 1
        return metrics

    def _begin(self, player: Player) -> None:
        step, num_pretraining_steps = self.step_index, self.config.num_pretraining_steps
        player.begin(
            step - num_pretraining_steps, self.config.num_steps - num_pretraining_steps, 0.25 ** self.backoff.at(step)
        )

    def _discriminator_step(self, batch: Batch, samples: torch.Tensor) -> dict[str, torch.Tensor]:
        """An update of the discriminator by the mean losses over real and over generated tokens."""
        self._begin(self.discriminator_player)
        real, fake = batch["tokens"][:, 1:], samples[:, 1:]
        width = max(real.shape[1], fake.shape[1])
        tokens = torch.cat([F.pad(rows, (0, width - rows.shape[1]), value=PAD) for rows in (real, fake)])
        is_real, is_fake = (tokens != PAD).chunk(2)
        on_real, on_fake = self.discriminator.train()(tokens).chunk(2)
        num_fake = distributed.sum_over_workers(is_fake.sum())
        loss = policy.token_cross_entropy(on_real, is_real, True) / batch["num_targets"]
        loss = (loss + policy.token_cross_entropy(on_fake, is_fake, False) / num_fake) * distributed.world_size()
        loss.backward()
        ahead = _row_means(on_real, is_real) > _row_means(on_fake, is_fake)
        return {
            "loss_d": loss.detach(),
            "real_ahead": ahead.float().mean(),
            "gradient_norm_d": self.discriminator_player.update(),
        }

    def _generator_step(self, batch: Batch, samples: torch.Tensor) -> dict[str, torch.Tensor]:
        """An update of the generator by the discriminator's rewards of its samples."""
        config, targets = self.config, samples[:, 1:]
        self._begin(self.policy_player)
        mask = targets != PAD
        with torch.no_grad():
            rewards = policy.rewards(self.discriminator.eval()(targets), mask)
        rewards_to_end = policy.extended_rewards(rewards, mask, config.num_tokens)
        returns = policy.returns(rewards_to_end, config.discount)[:, : targets.shape[1]]
        features, _ = self.network(samples[:, :-1], self.network.stack.begin(len(samples)))
        log_probabilities = self.network.choice_logits(features).log_softmax(2)
        sample_log_probabilities = log_probabilities.gather(2, (targets - END).clamp_min(0)[:, :, None])[:, :, 0]
        loss_g = policy.policy_gradient_loss(sample_log_probabilities, self.baseline(returns), mask)
        entropy = (policy.entropies(log_probabilities) * mask).sum()
        self.baseline.update(returns, mask)
        num_samples, num_sample_tokens = distributed.sum_over_workers(torch.stack([mask[:, 0].sum(), mask.sum()]))
        loss, likelihood = self._likelihood_losses(batch)
        num_real = distributed.sum_over_workers((batch["tokens"] == END).sum())
        share = distributed.world_size() / num_samples
        objective = (loss_g - config.entropy_weight * entropy) * share
        if config.likelihood_weight:
            objective = objective + config.likelihood_weight * likelihood * distributed.world_size() / num_real
        objective.backward()
        token_share = distributed.world_size() / num_sample_tokens
        return {
            "loss": loss.detach() * distributed.world_size() / batch["num_targets"],
            "loss_g": loss_g.detach() * share,
            "reward": rewards.sum() * token_share,
            "entropy": entropy.detach() * token_share,
            "length": mask.sum() * share,
            "gradient_norm_g": self.policy_player.update(),
            "tokens": batch["num_targets"].float(),
        }

    def _likelihood_losses(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """The two sums of `cross_entropies` for real texts, with gradients if `likelihood_weight` is above 0."""
        tokens = batch["tokens"]
        with torch.set_grad_enabled(self.config.likelihood_weight > 0):
            features, _ = self.network.train()(tokens[:, :-1], self._state(batch))
            return self._losses(self.network, features, tokens, self.config.label_smoothing)

    @torch.no_grad()
    def reward(self, tokens: Sequence[int]) -> float:
        """The discriminator's reward, -1 to 1, of the last token of a text so far, which may be END."""
        text = torch.tensor([list(tokens)], device=self.device)
        logits = self.discriminator.eval()(text)
        return float(policy.rewards(logits, text != PAD)[0, -1])


def _row_means(logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The mean logit of each text, [N]."""
    return (logits.detach() * mask).sum(1) / mask.sum(1).clamp_min(1)


TASK = SequenceGan
