"""Training images that are drawn anew at each step, as functions of (seed, t)."""

from __future__ import annotations

import abc
from typing import Any

import gin
import tensorflow as tf

from tf_l2t.checks import one_of, whole_number
from tf_l2t.types import Nest

_FILLS = {"zeros": "CONSTANT", "reflection": "REFLECT"}


class Augmentation(abc.ABC):
    """Changes the images of a training batch; what it draws is apart from what it does with it.

    The draws of a part of a batch are a part of the draws of the batch, so that an example is
    changed in the same way however a batch is split. Attributes of a subclass must be JSON values:
    results.json says them.
    """

    @abc.abstractmethod
    def draw(self, seed: tf.Tensor, count: int) -> Nest:
        """Draws what is to be done to a batch.

        Args:
            seed: int32 [2]; the draws are a function of it alone.
            count: examples of the batch.

        Returns:
            Tensors of the shape [count, ...].
        """

    @abc.abstractmethod
    def __call__(self, images: tf.Tensor, draws: Nest) -> tf.Tensor:
        """Returns the images as they were drawn.

        Args:
            images: normalised, [examples, height, width, channels].
            draws: of these examples, [examples, ...].
        """

    def check(self, input_shape: tuple[int, ...]) -> None:
        """Raises ValueError if images of this shape, without the batch, cannot be changed so."""
        del input_shape

    def describe(self) -> dict[str, Any]:
        """Returns name and arguments, as results.json says them."""
        return {"name": type(self).__name__, **vars(self)}


@gin.register(module="tf_l2t")
class CropAndFlip(Augmentation):
    """Crops the padded image at a random place, and mirrors half of the images.

    Images are padded after their normalisation. So the zeros of the border are pixels of the mean
    colour, as in the code of He et al. and of Huang et al.; black ones would be another thing.
    Zagoruyko & Komodakis fill the border with the image's reflection.

    Args:
        padding: pixels on each side; the crop has the size of the image.
        flip: whether every second image, on average, is mirrored from left to right.
        fill: what the border holds, "zeros" or "reflection".

    Raises:
        ValueError: for a padding below 0 or another fill; from `check` for a reflection that is
            wider than the image allows.

    Example:
        >>> augment = CropAndFlip(padding=4)
        >>> changed = augment(images, augment.draw(tf.constant([seed, t]), images.shape[0]))

    He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016), section 4.2.
    """

    def __init__(self, padding: int = 4, flip: bool = True, fill: str = "zeros") -> None:
        self.padding = whole_number("CropAndFlip", "padding", padding, 0)
        self.flip = bool(flip)
        self.fill = one_of("CropAndFlip", "fill", fill, tuple(_FILLS))

    def draw(self, seed: tf.Tensor, count: int) -> dict[str, tf.Tensor]:
        def uniform(key: int, shape: list[int], limit: int) -> tf.Tensor:
            # The generator is named, since XLA has another default.
            return tf.random.stateless_uniform(
                shape,
                tf.random.experimental.stateless_fold_in(seed, key),
                minval=0,
                maxval=limit,
                dtype=tf.int32,
                alg="philox",
            )

        corner = uniform(0, [count, 2], 2 * self.padding + 1)
        mirrored = uniform(1, [count], 2) if self.flip else tf.zeros([count], tf.int32)
        return {"corner": corner, "mirrored": mirrored}

    def __call__(self, images: tf.Tensor, draws: dict[str, tf.Tensor]) -> tf.Tensor:
        height, width = images.shape[1:3]
        border = [[0, 0], [self.padding] * 2, [self.padding] * 2, [0, 0]]
        padded = tf.pad(images, border, _FILLS[self.fill])
        top, left = tf.unstack(draws["corner"][..., None], axis=1)
        columns = tf.where(
            draws["mirrored"][:, None] > 0, tf.range(width)[::-1][None], tf.range(width)[None]
        )
        rows = tf.gather(padded, top + tf.range(height)[None], axis=1, batch_dims=1)
        return tf.gather(rows, left + columns, axis=2, batch_dims=1)

    def check(self, input_shape: tuple[int, ...]) -> None:
        if self.fill == "reflection" and self.padding >= min(input_shape[:2]):
            raise ValueError(
                f"CropAndFlip: padding={self.padding} has no reflection in images of "
                f"{input_shape[0]}x{input_shape[1]}; lower it, or fill='zeros'."
            )
