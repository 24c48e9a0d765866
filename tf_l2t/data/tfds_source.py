"""Any image classification dataset of TensorFlow Datasets as a source."""

from __future__ import annotations

import os
import pathlib
import socket
import urllib.parse
import urllib.request
from collections.abc import Iterable
from typing import Any

import gin
import numpy as np

from tf_l2t.data.sources import Source, arrays

OTHER = "choose another dataset, or give your own arrays to tf_l2t.data.arrays"
_LONGEST_CAUSE = 1000


class DatasetUnavailableError(RuntimeError):
    """A dataset cannot be had: unknown, not on this machine, or not what is needed."""


@gin.register(module="tf_l2t")
def tfds_images(name: str, data_dir: str | os.PathLike[str] | None = None) -> Source:
    """Reads the splits `train` and `test` of a TFDS dataset into memory.

    A dataset that is not prepared in `data_dir` is downloaded and prepared there first.

    Args:
        name: builder of labelled images of one size, such as "mnist", "fashion_mnist", "cifar10"
            or "cifar100"; a config and a version may follow, as "name/config:1.0.0".
        data_dir: folder of prepared datasets; None is that of TFDS, ~/tensorflow_datasets.

    Returns:
        The images and labels in the order that TFDS stores them in.

    Raises:
        DatasetUnavailableError: there is no such builder, the dataset is neither prepared nor
            to be downloaded, cannot be read, or has no splits, images and labels of this kind.

    Example:
        >>> source = tfds_images("cifar10")
    """
    where, builder = prepared_images(name, data_dir)
    try:
        return arrays(
            *_read(where, builder, "train"),
            *_read(where, builder, "test"),
            class_names=getattr(builder.info.features["label"], "names", None),
            name=builder.name,
        )
    except ValueError as error:
        raise unavailable(where, "is not usable", OTHER, error) from error


def prepared_images(
    name: str, data_dir: str | os.PathLike[str] | None, file_format: str | None = None
) -> tuple[str, Any]:
    """Returns what to call a dataset of labelled images in messages, and its builder, prepared.

    Args:
        name: of the builder.
        data_dir: folder of prepared datasets.
        file_format: to prepare the data in where it is not prepared; that of TFDS if None.

    Raises:
        DatasetUnavailableError: see `tfds_images`.
    """
    where, builder = find(name, data_dir)
    _check_features(where, builder.info.features)
    if not builder.info.splits:
        if file_format is not None:
            where, builder = find(name, data_dir, file_format=file_format)
        prepare(where, builder)
    missing = sorted({"train", "test"} - set(builder.info.splits))
    if missing:
        what = f"has no split {' and no '.join(missing)}, only {sorted(builder.info.splits)}"
        raise unavailable(where, what, OTHER)
    return where, builder


def find(name: str, data_dir: str | os.PathLike[str] | None, **settings: Any) -> tuple[str, Any]:
    """Returns what to call a TFDS dataset in messages, and its builder.

    Args:
        name: of the builder.
        data_dir: folder of prepared datasets.
        settings: further arguments of `tfds.builder`.

    Raises:
        DatasetUnavailableError: there is none.
    """
    import tensorflow_datasets as tfds

    where = f"TFDS dataset name={name!r}, data_dir={data_dir and str(data_dir)!r}"
    folder = None if data_dir is None else os.path.expanduser(data_dir)
    try:
        builder = tfds.builder(name, data_dir=folder, **settings)
        builder.info.features  # noqa: B018  # what it reads may be damaged
    except Exception as error:
        remedy = (
            "correct the name (https://www.tensorflow.org/datasets/catalog lists them), or import "
            "the module that defines the builder"
        )
        raise unavailable(where, "cannot be found or set up", remedy, error) from error
    return where, builder


def _check_features(where: str, features: Any) -> None:
    """Refuses, before any download, a dataset without images of one size and labels."""
    keys = sorted(features) if hasattr(features, "keys") else []
    missing = [key for key in ("image", "label") if key not in keys]
    if missing:
        what = f"has no feature {' and no '.join(missing)}, only {keys}"
        raise unavailable(where, what, OTHER)
    shape = tuple(features["image"].shape)
    if len(shape) != 3 or None in shape:
        what = f"has images of the shape {shape}, not of one fixed size"
        raise unavailable(where, what, f"resize them beforehand, {OTHER}")


def prepare(
    where: str,
    builder: Any,
    urls: Iterable[str] | None = None,
    manual_dir: pathlib.Path | None = None,
    remedy: str = (
        "connect to the network, or prepare the dataset on a machine that has one (tfds.load "
        "does), copy its folder here, and name the folder in data_dir"
    ),
) -> None:
    """Downloads and prepares a TFDS dataset.

    Args:
        where: what `find` calls it.
        builder: its builder.
        urls: what it downloads; None for what the builder says.
        manual_dir: folder of what cannot be downloaded; None is that of TFDS.
        remedy: the end of the message if it cannot be done.

    Raises:
        DatasetUnavailableError: it cannot be done.
    """
    import tensorflow_datasets as tfds

    try:
        _check_hosts(builder, (builder.url_infos or ()) if urls is None else urls)
        # Without network, a look at Google's bucket of prepared datasets costs minutes as well.
        config = tfds.download.DownloadConfig(try_download_gcs=False, manual_dir=manual_dir)
        builder.download_and_prepare(download_config=config)
    except Exception as error:
        what = "is not prepared, and cannot be downloaded or prepared"
        raise unavailable(where, what, remedy, error) from error


def _check_hosts(builder: Any, urls: Iterable[str]) -> None:
    """Looks the hosts up: TFDS itself tries each address again for minutes before it gives up."""
    downloads = (
        pathlib.Path(builder.data_dir)
        .parents[2 if builder.builder_config else 1]
        .joinpath("downloads", builder.name)
    )
    proxies = urllib.request.getproxies().keys() - {"no"}
    if proxies or any(downloads.glob("*.INFO")):
        return  # a proxy looks names up itself, and what is downloaded already needs no host
    for host in sorted({str(urllib.parse.urlsplit(url).hostname) for url in urls}):
        try:
            socket.getaddrinfo(host, None)
        except OSError as error:
            raise ConnectionError(f"{host}: {error.strerror or error}") from error


def _read(where: str, builder: Any, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the images and labels of a split, in the stored order."""
    import tensorflow_datasets as tfds

    try:
        examples = builder.as_dataset(split=split, batch_size=1000, shuffle_files=False)
        pairs = examples.map(lambda example: (example["image"], example["label"]))
        images, labels = zip(*tfds.as_numpy(pairs), strict=True)
        return np.concatenate(images), np.concatenate(labels)
    except Exception as error:
        what = f"has a split {split} that cannot be read"
        remedy = f"delete the folder {builder.data_dir}, so that it is prepared again"
        raise unavailable(where, what, remedy, error) from error


def unavailable(
    where: str, what: str, remedy: str, cause: Exception | None = None
) -> DatasetUnavailableError:
    """Returns the one error of this module; of its cause it gives the first line alone."""
    because = ""
    if cause is not None:
        line = str(cause).strip().partition("\n")[0]
        because = f" ({type(cause).__name__}: {line[:_LONGEST_CAUSE]})"
    return DatasetUnavailableError(f"{where} {what}{because}: {remedy}")
