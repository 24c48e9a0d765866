"""A margin between the best candidate and the others, as large as theirs is worse."""

from __future__ import annotations

import gin
import tensorflow as tf

from tf_l2t.checks import positive
from tf_l2t.losses.sequence_loss import SequenceLoss
from tf_l2t.measures.candidates import among_candidates, scored_candidates
from tf_l2t.measures.log_probabilities import of_targets
from tf_l2t.types import Nest, TranslationOutputs, TranslationTargets


@gin.register(module="tf_l2t")
class SoftmaxMargin(SequenceLoss):
    """Cross entropy among the candidates, in which bad ones are pretended to be likelier.

        l(p, y) = -s(u*|x) + log Σ_u exp( s(u|x) + c (1 - BLEU(u, y)) )
        s(u|x) = log p(u|x) / |u|

    u* is the candidate with the largest BLEU, the first of several. The sum is over the distinct
    candidates, u* among them. It is ≥ 0 and counts every sentence alike, however long.

    Args:
        num_candidates: how many candidates it wants, of the student's own, sampled or searched.
        cost_scale: c, > 0, in nats a word; the paper's equation has 1, and the authors' code an
            option for it.
        include_reference: whether the reference is a candidate too, with BLEU 1, and so u*. In
            the paper u* is one of the student's own, the pseudo reference.
        token_weight: w of the words' cross entropy in (1 - w) l + w l_words; 0.4 is what the
            authors' published commands for this loss have.
        label_smoothing: of that cross entropy; theirs is 0.1.

    Raises:
        ValueError: for an argument that makes no sense; when called, without candidates.

    Example:
        >>> loss = SoftmaxMargin(num_candidates=5)

    Edunov et al. (NAACL 2018), "Classical Structured Prediction Losses for Sequence to Sequence
    Learning", equation (7); the same, up to a constant, as their code.
    """

    formula = (
        "l(p, y) = -s(u*) + log sum_u exp(s(u) + cost_scale (1 - BLEU(u, y))); s(u) = log p(u|x) "
        "/ words of u; u* is the candidate of the largest BLEU; then (1 - token_weight) l + "
        "token_weight (cross entropy of a word)"
    )

    def __init__(
        self,
        *,
        num_candidates: int = 5,
        cost_scale: float = 1.0,
        include_reference: bool = False,
        token_weight: float = 0.4,
        label_smoothing: float = 0.1,
    ) -> None:
        super().__init__(
            num_candidates=num_candidates,
            fewest=1 if include_reference else 2,
            token_weight=token_weight,
            label_smoothing=label_smoothing,
        )
        self.cost_scale = positive(
            "SoftmaxMargin", "cost_scale", cost_scale, "use 1.0 for the paper's loss."
        )
        self.include_reference = include_reference

    def of_candidates(
        self, outputs: TranslationOutputs, targets: TranslationTargets, coefficients: Nest
    ) -> tf.Tensor:
        """Returns the loss of every example, [batch], ≥ 0."""
        del coefficients
        proposed = scored_candidates(
            "SoftmaxMargin",
            outputs,
            targets,
            include_reference=self.include_reference,
            distinct=True,
        )
        scores = proposed.log_p / proposed.lengths
        augmented = scores + self.cost_scale * (1 - proposed.scores)
        best = tf.argmax(
            among_candidates(proposed.scores, proposed.counts), axis=-1, output_type=tf.int32
        )
        partition = tf.reduce_logsumexp(among_candidates(augmented, proposed.counts), axis=-1)
        loss = partition - of_targets(scores, best)
        return tf.where(tf.reduce_any(proposed.counts, axis=-1), loss, tf.zeros_like(loss))
