"""The policy gradient of BLEU at every word, by the values of a critic that learns beside."""

from __future__ import annotations

import gin
import tensorflow as tf

from tf_l2t.checks import not_negative, positive, whole_number
from tf_l2t.decoding.loop import of_words
from tf_l2t.differentiation.update_rules import Adam
from tf_l2t.losses.critic import Critic, CriticState, critic_error, rewards, targets_of_values
from tf_l2t.losses.sequence_loss import SequenceLoss
from tf_l2t.measures.candidates import proposed
from tf_l2t.measures.log_probabilities import log_probabilities
from tf_l2t.types import Nest, TranslationOutputs, TranslationTargets


@gin.register(module="tf_l2t")
class ActorCritic(SequenceLoss):
    """A loss whose gradient raises, at every word of a sample, the value that a critic expects.

        l(p, y) = -1/K Σ_u Σ_t Σ_a p(a|u_<t, x) Q(a; u_<t, y) / n̄

    p is of the words that a sample may have, padding and the begin of a sentence apart; where a
    sample that is too long is cut off, it is so too. Q is constant in it: what BLEU a student that
    goes on with the word a after u_<t will gain from there on. A critic, which reads the reference
    y, learns it beside the student by temporal differences, a step of Adam at every step of the
    student's:

        minimise (Q(u_t) - q_t)² + λ Σ_a (Q(a) - mean_b Q(b))²
        towards  q_t = r_t + Σ_a p(a|u_≤t, x) Q'(a; u_≤t, y),    r_t = BLEU(u_≤t) - BLEU(u_<t)
        Q' ← (1 - γ) Q' + γ Q

    n̄ is the mean length of the references of the batch (`TranslationTargets.mean_length`). The
    critic, its delayed copy Q' and the slots of its Adam are the loss's state, and so a part of the
    student's: a replay gives the same bits. Hypergradients stop at the critic: its values and what
    it learns from are constants to them, as they are to the student's own gradient.

    In three points this is not the paper. Samples are of the student as it was at the start of the
    segment, without dropout, and that is the delayed actor (keep `Budget.observe_every` small); p
    in q_t is that of the student at this step, dropout included. While the critic is trained
    beforehand, for `critic_steps`, the student goes on learning from w l_words; only with w = 0 it
    stays as it is, as in the paper. And the training by log likelihood that the paper begins with
    is for the run to set, as `Budget.warm_start_steps`.

    Args:
        num_candidates: K, how many samples it wants of each example.
        critic_steps: steps of the critic before the student hears of it; 0 for none.
        critic_learning_rate: of its Adam.
        critic_embedding: width of its embeddings.
        critic_units: width of its LSTMs, attention and readout.
        target_rate: γ, in (0, 1]; 0.001 in the authors' configurations, for longer trainings.
        value_penalty: λ ≥ 0, which keeps values of words that were never tried near the others.
        token_weight: w of the words' cross entropy in (1 - w) l + w l_words.
        label_smoothing: of that cross entropy.

    Raises:
        ValueError: for an argument that makes no sense; when called, without candidates or without
            the values that `advance` gives.

    Example:
        >>> loss = ActorCritic(num_candidates=5, critic_steps=200)

    Bahdanau et al. (ICLR 2017), "An Actor-Critic Algorithm for Sequence Prediction", section 3 and
    Algorithm 1.
    """

    formula = (
        "l(p, y) = -1/K sum_u sum_t sum_a p(a|u_<t, x) Q(a; u_<t, y), divided by the mean length "
        "of the references of the batch, Q of a critic that learns beside the student; then "
        "(1 - token_weight) l + token_weight (cross entropy of a word)"
    )

    def __init__(
        self,
        *,
        num_candidates: int = 5,
        critic_steps: int = 200,
        critic_learning_rate: float = 0.001,
        critic_embedding: int = 64,
        critic_units: int = 64,
        target_rate: float = 0.01,
        value_penalty: float = 0.001,
        token_weight: float = 0.3,
        label_smoothing: float = 0.0,
    ) -> None:
        owner = "ActorCritic"
        super().__init__(
            num_candidates=num_candidates,
            fewest=1,
            token_weight=token_weight,
            label_smoothing=label_smoothing,
        )
        self.critic_steps = whole_number(owner, "critic_steps", critic_steps, 0)
        self.critic_learning_rate = positive(
            owner, "critic_learning_rate", critic_learning_rate, "0.001 is usual."
        )
        self.critic_embedding = whole_number(owner, "critic_embedding", critic_embedding, 1)
        self.critic_units = whole_number(owner, "critic_units", critic_units, 1)
        if not 0 < target_rate <= 1:
            raise ValueError(
                f"{owner}: target_rate must be in (0, 1], got {target_rate}; 1 delays nothing."
            )
        self.target_rate = target_rate
        self.value_penalty = not_negative(owner, "value_penalty", value_penalty, "0.001 is usual.")
        self._critics: dict[int, Critic] = {}

    def initial_state(self, num_classes: int, seed: int) -> tuple[Nest, ...]:
        """Returns a fresh critic, whose delayed copy is the same, as `CriticState` lists it."""
        weights = self._critic(num_classes).fresh(seed)
        return tuple(CriticState(tf.constant(0), weights, weights, self._rule.init(weights)))

    def advance(
        self,
        state: tuple[Nest, ...],
        outputs: TranslationOutputs,
        targets: TranslationTargets,
        coefficients: Nest,
    ) -> tuple[Nest, tuple[Nest, ...]]:
        """Returns the critic's values as coefficients, and the critic after a step of its own.

        The values are those before that step; 0 as long as the student does not hear of them.

        Returns:
            {"values": [batch, candidates, length, words]}, and the state.

        Raises:
            ValueError: if there are no candidates.
        """
        before = CriticState(*tf.nest.map_structure(tf.stop_gradient, state))
        logits, candidates = proposed("ActorCritic", outputs, targets)
        sentences, references = candidates.sentences, targets.sentences
        critic = self._critic(logits.shape[-1])
        delayed = critic(before.delayed, references, sentences)
        dtype = delayed.dtype
        wanted = targets_of_values(
            tf.cast(rewards(sentences, references), dtype),
            tf.stop_gradient(tf.cast(_policy(logits), dtype)),
            delayed,
            sentences.mask(dtype),
        )
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(before.weights)
            values = critic(before.weights, references, sentences)
            error = critic_error(values, wanted, sentences, self.value_penalty)
        gradients = tape.gradient(
            error, before.weights, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        weights, slots = self._rule.apply(before.weights, gradients, before.slots, before.steps)
        followed = [
            old + self.target_rate * (new - old)
            for old, new in zip(before.delayed, weights, strict=True)
        ]
        after = tuple(CriticState(before.steps + 1, weights, followed, slots))
        heard = tf.cast(before.steps >= self.critic_steps, dtype)
        values = tf.stop_gradient(tf.cast(heard * values, logits.dtype))
        return {**coefficients, "values": values}, tf.nest.map_structure(tf.stop_gradient, after)

    def of_candidates(
        self, outputs: TranslationOutputs, targets: TranslationTargets, coefficients: Nest
    ) -> tf.Tensor:
        """Returns minus the expected value of the next word, of every example, [batch].

        Raises:
            ValueError: if the candidates, or their values, are missing.
        """
        logits, candidates = proposed("ActorCritic", outputs, targets)
        if "values" not in coefficients:
            raise ValueError(
                f"ActorCritic: coefficients['values'] is missing, got {sorted(coefficients)}; "
                "give those that `advance` returns."
            )
        values = tf.cast(coefficients["values"], logits.dtype)
        expected = tf.reduce_sum(_policy(logits) * values, axis=-1)
        of_sentences = tf.reduce_sum(expected * candidates.sentences.mask(logits.dtype), axis=-1)
        number = tf.reduce_sum(tf.cast(candidates.sentences.lengths > 0, logits.dtype), axis=-1)
        gain = tf.math.divide_no_nan(tf.reduce_sum(of_sentences, axis=-1), number)
        return -gain / tf.cast(targets.mean_length, logits.dtype)

    @property
    def _rule(self) -> Adam:
        return Adam(self.critic_learning_rate)

    def _critic(self, words: int) -> Critic:
        """Returns the critic's network for a vocabulary, built at its first use."""
        if words not in self._critics:
            with tf.init_scope():
                self._critics[words] = Critic(words, self.critic_embedding, self.critic_units)
        return self._critics[words]


def _policy(logits: tf.Tensor) -> tf.Tensor:
    """Returns p(a|u_<t, x) as samples are drawn by it."""
    return tf.exp(log_probabilities(of_words(logits)))
