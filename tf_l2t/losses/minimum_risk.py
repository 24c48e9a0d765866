"""Minimum risk training: the expected cost of a student's own translations."""

from __future__ import annotations

import gin
import tensorflow as tf

from tf_l2t.checks import positive
from tf_l2t.losses.sequence_loss import SequenceLoss
from tf_l2t.measures.candidates import candidate_weights, scored_candidates
from tf_l2t.types import Nest, TranslationOutputs, TranslationTargets


@gin.register(module="tf_l2t")
class MinimumRisk(SequenceLoss):
    """The mean cost of the candidates, weighted by how likely the student finds them.

        l(p, y) = Σ_u q_u (1 - BLEU(u, y)),    q_u = p(u|x)^α / Σ_v p(v|x)^α

    The sums are over the distinct candidates. It is in [0, 1] and counts every sentence alike,
    however long; its gradient is of the order of α.

    Args:
        num_candidates: how many candidates it wants, of the student's own, sampled or searched.
        alpha: α, > 0: near 0 all candidates have the same weight, and the larger it is the more
            have only the likeliest. 0.005, with 100 samples, is what common translation programs
            take from the paper.
        include_reference: whether the reference is a candidate too, with no cost, as in the paper.
        normalize_length: whether p(u|x) is replaced by its geometric mean over the words of u;
            with it, α = 1 and no reference this is the Risk of Edunov et al., section 3.2.
        token_weight: w of the words' cross entropy in (1 - w) l + w l_words; the paper has none.
        label_smoothing: of that cross entropy.

    Raises:
        ValueError: for an argument that makes no sense; when called, without candidates.

    Example:
        >>> loss = MinimumRisk(num_candidates=5, alpha=0.05)

    Shen et al. (ACL 2016), "Minimum Risk Training for Neural Machine Translation", section 3:
    the expected risk over a sampled subset of the translations.
    """

    formula = (
        "l(p, y) = sum_u q_u (1 - BLEU(u, y)); q_u = p(u|x)^alpha / sum_v p(v|x)^alpha over the "
        "distinct candidates; then (1 - token_weight) l + token_weight (cross entropy of a word)"
    )

    def __init__(
        self,
        *,
        num_candidates: int = 5,
        alpha: float = 0.005,
        include_reference: bool = True,
        normalize_length: bool = False,
        token_weight: float = 0.0,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(
            num_candidates=num_candidates,
            fewest=1 if include_reference else 2,
            token_weight=token_weight,
            label_smoothing=label_smoothing,
        )
        self.alpha = positive("MinimumRisk", "alpha", alpha, "use 0.005 for the paper's loss.")
        self.include_reference = include_reference
        self.normalize_length = normalize_length

    def of_candidates(
        self, outputs: TranslationOutputs, targets: TranslationTargets, coefficients: Nest
    ) -> tf.Tensor:
        """Returns the risk of every example, [batch], in [0, 1]."""
        del coefficients
        proposed = scored_candidates(
            "MinimumRisk",
            outputs,
            targets,
            include_reference=self.include_reference,
            distinct=True,
        )
        weights = candidate_weights(proposed, self.alpha, self.normalize_length)
        return tf.reduce_sum(weights * (1 - proposed.scores), axis=-1)
