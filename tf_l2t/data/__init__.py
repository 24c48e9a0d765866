"""Sources of examples, and seeded batches of them that can be replayed."""

from tf_l2t.data.augmentation import Augmentation, CropAndFlip
from tf_l2t.data.batches import BatchIndices, gather
from tf_l2t.data.channel_statistics import channel_statistics, normalisation
from tf_l2t.data.corruptions import (
    CIFAR10_PAIRS,
    MNIST_PAIRS,
    Corruption,
    LongTail,
    PairFlips,
    UniformFlips,
)
from tf_l2t.data.idx import read_idx
from tf_l2t.data.mnist import embedded_mnist, idx_images
from tf_l2t.data.sources import Source, arrays
from tf_l2t.data.splits import Examples, Splits, split
from tf_l2t.data.stored_images import StoredImages
from tf_l2t.data.tfds_random_access import tfds_random_access
from tf_l2t.data.tfds_source import DatasetUnavailableError, tfds_images

__all__ = [
    "CIFAR10_PAIRS",
    "MNIST_PAIRS",
    "Augmentation",
    "BatchIndices",
    "Corruption",
    "CropAndFlip",
    "DatasetUnavailableError",
    "Examples",
    "LongTail",
    "PairFlips",
    "Source",
    "Splits",
    "StoredImages",
    "UniformFlips",
    "arrays",
    "channel_statistics",
    "embedded_mnist",
    "gather",
    "idx_images",
    "normalisation",
    "read_idx",
    "split",
    "tfds_images",
    "tfds_random_access",
]
