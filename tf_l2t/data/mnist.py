"""The MNIST digits that are part of this package, and data sets published in the same files."""

from __future__ import annotations

import importlib.resources
import os
import pathlib
from collections.abc import Mapping, Sequence

import gin
import numpy as np

from tf_l2t.data.idx import read_idx
from tf_l2t.data.sources import Source, arrays

_SHA256 = {
    "train-images-idx3-ubyte": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}


@gin.register(module="tf_l2t")
def embedded_mnist() -> Source:
    """Reads the MNIST digits that are part of this package; needs no network.

    Returns:
        60,000 training and 10,000 test images, uint8 [28, 28, 1], of the classes "0" to "9".

    Raises:
        ValueError: a file of the package is missing or damaged.

    Example:
        >>> embedded_mnist().input_shape
        (28, 28, 1)
    """
    folder = importlib.resources.files("tf_l2t.data") / "embedded" / "mnist"
    parts = {}
    for stem, sha256 in _SHA256.items():
        with importlib.resources.as_file(folder / f"{stem}.gz") as path:
            parts[stem] = read_idx(path, sha256)
    return _source(parts, None, "mnist")


@gin.register(module="tf_l2t")
def idx_images(
    directory: str | os.PathLike[str], name: str, class_names: Sequence[str] | None = None
) -> Source:
    """Reads a data set in the four files that MNIST is published in, such as Fashion-MNIST.

    Args:
        directory: of train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz,
            t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz.
        name: of the data set, for reports.
        class_names: a name for each class; "0", "1", … if None.

    Returns:
        The training and test images, uint8 [height, width, 1].

    Raises:
        ValueError: a file is missing or damaged, or they do not fit each other.

    Example:
        >>> source = idx_images("fashion", name="fashion_mnist")
    """
    folder = pathlib.Path(directory).expanduser()
    parts = {stem: read_idx(folder / f"{stem}.gz") for stem in _SHA256}
    return _source(parts, class_names, name)


def _source(
    parts: Mapping[str, np.ndarray], class_names: Sequence[str] | None, name: str
) -> Source:
    return arrays(
        parts["train-images-idx3-ubyte"][..., None],
        parts["train-labels-idx1-ubyte"],
        parts["t10k-images-idx3-ubyte"][..., None],
        parts["t10k-labels-idx1-ubyte"],
        class_names=class_names,
        name=name,
    )
