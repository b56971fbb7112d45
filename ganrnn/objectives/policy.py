"""Policy gradients for text generators: rewards by a discriminator, returns, REINFORCE.

All tensors are float [N, T] with one value per token; `mask`, bool [N, T], is False after the end of a text, where
values are ignored.
"""

import torch
from torch.nn import functional as F


def token_cross_entropy(logits: torch.Tensor, mask: torch.Tensor, is_real: bool) -> torch.Tensor:
    """-log D of real texts or -log(1 - D) of generated texts, summed over all prefixes.

    De Masson d'Autume et al., "Training language GANs from scratch" (ScratchGAN, NeurIPS 2019), equation 2.
    """
    return (F.softplus(-logits if is_real else logits) * mask).sum()


def rewards(logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The reward 2 D - 1 of each prefix, between -1 and 1 (same paper, equation 4)."""
    return (2.0 * logits.sigmoid() - 1.0) * mask


def extended_rewards(rewards: torch.Tensor, mask: torch.Tensor, num_positions: int) -> torch.Tensor:
    """The rewards, with the reward of each text's last token repeated after its end, [N, num_positions].

    Otherwise a text would gain by ending early if rewards are negative, and late if they are positive: Kostrikov et
    al., "Discriminator-actor-critic" (ICLR 2019), section 4.1. Each text has at least one token.
    """
    missing = (0, num_positions - rewards.shape[1])
    last = rewards.gather(1, mask.sum(1, keepdim=True) - 1)
    return torch.where(F.pad(mask, missing), F.pad(rewards, missing), last)


def returns(rewards: torch.Tensor, discount: float) -> torch.Tensor:
    """The discounted return from each token on: R_t = r_t + discount R_{t+1}."""
    reversed_returns, following = [], torch.zeros_like(rewards[:, 0])
    for reward in reversed(rewards.unbind(1)):
        following = reward + discount * following
        reversed_returns.append(following)
    return torch.stack(reversed_returns[::-1], dim=1)


def policy_gradient_loss(
    log_probabilities: torch.Tensor,  # of the sampled tokens, with the generator's graph
    advantages: torch.Tensor,  # returns minus a baseline
    mask: torch.Tensor,
) -> torch.Tensor:
    """The sum of -advantage x log-probability, whose expected gradient is that of minus the expected return.

    Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement learning" (REINFORCE,
    1992). The baseline may depend on the tokens before a token, not on the token itself.
    """
    return -(advantages.detach() * log_probabilities * mask).sum()


def entropies(log_probabilities: torch.Tensor) -> torch.Tensor:
    """The entropy of each choice in nats, [N, T], from the log-probabilities [N, T, V] of all tokens."""
    return -(log_probabilities.exp() * log_probabilities).sum(2)
