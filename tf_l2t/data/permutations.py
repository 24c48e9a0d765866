"""Seeded permutations, the one root of every order in which examples are read."""

from __future__ import annotations

import numpy as np


def permutation(count: int, seed: int, *key: int) -> np.ndarray:
    """Returns a permutation that is a function of its arguments alone.

    It sorts raw 64-bit draws, because NumPy promises the raw stream of Philox for ever, but may
    change `Generator.permutation` in any release.

    Args:
        count: number of rows to permute.
        seed: a number from 0.
        *key: numbers from 0 that tell apart the permutations of one seed, such as the epoch.

    Returns:
        0..count-1 in a random order, int32 [count], read-only.

    Raises:
        ValueError: the seed is not a whole number from 0.

    Example:
        >>> permutation(3, 1, 0).tolist() == permutation(3, 1, 0).tolist()
        True
    """
    order = np.argsort(_raw(count, seed, key), kind="stable").astype(np.int32)
    order.flags.writeable = False
    return order


def uniform(count: int, seed: int, *key: int) -> np.ndarray:
    """Returns draws that are a function of the arguments alone, like `permutation`.

    Args:
        count: how many.
        seed: a number from 0.
        *key: numbers from 0 that tell apart the draws of one seed.

    Returns:
        Numbers in [0, 1), float64 [count].

    Raises:
        ValueError: the seed is not a whole number from 0.
    """
    # 53 bits are what a float64 holds of them without rounding up to 1.
    return (_raw(count, seed, key) >> np.uint64(11)) * 2.0**-53


def _raw(count: int, seed: int, key: tuple[int, ...]) -> np.ndarray:
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"seed is {seed!r}: give a whole number from 0")
    sequence = np.random.SeedSequence(entropy=int(seed), spawn_key=key)
    return np.random.Philox(sequence).random_raw(count)
