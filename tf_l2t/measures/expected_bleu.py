"""Expected BLEU: the BLEU of a student that picks one of the candidates by its probabilities."""

from __future__ import annotations

import gin
import tensorflow as tf

from tf_l2t.checks import positive, whole_number
from tf_l2t.measures.base import Measure
from tf_l2t.measures.candidates import candidate_weights, scored_candidates
from tf_l2t.types import TranslationOutputs, TranslationTargets


@gin.register(module="tf_l2t")
class ExpectedBleu(Measure):
    """The mean sentence BLEU of the candidates, weighted by how likely the student finds them.

        m̃ = Σ_u BLEU(u, y) p(u|x)^α / Σ_v p(v|x)^α

    The sums are over the distinct candidates. The gradient prefers the better of the candidates
    to the others, and does not ask for either to be likely. An example without candidates has 0.

    Args:
        num_candidates: how many candidates it wants.
        alpha: α, > 0. Long sentences' probabilities are many orders of magnitude apart, so that
            with 1 one candidate has nearly all the weight; near 0 all have the same.
        normalize_length: whether p(u|x) is replaced by its geometric mean over the words of u, so
            that longer candidates are no less likely for their length.

    Raises:
        ValueError: for an argument that makes no sense; when called, without candidates.

    Example:
        >>> measure = ExpectedBleu(num_candidates=5, alpha=0.1)

    L2T-DLF (Wu et al., NeurIPS 2018), section 4.2, is read as this; it does not say what α and the
    candidates were. The weights are those of Shen et al. (ACL 2016), section 3.
    """

    def __init__(
        self, *, num_candidates: int = 5, alpha: float = 1.0, normalize_length: bool = False
    ) -> None:
        self.num_candidates = whole_number("ExpectedBleu", "num_candidates", num_candidates, 2)
        self.alpha = positive(
            "ExpectedBleu", "alpha", alpha, "use 1.0 for the student's own probabilities."
        )
        self.normalize_length = normalize_length

    def __call__(self, outputs: TranslationOutputs, targets: TranslationTargets) -> tf.Tensor:
        """Returns the expected BLEU of every example, [batch], in [0, 1]."""
        proposed = scored_candidates(
            "ExpectedBleu", outputs, targets, include_reference=False, distinct=True
        )
        weights = candidate_weights(proposed, self.alpha, self.normalize_length)
        return tf.reduce_sum(weights * proposed.scores, axis=-1)
