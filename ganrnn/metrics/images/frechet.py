"""Fréchet distance between two sets of features: `frechet_distance(Moments of samples, Moments of reference)`.

Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium". The distance is
FID only for the features of the reference Inception network.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from ganrnn.errors import BadInput
from ganrnn.metrics.statistics.moments import Moments

# Bound of the reciprocal condition number, per dimension: below it eigenvectors are used instead of Cholesky's factor.
_SINGULAR = 1_000 * torch.finfo(torch.float64).eps
_NUM_PROBES, _SEED = 4, 20_260_101


def frechet_distance(a: Moments, b: Moments) -> float:
    """|mean_a - mean_b|^2 + trace(A + B - 2 (A B)^(1/2)) for the covariances A and B; symmetric and never negative.

    a, b:  moments of the same D features, each of at least 2 samples

    The result is exactly 0 for equal means and covariances, and bitwise symmetric unless both sets have the same count
    and the same total variance. At D = 2048 it takes one second on one core, and five if a covariance is singular.

    Raises BadInput when a count is below 2, the numbers of features differ, or moments are too large for float64.
    """
    for side, moments in (("first", a), ("second", b)):
        if moments.count < 2:
            raise BadInput(f"Fréchet distance: the {side} set has {moments.count} samples, at least 2 are needed")
    if a.mean.shape != b.mean.shape:
        raise BadInput(f"Fréchet distance: {len(a.mean)} features against {len(b.mean)}, the numbers must be equal")
    for side, moments in (("first", a), ("second", b)):
        if not (np.isfinite(moments.mean).all() and np.isfinite(moments.scatter).all()):
            raise BadInput(
                f"Fréchet distance: moments of the {side} set hold NaN or infinity, its features are too large"
            )
    low, high = sorted((a, b), key=lambda moments: (moments.count, float(np.trace(moments.scatter))))
    small, large = low.covariance(), high.covariance()
    difference = a.mean - b.mean
    if not difference.any() and np.array_equal(small, large):
        return 0.0
    traces = float(np.trace(small) + np.trace(large))
    return max(float(difference @ difference) + traces - 2.0 * _trace_of_root(small, large), 0.0)


def _trace_of_root(small: NDArray[np.float64], large: NDArray[np.float64]) -> float:
    """trace((A B)^(1/2)) of covariances [D, D]: the sum of the singular values of P^T R, where A = P P^T and B = R R^T.

    P and R may be any roots; Cholesky's factor costs a tenth of the eigenvectors. If both matrices are regular, the
    square roots of the eigenvalues of P^T B P are the same numbers at lower cost. In a null space, eigenvalues are
    rounding noise of about 1e-16, whose square roots of 1e-8 add up over the dimensions; singular values stay at the
    size of the noise.
    """
    # torch.tensor copies to memory aligned to 64 bytes; otherwise the last bits would change from run to run.
    matrices = [torch.tensor(matrix) for matrix in (small, large)]
    factors = [_regular_factor(matrix) for matrix in matrices]
    if factors[0] is not None and factors[1] is not None:
        product = factors[0].T @ matrices[1] @ factors[0]
        return float(torch.linalg.eigvalsh((product + product.T) / 2).clamp_min(0).sqrt().sum())
    roots = [_root_of_range(m) if f is None else f for m, f in zip(matrices, factors, strict=True)]
    # numpy's svd: torch's fails on some matrices with mostly zero rows, such as covariances of fingerprints.
    return float(np.linalg.svd((roots[0].T @ roots[1]).numpy(), compute_uv=False).sum())


def _regular_factor(matrix: torch.Tensor) -> torch.Tensor | None:
    """Cholesky's lower factor of a covariance [D, D]; None if the covariance is singular or nearly singular.

    The smallest eigenvalue is estimated from how much the inverse stretches random vectors.
    """
    factor, failed_at = torch.linalg.cholesky_ex(matrix)
    if failed_at:
        return None
    generator = torch.Generator().manual_seed(_SEED)
    probes = torch.randn(len(matrix), _NUM_PROBES, generator=generator, dtype=torch.float64)
    lengths = torch.linalg.vector_norm(torch.cholesky_solve(probes, factor), dim=0)
    condition = float((lengths / torch.linalg.vector_norm(probes, dim=0)).max() * torch.linalg.matrix_norm(matrix))
    return factor if condition * len(matrix) * _SINGULAR < 1 else None


def _root_of_range(matrix: torch.Tensor) -> torch.Tensor:
    """R [D, K] with R R^T = a covariance [D, D] of rank K."""
    eigenvalues, vectors = (torch.tensor(result) for result in np.linalg.eigh(matrix.numpy()))
    is_positive = eigenvalues > eigenvalues[-1].clamp_min(0) * len(matrix) * torch.finfo(matrix.dtype).eps
    return vectors[:, is_positive] * eigenvalues[is_positive].sqrt()
