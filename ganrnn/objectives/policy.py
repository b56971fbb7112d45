"""Texts as chains of choices: what a discriminator teaches a generator that it cannot be differentiated through.

All tensors are float [N, T] and hold one value for each token; where there is none any more, `mask` is False and
the value counts for nothing.
"""

import torch
from torch.nn import functional as F


def token_cross_entropy(logits: torch.Tensor, mask: torch.Tensor, is_real: bool) -> torch.Tensor:
    """-log D of real texts, -log(1 - D) of generated ones, summed over all tokens, each the last of its prefix.

    De Masson d'Autume et al., "Training language GANs from scratch" (ScratchGAN, NeurIPS 2019), equation 2.
    """
    return (F.softplus(-logits if is_real else logits) * mask).sum()


def rewards(logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """2 D - 1 of each prefix, between -1 and 1 (same paper, equation 4)."""
    return (2.0 * logits.sigmoid() - 1.0) * mask


def extended_rewards(rewards: torch.Tensor, mask: torch.Tensor, num_places: int) -> torch.Tensor:
    """The reward of each text's last token at all places behind it too, [N, num_places].

    Else a text would do well to end soon where rewards are negative, and late where they are positive: Kostrikov et
    al., "Discriminator-actor-critic" (ICLR 2019), section 4.1. Each text has one token at least.
    """
    missing = (0, num_places - rewards.shape[1])
    last = rewards.gather(1, mask.sum(1, keepdim=True) - 1)
    return torch.where(F.pad(mask, missing), F.pad(rewards, missing), last)


def returns(rewards: torch.Tensor, discount: float) -> torch.Tensor:
    """What is still to come from each token on: R_t = r_t + discount R_{t+1}."""
    held, after = [], torch.zeros_like(rewards[:, 0])
    for reward in reversed(rewards.unbind(1)):
        after = reward + discount * after
        held.append(after)
    return torch.stack(held[::-1], dim=1)


def policy_gradient_loss(
    log_probabilities: torch.Tensor,  # of the tokens that were drawn, with the generator's graph
    advantages: torch.Tensor,  # how much better than expected each of them turned out
    mask: torch.Tensor,
) -> torch.Tensor:
    """The sum of -advantage x log-probability, whose slope is on average that of the expected return, downwards.

    Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement learning" (REINFORCE,
    1992). What is expected may depend on what was written before a token, not on the token.
    """
    return -(advantages.detach() * log_probabilities * mask).sum()


def entropies(log_probabilities: torch.Tensor) -> torch.Tensor:
    """Of each choice, in nats, from the log-probabilities [N, T, V] of all that could be chosen."""
    return -(log_probabilities.exp() * log_probabilities).sum(2)
