"""Arithmetic in which the order of a sum changes no bit, for choices that must not depend on the batch.

A kernel adds in an order of its own, which changes with the shape of the batch, the number of threads and the machine,
and a last bit that changes can turn one chosen token into another. Here numbers are rounded to multiples of a power of
two before they are multiplied and added in float64. As long as they stay below 2^53 such multiples, every product and
every partial sum is exact, so that all orders give the same. What is left are additions, products and quotients of
single elements, which IEEE 754 rounds alike everywhere; `exp` is made of them.
"""

import math

import torch

VALUE_BITS = 14  # of an activation, after the point
LARGEST_VALUE = 32.0  # beyond it activations are clipped: 19 bits
WEIGHT_BITS = 18  # of the largest weight of a matrix
MOST_INPUTS = 2**15  # 19 + 18 + 15 bits, and a sign
LOGIT_BITS = 20
LARGEST_LOGIT = 1_000.0
SHARE_BITS = 36  # of a probability, after the point; with 2^16 of them still exact
MOST_TOKENS = 2**16

_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_LEAST_EXPONENT = -60.0


def snapped(x: torch.Tensor, bits: int = VALUE_BITS, largest: float = LARGEST_VALUE) -> torch.Tensor:
    """Float64 multiples of 2^-bits, between -largest and largest."""
    return (x.double().clamp(-largest, largest) * 2.0**bits).round_() * 2.0**-bits


class Linear:
    """A matrix float [O, I] and a bias [O] for exact products: `linear(x)` with x [..., I] gives float64 [..., O]."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        assert weight.shape[1] <= MOST_INPUTS, weight.shape
        exponent = math.frexp(max(float(weight.abs().max()), 2.0**-60))[1]
        bits = WEIGHT_BITS - exponent
        self.weight = ((weight.double() * 2.0**bits).round() * 2.0**-bits).T.contiguous()
        grid = bits + VALUE_BITS
        self.bias = None if bias is None else (bias.double() * 2.0**grid).round() * 2.0**-grid
        assert bias is None or float(bias.abs().max()) * 2.0**grid < 2.0**52, "a bias a million times its weights"

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """`x` as `snapped` leaves it."""
        made = x @ self.weight
        return made if self.bias is None else made + self.bias


def exp(x: torch.Tensor) -> torch.Tensor:
    """e^x to nine digits of float64 x, 0 below -60; made of operations that are rounded alike on every machine."""
    x = x.clamp(_LEAST_EXPONENT - 1, 60.0)
    k = torch.round(x * (1 / math.log(2)))
    r = x - k * _LN2_HIGH - k * _LN2_LOW
    value = torch.full_like(r, 1 / math.factorial(8))
    for power in range(7, -1, -1):
        value = value * r + 1 / math.factorial(power)
    two_to_k = ((k.long() + 1023) << 52).view(torch.float64)
    return torch.where(x < _LEAST_EXPONENT, 0.0, value * two_to_k)


def sigmoid(x: torch.Tensor) -> torch.Tensor:
    """1 / (1 + e^-x)."""
    return 1.0 / (1.0 + exp(-x))


def log(x: torch.Tensor) -> torch.Tensor:
    """Of float64 x above 0, no denormal, to 1e-12; made of operations that are rounded alike on every machine."""
    mantissa, exponent = torch.frexp(x)
    s = (mantissa - math.sqrt(0.5)) / (mantissa + math.sqrt(0.5))
    square = s * s
    value = torch.full_like(s, 1 / 13)
    for power in range(11, 0, -2):
        value = value * square + 1 / power
    return 2.0 * s * value + (exponent.double() - 0.5) * math.log(2)


def tanh(x: torch.Tensor) -> torch.Tensor:
    """(e^2x - 1) / (e^2x + 1)."""
    return 1.0 - 2.0 / (1.0 + exp(2.0 * x))


def shares(logits: torch.Tensor) -> torch.Tensor:
    """e^(logit - largest) of each row [N, K], multiples of 2^-36, so that their sums are exact; -inf gives 0."""
    assert logits.shape[-1] <= MOST_TOKENS, logits.shape
    return snapped(exp(logits - logits.amax(-1, keepdim=True)), SHARE_BITS, 1.0)


def softmax(logits: torch.Tensor) -> torch.Tensor:
    """Of each row [..., K]."""
    held = shares(logits)
    return held / held.sum(-1, keepdim=True)


def log_sum(logits: torch.Tensor) -> torch.Tensor:
    """log of the sum of e^logit of each row [N, K], float64 [N], a multiple of 2^-20."""
    sums = shares(logits).sum(-1)
    logs = torch.tensor([math.log(value) for value in sums.tolist()], dtype=torch.float64, device=logits.device)
    return snapped(logs + logits.amax(-1), LOGIT_BITS, LARGEST_LOGIT)


def snapped_logits(logits: torch.Tensor) -> torch.Tensor:
    """Multiples of 2^-20 between -1000 and 1000; -inf stays."""
    return torch.where(logits.isneginf(), logits, snapped(logits, LOGIT_BITS, LARGEST_LOGIT))


def ranks(logits: torch.Tensor) -> torch.Tensor:
    """Keys float64 [N, K] in the order of snapped logits [N, K], no two of a row alike: the first of equals is larger.

    With them, `topk` and `argmax` have one answer.
    """
    num = logits.shape[-1]
    assert num <= MOST_TOKENS, num
    back = torch.arange(num - 1, -1, -1, dtype=torch.float64, device=logits.device)
    return logits * 2.0**LOGIT_BITS * MOST_TOKENS + back


def drawn(weights: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """The place int64 [N] that u [N], 0 to 1, falls on in weights [N, K], multiples of 2^-36, not all of them 0."""
    sums = weights.cumsum(-1)
    reached = sums > u[:, None] * sums[:, -1:]
    return reached.to(torch.int8).argmax(-1)
