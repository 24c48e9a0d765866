"""Mean and standard deviation of the channels of a set of images."""

from __future__ import annotations

import numpy as np

_AT_ONCE = 1000


def channel_statistics(images: np.ndarray) -> tuple[list[float], list[float]]:
    """Returns mean and standard deviation of each channel over all pixels of all images.

        mean_c = E[x_c]        std_c = √E[(x_c - mean_c)²]

    Args:
        images: uint8 in 0..255, which count as 0..1, or float, [examples, height, width, channels].

    Returns:
        Two lists of numbers, one a channel, in the units of what `gather` normalises.
    """
    scale = 255 if images.dtype == np.uint8 else 1
    # In parts, since float64 takes eight times the memory of the images.
    parts = np.array_split(images, -(-len(images) // _AT_ONCE))
    count = images[..., 0].size
    mean = sum(part.sum(axis=(0, 1, 2), dtype=np.float64) for part in parts) / count
    squares = sum(((part - mean) ** 2).sum(axis=(0, 1, 2)) for part in parts) / count
    return (mean / scale).tolist(), (np.sqrt(squares) / scale).tolist()
