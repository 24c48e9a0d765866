"""An image classification dataset of TensorFlow Datasets that is too large for memory."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from typing import Any

import gin
import numpy as np
import tensorflow as tf

from tf_l2t.data.sources import Source, arrays
from tf_l2t.data.stored_images import StoredImages
from tf_l2t.data.tfds_source import OTHER, DatasetUnavailableError, prepared_images, unavailable

_FORMAT = "array_record"
_AT_ONCE = 1000


@gin.register(module="tf_l2t")
def tfds_random_access(name: str, data_dir: str | os.PathLike[str] | None = None) -> Source:
    """Opens the splits `train` and `test` of a TFDS dataset in ArrayRecord files.

    Images are read and decoded when a batch asks for them; the values are those that
    `tfds_images` holds in memory. All records are read once here, for the labels, which stay in
    memory, and for the digest. A dataset that is not prepared in `data_dir` is downloaded and
    prepared there first, as ArrayRecord files.

    Args:
        name: builder of labelled images of one size; a config and a version may follow, as
            "name/config:1.0.0".
        data_dir: folder of prepared datasets; None is that of TFDS, ~/tensorflow_datasets.

    Returns:
        Images and labels in the order that TFDS stores them in.

    Raises:
        DatasetUnavailableError: as `tfds_images`; also if the dataset is prepared in files without
            random access, or the package array_record is not installed.

    Example:
        >>> source = tfds_random_access("cifar10")
    """
    if importlib.util.find_spec(_FORMAT) is None:
        raise DatasetUnavailableError(
            f"TFDS dataset name={name!r} cannot be read by random access without the package "
            "array_record: install it (pip install array_record), or use tfds_images"
        )
    where, builder = prepared_images(name, data_dir, _FORMAT)
    try:
        return arrays(
            *_open(where, builder, "train"),
            *_open(where, builder, "test"),
            class_names=getattr(builder.info.features["label"], "names", None),
            name=builder.name,
        )
    except ValueError as error:
        raise unavailable(where, "is not usable", OTHER, error) from error


def _open(where: str, builder: Any, split: str) -> tuple[StoredImages, np.ndarray]:
    """Returns the images and labels of a split, after all its records were read."""
    import tensorflow_datasets as tfds

    raw = tfds.decode.DeserializeMethod.RAW_BYTES
    part = lambda name: tfds.decode.PartialDecoding({name: True}).extract_features(
        builder.info.features
    )
    image, label = part("image"), part("label")
    try:
        records = builder.as_data_source(split, deserialize_method=raw)
    except NotImplementedError as error:
        remedy = (
            f"convert it (tfds convert_format --dataset_version_dir={builder.data_dir} "
            f"--out_file_format={_FORMAT}), name another data_dir, or use tfds_images"
        )
        raise unavailable(where, "is prepared in files without random access", remedy) from error
    try:
        labels, digest = _read_labels(records, label)
    except Exception as error:
        what = f"has a split {split} that cannot be read"
        remedy = f"delete the folder {builder.data_dir}, so that it is prepared again"
        raise unavailable(where, what, remedy, error) from error
    images = StoredImages(
        fetch=lambda rows: records.__getitems__(rows.tolist()),
        decode=lambda record: image.deserialize_example(record)["image"],
        shape=(len(labels), *image["image"].shape),
        dtype=image["image"].np_dtype,
        digest=digest,
    )
    return images, labels


def _read_labels(records: Any, features: Any) -> tuple[np.ndarray, str]:
    """Returns the label of every record, and the SHA-256 of all of them."""
    parse = tf.function(
        lambda some: tf.map_fn(
            lambda record: features.deserialize_example(record)["label"],
            some,
            fn_output_signature=features["label"].tf_dtype,
        ),
        input_signature=[tf.TensorSpec([None], tf.string)],
    )
    state, labels = hashlib.sha256(), []
    for start in range(0, len(records), _AT_ONCE):
        some = records.__getitems__(list(range(start, min(start + _AT_ONCE, len(records)))))
        for record in some:
            state.update(len(record).to_bytes(8, "little") + record)
        labels.append(parse(tf.constant(some)).numpy())
    return np.concatenate(labels), state.hexdigest()
