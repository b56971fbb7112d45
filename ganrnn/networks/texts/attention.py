"""Attention: what of a source counts just now, as shares of its places. In one go for all steps, and in exact sums."""

from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from ganrnn import exact

AttentionKind = Literal["additive", "multiplicative"]
READ_BITS = 20  # of a share, after the point: with values of 19 bits, 2^14 places still add up exactly
MOST_PLACES = 2**14
LEAST_COPIED = 1e-30  # the probability of a token that is neither written nor copied, since it has a logarithm


class Attention(nn.Module):
    """Softmax over the places of a memory by their energy for a query.

    additive:        v · tanh(W_q q + b + W_m m + w c)        (Bahdanau et al. 2015)
    multiplicative:  q · W_m m + w c                          (Luong et al. 2015, "general")

    where c, with `covers`, is how much of the place was attended to at all steps before (See et al. 2017).
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
    ) -> torch.Tensor:  # shares [N, T, S]
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
            made = queries @ keys.transpose(1, 2)
            return made if covered is None or self.covering is None else made + self.covering * covered[:, None]
        if covered is not None and self.covering is not None:
            keys = keys + self.covering * covered[:, :, None]
        return torch.tanh(self.to_query(queries)[:, :, None] + keys[:, None]) @ self.energy


class ExactAttention:
    """The same for one step, its sums independent of their order and of the padding."""

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
        covered: torch.Tensor,  # [N, S], the sum of all shares before
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
    written: torch.Tensor,  # logits of the odds that a token is written and not copied, [N, T]
    shares: torch.Tensor,  # [N, T, S]
    source: torch.Tensor,  # tokens int64 [N, S] of the same vocabulary
) -> torch.Tensor:  # log-probabilities [N, T, V]
    """Tokens written anew or copied from where attention lies (See et al., "Get to the point", 2017)."""
    written = written.sigmoid()[:, :, None]
    places = source[:, None].expand(-1, logits.shape[1], -1)
    return (written * F.softmax(logits, 2)).scatter_add(2, places, (1 - written) * shares).clamp_min(LEAST_COPIED).log()
