"""The policy gradient of BLEU."""

from __future__ import annotations

import gin
import tensorflow as tf

from tf_l2t.checks import one_of
from tf_l2t.losses.sequence_loss import SequenceLoss
from tf_l2t.measures.candidates import scored_candidates
from tf_l2t.types import Nest, TranslationOutputs, TranslationTargets


@gin.register(module="tf_l2t")
class Reinforce(SequenceLoss):
    """A loss whose gradient is that of minus the expected BLEU of what the student samples.

        l(p, y) = -1/K Σ_u (BLEU(u, y) - b_u) log p(u|x) / n̄

    That holds for samples of the student as it is at this step. Those of `Translation` are of the
    student as it was at the start of the segment, without dropout: keep `Budget.observe_every`
    small. A sample that was drawn twice counts twice, and one that was cut off where it has to end
    counts with that end, which was not drawn. The value means nothing by itself, its
    gradient does. n̄ is the mean length of the references of the batch
    (`TranslationTargets.mean_length`).

    Args:
        num_candidates: K, how many samples it wants of each example.
        baseline: b_u: "others" is the mean BLEU of the other samples, which leaves the
            gradient's mean as it is; "mean" that of all K, which makes it smaller by the factor
            1 - 1/K; "none" is 0, and its gradient has a far larger variance.
        token_weight: w of the words' cross entropy in (1 - w) l + w l_words. Practice mixes the
            two, since the policy gradient alone drifts.
        label_smoothing: of that cross entropy.

    Raises:
        ValueError: for an argument that makes no sense; when called, without candidates.

    Example:
        >>> loss = Reinforce(num_candidates=5)

    Ranzato et al. (ICLR 2016), "Sequence Level Training with Recurrent Neural Networks", section
    3.2, with two differences: their baseline is a regression on the decoder's states, and they
    anneal from cross entropy to this word by word, where here the two have fixed weights.
    """

    formula = (
        "l(p, y) = -1/K sum_u (BLEU(u, y) - b_u) log p(u|x), divided by the mean length of the "
        "references of the batch; then (1 - token_weight) l + token_weight (cross entropy of a "
        "word)"
    )

    def __init__(
        self,
        *,
        num_candidates: int = 5,
        baseline: str = "others",
        token_weight: float = 0.3,
        label_smoothing: float = 0.0,
    ) -> None:
        self.baseline = one_of("Reinforce", "baseline", baseline, ("others", "mean", "none"))
        super().__init__(
            num_candidates=num_candidates,
            fewest=1 if baseline == "none" else 2,
            token_weight=token_weight,
            label_smoothing=label_smoothing,
        )

    def of_candidates(
        self, outputs: TranslationOutputs, targets: TranslationTargets, coefficients: Nest
    ) -> tf.Tensor:
        """Returns the surrogate of every example, [batch]."""
        del coefficients
        samples = scored_candidates(
            "Reinforce", outputs, targets, include_reference=False, distinct=False
        )
        counts = tf.cast(samples.counts, samples.log_p.dtype)
        number = tf.reduce_sum(counts, axis=-1, keepdims=True)
        rewards = counts * samples.scores
        total = tf.reduce_sum(rewards, axis=-1, keepdims=True)
        if self.baseline == "others":
            advantages = rewards - tf.math.divide_no_nan(total - rewards, number - 1)
        elif self.baseline == "mean":
            advantages = rewards - tf.math.divide_no_nan(total, number)
        else:
            advantages = rewards
        gain = tf.reduce_sum(counts * advantages * samples.log_p, axis=-1)
        mean_length = tf.cast(targets.mean_length, gain.dtype)
        return -tf.math.divide_no_nan(gain, number[:, 0]) / mean_length
