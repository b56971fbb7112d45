"""R-precision: whether an image retrieves its caption: `is_retrieved_among_captions`, then `wilson_interval`.

Xu et al. 2018, "AttnGAN": 1 true caption against num_candidates - 1 (99 in the paper) others, by cosine similarity.
Chance is 1 / num_candidates. The distractors of a sample depend on (seed, sample id) and the set of captions alone.
"""

from collections.abc import Sequence
from hashlib import shake_128
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganrnn.errors import BadInput

_CHUNK_ROWS = 64  # bounds the gathered embeddings: 13 MB at 100 candidates and 256 dimensions


def candidate_indices(
    caption_keys: Sequence[str],
    sample_ids: Sequence[str],
    true_indices: NDArray[np.int64],
    num_candidates: int,
    seed: int,
) -> NDArray[np.int64]:
    """The true caption of each sample, then num_candidates - 1 distinct others, drawn uniformly.

    caption_keys:    [K] distinct captions, in any order
    sample_ids:      [N] ids
    true_indices:    [N] positions in caption_keys of each sample's true caption
    num_candidates:  C, true caption included, at least 2

    Returns positions in caption_keys, [N, C]. Raises BadInput if C is below 2 or above K, or a key occurs twice.
    """
    num_captions = len(caption_keys)
    if len(set(caption_keys)) != num_captions:
        repeats = num_captions - len(set(caption_keys))
        raise BadInput(f"R-precision: {repeats} of {num_captions} captions are repeats, they must be distinct")
    if not 2 <= num_candidates <= num_captions:
        raise BadInput(
            f"R-precision: num_candidates is {num_candidates}, allowed are 2 to {num_captions}, the distinct captions"
        )
    assert len(sample_ids) == len(true_indices), (len(sample_ids), len(true_indices))
    by_rank = np.array(sorted(range(num_captions), key=caption_keys.__getitem__), np.int64)
    rank_of = np.argsort(by_rank)
    num_drawn = num_candidates - 1
    stream = b"".join(shake_128(f"{seed}/{sample_id}".encode()).digest(8 * num_drawn) for sample_id in sample_ids)
    bits = np.frombuffer(stream, "<u8").reshape(len(sample_ids), num_drawn)
    # Floyd's sampling without replacement (Bentley & Floyd 1987) from the ranks of the other captions.
    ranks = np.empty((len(sample_ids), num_drawn), np.int64)
    for column, newest in enumerate(range(num_captions - num_candidates, num_captions - 1)):
        pick = (bits[:, column] % np.uint64(newest + 1)).astype(np.int64)
        is_repeat = (ranks[:, :column] == pick[:, None]).any(axis=1)
        ranks[:, column] = np.where(is_repeat, newest, pick)
    ranks += ranks >= rank_of[true_indices][:, None]
    return np.concatenate((true_indices[:, None], by_rank[ranks]), axis=1)


def is_retrieved(
    true_similarities: NDArray[np.float64], distractor_similarities: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether the true caption [N] is strictly more similar than all its distractors [N, C - 1]; a tie is a miss.

    Constant embeddings thus score 0, and NaN is a miss.
    """
    best_distractor: NDArray[np.float64] = distractor_similarities.max(axis=1)
    return true_similarities > best_distractor


def is_retrieved_among_captions(
    image_embeddings: NDArray[Any], text_embeddings: NDArray[Any], candidates: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether each image retrieves its true caption; the mean is the R-precision.

    image_embeddings:  [N, E] of the samples
    text_embeddings:   [K, E] of the distinct captions
    candidates:        [N, C] positions among the captions, the true one first, from `candidate_indices`

    Returns [N] bool, each row independent of the other rows. Raises BadInput if the widths of the embeddings differ.
    """
    if image_embeddings.shape[1] != text_embeddings.shape[1]:
        raise BadInput(
            f"R-precision: embeddings of images are {image_embeddings.shape[1]} wide, "
            f"those of captions {text_embeddings.shape[1]}, the numbers must be equal"
        )
    assert len(candidates) == len(image_embeddings), (len(candidates), len(image_embeddings))
    images, texts = _unit_rows(image_embeddings), _unit_rows(text_embeddings)
    hits = np.empty(len(images), np.bool_)
    for start in range(0, len(images), _CHUNK_ROWS):
        rows = slice(start, start + _CHUNK_ROWS)
        # Sums per row instead of a matrix product, whose last bits depend on the other rows: equal captions must tie.
        similarities = (images[rows, None, :] * texts[candidates[rows]]).sum(axis=2)
        hits[rows] = is_retrieved(similarities[:, 0], similarities[:, 1:])
    return hits


def _unit_rows(embeddings: NDArray[Any]) -> NDArray[np.float64]:
    """Rows scaled to length 1 in float64; a zero row stays zero."""
    rows = embeddings.astype(np.float64)
    norms = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    unit: NDArray[np.float64] = rows / np.where(norms > 0, norms, 1.0)
    return unit
