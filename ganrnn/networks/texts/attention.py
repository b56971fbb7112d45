"""Attention over the positions of a source: for all steps in one pass, and for one step in exact sums."""

from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from ganrnn import exact

AttentionKind = Literal["additive", "multiplicative"]
READ_BITS = 20  # of an attention weight, after the point: with values of 19 bits, 2^14 positions still add up exactly
MAX_POSITIONS = 2**14
LEAST_PROBABILITY = 1e-30  # the least probability of a token, so that its logarithm is finite


class Attention(nn.Module):
    """Softmax over the positions of a memory by their energy for a query.

    additive:        v · tanh(W_q q + b + W_m m + w c)        (Bahdanau et al. 2015)
    multiplicative:  q · W_m m + w c                          (Luong et al. 2015, "general")

    where c, with `covers`, is the sum of the attention weights of the position at all earlier steps (See et al. 2017).
    """

    def __init__(self, kind: AttentionKind, query_dim: int, memory_dim: int, covers: bool) -> None:
        super().__init__()
        self.to_key = nn.Linear(memory_dim, query_dim, bias=False)
        self.to_query = nn.Linear(query_dim, query_dim) if kind == "additive" else None
        self.energy = nn.Parameter(torch.empty(query_dim)) if kind == "additive" else None
        if self.energy is not None:
            nn.init.uniform_(self.energy, -(query_dim**-0.5), query_dim**-0.5)
        self.covering = nn.Parameter(torch.zeros(query_dim if kind == "additive" else 1)) if covers else None

    def forward(
        self,
        queries: torch.Tensor,  # [N, T, Q]
        memory: torch.Tensor,  # [N, S, M]
        mask: torch.Tensor,  # bool [N, S], False at padding
    ) -> torch.Tensor:  # weights [N, T, S]
        keys = self.to_key(memory)
        if self.covering is None:
            return self._energies(queries, keys, None).masked_fill(~mask[:, None], -torch.inf).softmax(2)
        shares = []
        covered = keys.new_zeros(keys.shape[:2])
        for step in range(queries.shape[1]):
            energies = self._energies(queries[:, step : step + 1], keys, covered)[:, 0]
            shares.append(energies.masked_fill(~mask, -torch.inf).softmax(1))
            covered = covered + shares[-1]
        return torch.stack(shares, dim=1)

    def _energies(self, queries: torch.Tensor, keys: torch.Tensor, covered: torch.Tensor | None) -> torch.Tensor:
        """[N, T, S]; `covered` [N, S] is for a single step."""
        if self.to_query is None or self.energy is None:
            energies = queries @ keys.transpose(1, 2)
            return energies if covered is None or self.covering is None else energies + self.covering * covered[:, None]
        if covered is not None and self.covering is not None:
            keys = keys + self.covering * covered[:, :, None]
        return torch.tanh(self.to_query(queries)[:, :, None] + keys[:, None]) @ self.energy


class ExactAttention:
    """`Attention` for one step, in sums that neither their order nor the padding changes."""

    def __init__(self, attention: Attention) -> None:
        self.to_key = exact.Linear(attention.to_key.weight)
        to_query, energy = attention.to_query, attention.energy
        self.to_query = None if to_query is None else exact.Linear(to_query.weight, to_query.bias)
        self.to_energy = None if energy is None else exact.Linear(energy[None])
        self.covering = None if attention.covering is None else exact.snapped(attention.covering)

    def keys(self, memory: torch.Tensor) -> torch.Tensor:
        """Snapped [N, S, M] to snapped [N, S, Q]."""
        return exact.snapped(self.to_key(memory))

    def shares(
        self,
        query: torch.Tensor,  # snapped [N, Q]
        keys: torch.Tensor,  # snapped [N, S, Q]
        mask: torch.Tensor,  # bool [N, S]
        covered: torch.Tensor,  # [N, S], the sum of all earlier weights
    ) -> torch.Tensor:  # multiples of 2^-20, [N, S]
        if self.to_query is None or self.to_energy is None:
            energies = (keys @ query[:, :, None])[:, :, 0]
            if self.covering is not None:
                energies = energies + self.covering * covered
        else:
            if self.covering is not None:
                keys = keys + self.covering * covered[:, :, None]
            hidden = exact.tanh(exact.snapped(self.to_query(query))[:, None] + keys)
            energies = self.to_energy(exact.snapped(hidden))[:, :, 0]
        energies = torch.where(mask, energies, -torch.inf)
        return exact.snapped(exact.softmax(energies), READ_BITS, 1.0)


def mixed(
    logits: torch.Tensor,  # [N, T, V]
    generation_logits: torch.Tensor,  # logits of the probability that a token is generated and not copied, [N, T]
    shares: torch.Tensor,  # [N, T, S]
    source: torch.Tensor,  # tokens int64 [N, S] of the same vocabulary
) -> torch.Tensor:  # log-probabilities [N, T, V]
    """Mixture of generated tokens and tokens copied by attention (See et al., "Get to the point", 2017)."""
    p_generated = generation_logits.sigmoid()[:, :, None]
    tokens = source[:, None].expand(-1, logits.shape[1], -1)
    mixture = (p_generated * F.softmax(logits, 2)).scatter_add(2, tokens, (1 - p_generated) * shares)
    return mixture.clamp_min(LEAST_PROBABILITY).log()
