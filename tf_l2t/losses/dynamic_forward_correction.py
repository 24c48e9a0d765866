"""Forward correction whose transition matrix a teacher sets."""

from __future__ import annotations

import math

import gin
import tensorflow as tf

from tf_l2t.checks import part
from tf_l2t.losses.base import Loss, coefficient
from tf_l2t.losses.forward_correction import through_noise
from tf_l2t.measures.log_probabilities import log_probabilities
from tf_l2t.types import Nest, Outputs


@gin.register(module="tf_l2t")
class DynamicForwardCorrection(Loss):
    """A taught loss: cross entropy through noise that a teacher makes out.

        l_Φ(p, y) = -log Σ_i p_i T[i, y],    T[i, ·] = r e_i + (1 - r) softmax(Φ[i, ·])

    T[i, j] stands for P(label j | class i). The teacher is not told what the noise is: it finds
    the matrix whose students do best on clean dev data. With Φ = d·I, d large, the loss is cross
    entropy, and it takes the same learning rates: bind `attention_teacher.diagonal = 5.0` and
    `off_diagonal = 0.0`, since the defaults are for `DynamicBilinear`. Unlike that it is bounded
    below for any Φ, which keeps students away from the edge of stability.

    Where a matrix says that more than half of a class has another's label, students may as well
    take the one for the other, and then lose a class: r = 0.5 rules that out.

    Args:
        least_right: r, the part of each class whose labels are right whatever Φ is, in [0, 1).

    Raises:
        ValueError: least_right is outside [0, 1); when called, if Φ is missing or its shape is not that of the logits' classes.

    Example:
        >>> outputs = Outputs(tf.constant([[0.0, 0.0]]))
        >>> loss = DynamicForwardCorrection()
        >>> loss(outputs, tf.constant([1]), {"phi": 5.0 * tf.eye(2)})  # [0.693]

    The loss is that of Patrini et al. (CVPR 2017), theorem 2, with the matrix set as the
    coefficients of L2T-DLF (Wu et al., NeurIPS 2018) are.
    """

    formula = (
        "l(p, y) = -log sum_i p_i T[i, y]; T[i, j] = r 1[i = j] + (1 - r) softmax over j of "
        "phi[i, j]; r is least_right; p = softmax(logits); y is the label"
    )

    def __init__(self, *, least_right: float = 0.0) -> None:
        self.least_right = part("DynamicForwardCorrection", "least_right", least_right)

    def coefficient_shapes(self, num_classes: int) -> dict[str, tuple[int, ...]]:
        """Returns {"phi": (C, C)}."""
        return {"phi": (num_classes, num_classes)}

    def __call__(self, outputs: Outputs, targets: tf.Tensor, coefficients: Nest) -> tf.Tensor:
        """Returns the loss of every example, [batch], ≥ 0; the coefficient is Φ."""
        logits = outputs.logits
        phi = coefficient(self, "phi", coefficients, logits)
        log_of_label = tf.transpose(self._log_transition(phi))
        return through_noise(log_probabilities(logits), log_of_label, targets)

    def transition_matrix(self, phi: tf.Tensor) -> tf.Tensor:
        """Returns T of Φ, [C, C]; each row sums to 1."""
        return tf.exp(self._log_transition(phi))

    def _log_transition(self, phi: tf.Tensor) -> tf.Tensor:
        log_p = tf.nn.log_softmax(phi)
        if not self.least_right:
            return log_p
        log_p += math.log(1 - self.least_right)
        diagonal = tf.linalg.diag_part(log_p)
        sure = tf.fill(tf.shape(diagonal), tf.constant(math.log(self.least_right), log_p.dtype))
        return tf.linalg.set_diag(log_p, tf.reduce_logsumexp(tf.stack([diagonal, sure]), axis=0))
