"""A source that a configuration imports where MNIST would take too long to load."""

import gin
import numpy as np

from tf_l2t.data import Source, arrays


@gin.register(module="tests")
def small_images() -> Source:
    """Returns 800 random images of three classes that differ in their mean."""
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 3, 800)
    images = draw.integers(0, 100, (800, 8, 8, 1)) + 50 * labels[:, None, None, None]
    images = images.astype(np.uint8)
    return arrays(images[:600], labels[:600], images[600:], labels[600:], name="small")
