"""Nearest neighbours among features by Euclidean distance, in blocks of constant memory.

It is written by hand because the results must be equal bit for bit in any order of the rows and for any block size,
with an exact copy at distance 0, which no library (faiss, scikit-learn) promises.

Squared distances of all pairs come from matrix products in float64. Distances so close to a bound that rounding could
change a count are computed again from the difference of the two rows.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganrnn.errors import BadInput

BLOCK_PAIRS = 1 << 22  # distances in memory at once: 32 MiB
_GATHERED_PAIRS = 1 << 10  # 16 MiB at 2,048 features
LARGEST = 1e50  # of a feature: its sixth power, which KID computes, is still finite in float64
_ROUNDING = 8 * np.finfo(np.float64).eps  # error of a squared distance, per squared length and dimension


def checked(features: NDArray[Any], name: str, least: int) -> NDArray[np.float64]:
    """Features [N, D] of any real dtype as float64.

    features:  a row for each picture
    name:      names the set in errors
    least:     the smallest allowed N

    Raises BadInput if N is below `least`, D is 0, or a feature is NaN, infinite or beyond 1e50.
    """
    assert features.ndim == 2, features.shape
    if not features.shape[1]:
        raise BadInput(f"{name}: the {len(features)} rows hold 0 features, at least 1 is needed")
    if len(features) < least:
        raise BadInput(f"{name}: {len(features)} rows of features, at least {least} are needed")
    x = features.astype(np.float64)
    finite = np.isfinite(x).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise BadInput(f"{name}: row {row} of {len(x)} holds NaN or infinity, only finite numbers are allowed")
    small = (np.abs(x) <= LARGEST).all(axis=1)
    if not small.all():
        row = int(np.argmin(small))
        raise BadInput(f"{name}: row {row} of {len(x)} holds a feature beyond {LARGEST:g}, too large to compare")
    return x


def require_variance(features: NDArray[np.float64], name: str) -> None:
    """Raises BadInput if all rows of features [N, D] are equal: every distance between them is 0."""
    if (features == features[0]).all():
        raise BadInput(f"{name}: all {len(features)} rows of features are equal, at least 2 have to differ")


def require_same_width(a: NDArray[Any], b: NDArray[Any], what: str) -> None:
    """Raises BadInput if rows of [N, D] and [M, E] differ in length."""
    if a.shape[1] != b.shape[1]:
        raise BadInput(f"{what}: {a.shape[1]} features against {b.shape[1]}, the numbers must be equal")


def distance_blocks(
    queries: NDArray[np.float64], points: NDArray[np.float64]
) -> Iterator[tuple[slice, NDArray[np.float64], NDArray[np.float64]]]:
    """For blocks of the queries [N, D]: their rows, their squared distances [B, M] to the points, and error bounds.

    The error bounds [B, 1] are the largest rounding error of a distance in that row.
    """
    squares = np.einsum("ij,ij->i", points, points)
    rounding = _ROUNDING * points.shape[1]
    rows = max(BLOCK_PAIRS // len(points), 1)
    for start in range(0, len(queries), rows):
        block = slice(start, min(start + rows, len(queries)))
        x = queries[block]
        query_squares = np.einsum("ij,ij->i", x, x)[:, None]
        yield (
            block,
            np.maximum(query_squares + squares - 2 * (x @ points.T), 0.0),
            rounding * (query_squares + squares.max()),
        )


def exact_squares(
    a: NDArray[np.float64], rows: NDArray[np.int64], b: NDArray[np.float64], columns: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Squared distances [P] between a[rows] and b[columns], rows of [N, D] and [M, D]; no pair depends on the others.

    rows, columns:  [P] positions
    """
    squares = np.empty(len(rows))
    for start in range(0, len(rows), _GATHERED_PAIRS):
        pairs = slice(start, start + _GATHERED_PAIRS)
        difference = a[rows[pairs]] - b[columns[pairs]]
        squares[pairs] = (difference * difference).sum(axis=1)
    return squares


def settle(
    distances: NDArray[np.float64],
    bounds: NDArray[np.float64],
    errors: NDArray[np.float64],
    queries: NDArray[np.float64],
    start: int,
    points: NDArray[np.float64],
) -> None:
    """Replace squared distances that rounding could put on the wrong side of a bound by exact ones.

    distances:  [B, M], from the block of queries [N, D] that begins with row `start` to the points [M, D]
    bounds:     [B, 1] or [M], bounds of squared distances
    errors:     [B, 1], distances closer than this to a bound are replaced
    """
    rows, columns = np.nonzero(np.abs(distances - bounds) <= errors)
    distances[rows, columns] = exact_squares(queries, rows + start, points, columns)


def nearest(
    queries: NDArray[np.float64], points: NDArray[np.float64], num_neighbours: int, among_themselves: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Squared distances and positions in `points`, both [N, K], of the K nearest points of each query, nearest first.

    queries:           [N, D]
    points:            [M, D]
    num_neighbours:    K, at least 1
    among_themselves:  the queries are the points, and none is a neighbour of itself

    Raises BadInput if there are fewer than K points to choose from.
    """
    num_points = len(points) - int(among_themselves)
    if not 1 <= num_neighbours <= num_points:
        raise BadInput(
            f"nearest neighbours: num_neighbours is {num_neighbours}, "
            f"allowed are 1 to {num_points} with {len(points)} rows of features"
        )
    squares = np.empty((len(queries), num_neighbours))
    positions = np.empty((len(queries), num_neighbours), np.int64)
    for rows, distances, errors in distance_blocks(queries, points):
        if among_themselves:
            distances[np.arange(len(distances)), np.arange(rows.start, rows.stop)] = np.inf
        kth_distances = np.partition(distances, num_neighbours - 1, axis=1)[:, num_neighbours - 1, None]
        settle(distances, kth_distances, 2 * errors, queries, rows.start, points)
        neighbours = np.argpartition(distances, num_neighbours - 1, axis=1)[:, :num_neighbours]
        query_rows = np.repeat(np.arange(rows.start, rows.stop), num_neighbours)
        exact = exact_squares(queries, query_rows, points, neighbours.ravel()).reshape(neighbours.shape)
        order = np.lexsort((neighbours, exact), axis=1)
        squares[rows] = np.take_along_axis(exact, order, axis=1)
        positions[rows] = np.take_along_axis(neighbours, order, axis=1)
    return squares, positions
