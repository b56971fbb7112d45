"""Arithmetic in which the order of a sum changes no bit, for results that must not depend on the batch.

The order in which a kernel adds depends on the shape of the batch, the number of threads and the machine, and a changed
last bit can change a chosen token. Here numbers are rounded to multiples of a power of two before they are multiplied
and added in float64. Below 2^53 such multiples, every product and every partial sum is exact, so that all orders give
the same result. All other operations are elementwise additions, products and quotients, which IEEE 754 rounds the same
on every machine; `exp` consists of them.
"""

import math
from dataclasses import dataclass

import torch
from torch.nn import functional as F

VALUE_BITS = 14  # of an activation, after the binary point
LARGEST_VALUE = 32.0  # activations are clipped to it: 19 bits
WEIGHT_BITS = 18  # of the largest weight of a matrix
MAX_INPUTS = 2**15  # 19 + 18 + 15 bits, and a sign
LOGIT_BITS = 20
LARGEST_LOGIT = 1_000.0
SHARE_BITS = 36  # of a probability, after the binary point; sums of 2^16 of them are exact
MAX_TOKENS = 2**16

LARGEST_EXPONENT = 60.0


@dataclass(frozen=True)
class _Format:
    """Constants of `exp` for a floating-point format; ln2_high has so few bits that its multiples are exact."""

    ln2_high: float
    ln2_low: float
    degree: int
    integer: torch.dtype
    bias: int
    mantissa_bits: int


_FORMATS = {
    torch.float64: _Format(6.93147180369123816490e-01, 1.90821492927058770002e-10, 8, torch.int64, 1023, 52),
    torch.float32: _Format(355 / 512, -2.12194440054690583e-4, 6, torch.int32, 127, 23),
}


def snapped(x: torch.Tensor, bits: int = VALUE_BITS, largest: float = LARGEST_VALUE) -> torch.Tensor:
    """Values rounded to float64 multiples of 2^-bits and clipped to -largest and largest."""
    return x.clamp(-largest, largest).mul_(2.0**bits).round_().mul_(2.0**-bits).double()


class Linear:
    """A matrix float [O, I] and a bias [O] for exact products: `linear(x)` with x [..., I] gives float64 [..., O]."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        assert weight.shape[1] <= MAX_INPUTS, weight.shape
        exponent = math.frexp(max(float(weight.abs().max()), 2.0**-60))[1]
        bits = WEIGHT_BITS - exponent
        self.weight = (weight.double() * 2.0**bits).round() * 2.0**-bits
        grid = bits + VALUE_BITS
        self.bias = None if bias is None else (bias.double() * 2.0**grid).round() * 2.0**-grid
        assert bias is None or float(bias.abs().max()) * 2.0**grid < 2.0**52, "a bias a million times its weights"

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """`x` must be snapped, see `snapped`."""
        return F.linear(x, self.weight, self.bias)


def exp(x: torch.Tensor) -> torch.Tensor:
    """e^x for x clipped to -60 and 60, by operations that round the same on every machine.

    Accurate to nine digits for float64 x, to six for float32.
    """
    constants = _FORMATS[x.dtype]
    r = x.clamp(-LARGEST_EXPONENT, LARGEST_EXPONENT)
    k = (r * (1 / math.log(2))).round_()
    r.sub_(k * constants.ln2_high).sub_(k * constants.ln2_low)
    value = (r * (1 / math.factorial(constants.degree))).add_(1 / math.factorial(constants.degree - 1))
    for power in range(constants.degree - 2, -1, -1):
        value.mul_(r).add_(1 / math.factorial(power))
    two_to_k = k.to(constants.integer).add_(constants.bias).bitwise_left_shift_(constants.mantissa_bits).view(x.dtype)
    return value.mul_(two_to_k)


def sigmoid(x: torch.Tensor) -> torch.Tensor:
    """1 / (1 + e^-x) in float32, to be snapped to few bits."""
    return exp(-x.float()).add_(1.0).reciprocal_()


def log(x: torch.Tensor) -> torch.Tensor:
    """log of float64 x > 0 (no denormals) to 1e-12, by operations that round the same on every machine."""
    mantissa, exponent = torch.frexp(x)
    s = (mantissa - math.sqrt(0.5)) / (mantissa + math.sqrt(0.5))
    square = s * s
    value = torch.full_like(s, 1 / 13)
    for power in range(11, 0, -2):
        value = value * square + 1 / power
    return 2.0 * s * value + (exponent.double() - 0.5) * math.log(2)


def tanh(x: torch.Tensor) -> torch.Tensor:
    """(e^2x - 1) / (e^2x + 1) in float32, to be snapped to few bits."""
    return sigmoid(2.0 * x).mul_(2.0).sub_(1.0)


def shares(logits: torch.Tensor) -> torch.Tensor:
    """e^(logit - max) of each row [N, K], in multiples of 2^-36, so that their sums are exact; 0 for -inf."""
    assert logits.shape[-1] <= MAX_TOKENS, logits.shape
    return snapped(exp(logits - logits.amax(-1, keepdim=True)), SHARE_BITS, 1.0)


def softmax(logits: torch.Tensor) -> torch.Tensor:
    """Softmax of each row [..., K]."""
    weights = shares(logits)
    return weights / weights.sum(-1, keepdim=True)


def log_sum(logits: torch.Tensor) -> torch.Tensor:
    """log of the sum of e^logit of each row [N, K], float64 [N], a multiple of 2^-20."""
    sums = shares(logits).sum(-1)
    logs = torch.tensor([math.log(value) for value in sums.tolist()], dtype=torch.float64, device=logits.device)
    return snapped(logs + logits.amax(-1), LOGIT_BITS, LARGEST_LOGIT)


def snapped_logits(logits: torch.Tensor) -> torch.Tensor:
    """Logits rounded to multiples of 2^-20 and clipped to -1000 and 1000; -inf stays."""
    return torch.where(logits.isneginf(), logits, snapped(logits, LOGIT_BITS, LARGEST_LOGIT))


def ranks(logits: torch.Tensor) -> torch.Tensor:
    """Distinct sort keys float64 [N, K] of snapped logits [N, K]; of equal logits the first has the larger key.

    With them the results of `topk` and `argmax` are unique.
    """
    num = logits.shape[-1]
    assert num <= MAX_TOKENS, num
    tie_break = torch.arange(num - 1, -1, -1, dtype=torch.float64, device=logits.device)
    return logits * 2.0**LOGIT_BITS * MAX_TOKENS + tie_break


def sampled_indices(weights: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Indices int64 [N] sampled from weights [N, K], multiples of 2^-36 and not all 0, by u [N], 0 to 1."""
    sums = weights.cumsum(-1)
    is_reached = sums > u[:, None] * sums[:, -1:]
    return is_reached.to(torch.int8).argmax(-1)
