"""Mean and standard deviation of the channels of a set of images."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

from tf_l2t.data.stored_images import StoredImages, in_memory

_AT_ONCE = 1000


def channel_statistics(images: np.ndarray | StoredImages) -> tuple[list[float], list[float]]:
    """Returns mean and standard deviation of each channel over all pixels of all images.

        mean_c = E[x_c]        std_c = √E[(x_c - mean_c)²]

    Args:
        images: uint8 in 0..255, which count as 0..1, or float, [examples, height, width, channels];
            twice read in parts where they are stored.

    Returns:
        Two lists of numbers, one a channel, in the units of what `gather` normalises.
    """
    scale = 255 if images.dtype == np.uint8 else 1
    # In parts, since float64 takes eight times the memory of the images.
    rows = np.array_split(np.arange(len(images)), -(-len(images) // _AT_ONCE))
    parts = lambda: (np.asarray(in_memory(images[part[0] : part[-1] + 1])) for part in rows)
    count = math.prod(images.shape[:3])
    mean = sum(part.sum(axis=(0, 1, 2), dtype=np.float64) for part in parts()) / count
    squares = sum(((part - mean) ** 2).sum(axis=(0, 1, 2)) for part in parts()) / count
    return (mean / scale).tolist(), (np.sqrt(squares) / scale).tolist()


def normalisation(
    images: np.ndarray | StoredImages,
    mean: Sequence[float] | str | None,
    std: Sequence[float] | str | None,
) -> tuple[Sequence[float] | None, Sequence[float] | None]:
    """Returns mean and std of each channel, measured on the images where "train" asks for it."""
    measure = functools.cache(lambda: channel_statistics(images))

    def numbers(k: int, name: str, value: Sequence[float] | str | None) -> Sequence[float] | None:
        if not isinstance(value, str):
            return value
        if value != "train":
            raise ValueError(
                f"Classification: {name} must be numbers, one a channel, or 'train', got {value!r}."
            )
        return measure()[k]

    mean, std = numbers(0, "mean", mean), numbers(1, "std", std)
    if std is not None and min(std) <= 0:
        raise ValueError(
            f"Classification: std must be above 0 in every channel, got {list(std)}; a channel "
            "that is the same in every pixel cannot be scaled. Give numbers, or None."
        )
    return mean, std
