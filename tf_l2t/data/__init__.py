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
from tf_l2t.data.encoded_pairs import EncodedPairs, encode_pairs
from tf_l2t.data.idx import read_idx
from tf_l2t.data.mnist import embedded_mnist, idx_images
from tf_l2t.data.moses import moses, moses_detokenized, moses_tokenized
from tf_l2t.data.multi30k_text import multi30k
from tf_l2t.data.parallel_text import Pairs, ParallelText, aligned_files
from tf_l2t.data.sources import Source, arrays
from tf_l2t.data.splits import Examples, Splits, split
from tf_l2t.data.stored_images import StoredImages
from tf_l2t.data.subwords import Subwords, train_subwords
from tf_l2t.data.text_encoders import TextEncoder
from tf_l2t.data.tfds_random_access import tfds_random_access
from tf_l2t.data.tfds_source import DatasetUnavailableError, tfds_images
from tf_l2t.data.tfds_text_source import iwslt14, tfds_text
from tf_l2t.data.token_batches import TokenBatches
from tf_l2t.data.words import Words, count_words

__all__ = [
    "CIFAR10_PAIRS",
    "MNIST_PAIRS",
    "Augmentation",
    "BatchIndices",
    "Corruption",
    "CropAndFlip",
    "DatasetUnavailableError",
    "EncodedPairs",
    "Examples",
    "LongTail",
    "PairFlips",
    "Pairs",
    "ParallelText",
    "Source",
    "Splits",
    "StoredImages",
    "Subwords",
    "TextEncoder",
    "TokenBatches",
    "UniformFlips",
    "Words",
    "aligned_files",
    "arrays",
    "channel_statistics",
    "count_words",
    "embedded_mnist",
    "encode_pairs",
    "gather",
    "idx_images",
    "iwslt14",
    "moses",
    "moses_detokenized",
    "moses_tokenized",
    "multi30k",
    "normalisation",
    "read_idx",
    "split",
    "tfds_images",
    "tfds_random_access",
    "tfds_text",
    "train_subwords",
]
