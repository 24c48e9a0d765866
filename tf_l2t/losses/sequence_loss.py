"""What the losses of whole sentences share: candidates, and a part of cross entropy."""

from __future__ import annotations

import abc

import tensorflow as tf

from tf_l2t.checks import part, whole_number
from tf_l2t.losses.base import Loss
from tf_l2t.losses.cross_entropy import LabelSmoothing
from tf_l2t.losses.per_token import PerToken
from tf_l2t.types import Nest, TranslationOutputs, TranslationTargets


class SequenceLoss(Loss):
    """A loss of candidates, mixed with the cross entropy of the reference's words.

        l = (1 - w) l_sequence + w l_words,    l_words = PerToken(LabelSmoothing(ε))

    A student that has learnt nothing proposes nothing that a loss of candidates could rank: train
    it with cross entropy first, or keep w well above 0.

    Args:
        num_candidates: how many candidates it wants.
        fewest: of them that make sense.
        token_weight: w, in [0, 1).
        label_smoothing: ε, in [0, 1); 0 is cross entropy.

    Raises:
        ValueError: for an argument that makes no sense.

    Edunov et al. (NAACL 2018), "Classical Structured Prediction Losses for Sequence to Sequence
    Learning", section 3.3: their weighted combination.
    """

    def __init__(
        self, *, num_candidates: int, fewest: int, token_weight: float, label_smoothing: float
    ) -> None:
        owner = type(self).__name__
        self.num_candidates = whole_number(owner, "num_candidates", num_candidates, fewest)
        self.token_weight = part(owner, "token_weight", token_weight)
        self.label_smoothing = part(owner, "label_smoothing", label_smoothing)
        self._of_words = PerToken(LabelSmoothing(epsilon=self.label_smoothing))

    @abc.abstractmethod
    def of_candidates(
        self, outputs: TranslationOutputs, targets: TranslationTargets, coefficients: Nest
    ) -> tf.Tensor:
        """Returns l_sequence of every example, [batch]; 0 where there are no candidates."""

    def __call__(
        self, outputs: TranslationOutputs, targets: TranslationTargets, coefficients: Nest
    ) -> tf.Tensor:
        """Returns the loss of every example, [batch].

        Raises:
            ValueError: if there are no candidates.
        """
        of_candidates = self.of_candidates(outputs, targets, coefficients)
        if not self.token_weight:
            return of_candidates
        of_words = self._of_words(outputs, targets, coefficients)
        return (1 - self.token_weight) * of_candidates + self.token_weight * of_words
