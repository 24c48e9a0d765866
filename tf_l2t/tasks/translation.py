"""Translation (L2T-DLF, section 4.2)."""

from __future__ import annotations

import copy
import functools
import hashlib
import json
from collections.abc import Callable
from typing import Any

import gin
import keras
import tensorflow as tf

from tf_l2t.checks import instance_of, not_negative, one_of, whole_number
from tf_l2t.data import ParallelText, TokenBatches
from tf_l2t.data.vocabularies import MakeVocabularies
from tf_l2t.decoding import TextTranslator, Writer, longest
from tf_l2t.differentiation.segments import Segment
from tf_l2t.losses import CrossEntropy, PerToken
from tf_l2t.losses.base import Loss
from tf_l2t.measures import TranslationLogLikelihood, sentence_bleu
from tf_l2t.measures.base import Measure
from tf_l2t.score import BLEU
from tf_l2t.students import TranslationStudent
from tf_l2t.students.translator import BuildTranslator
from tf_l2t.tasks.corpus import Corpus, check_tokenizer
from tf_l2t.tasks.proposals import check_measure, judged, of_batch, propose
from tf_l2t.tasks.task import Task
from tf_l2t.teachers.translation_features import FEATURE_DEFINITIONS, FEATURE_NAMES, observation
from tf_l2t.types import (
    Batch,
    Candidates,
    Nest,
    StudentState,
    TranslationInputs,
    TranslationTargets,
)

# On one machine; of so many the order of the batches is kept at hand.
_STUDENTS_AT_ONCE = 16

# Far from the keys of dropout layers, which are folded into the same (seed, t).
_CANDIDATES_STREAM = 0x63616E00
_OBSERVED_STREAM, _MEASURED_STREAM = 5, 6


@gin.register(module="tf_l2t")
class Translation(Task):
    """Sentence pairs, a student that translates, and a measure of how well.

    Students are judged by sacreBLEU on the text as `text` has it: raw, or as `moses` wrote it.
    Where there are several test sets the first one counts; BLEU of the others is noted beside it,
    and cross entropy is that of all. Candidates that a loss asks for are drawn
    from the student at the start of each segment (`Budget.observe_every` steps) for all batches of
    it; those that the measure asks for are what a beam search finds at the end of its training.

    Args:
        text: the sentence pairs, for example `multi30k()`.
        vocabularies: makes the encoders of source and target of it, for example
            `subword_vocabularies`.
        student: builds the Keras model, for example `lstm_translator`.
        measure: differentiable score on dev, for example `ExpectedBleu()`.
        batch_size: sentence pairs of a training batch at most.
        max_tokens: words of a training batch at most, padding counted; None does not bound them.
        max_length: words of a training sentence, its end counted; pairs with longer ones are left
            out. Dev and test data are whole.
        max_length_ratio: how many times as long as the other a sentence of a training pair may be,
            ends counted; None bounds none.
        measured_examples: dev pairs that the measure is taken on, drawn once; all if None.
        observed_examples: how many training and how many dev pairs a state vector is measured on.
        chunk_size: dev and test pairs that are translated, or differentiated, at a time.
        longest_factor, longest_extra: a translation has at most factor · (words of its source) +
            extra words.
        beam_size, length_penalty: of the beam search that test scores are reported of; dev scores
            are those of greedy translations.
        tokenize, lowercase: how sacreBLEU reads text; "none" and True for the conditions of the
            paper, on text that is tokenised and in lower case already. Of such text BLEU of the
            translations put together again, against what people wrote, is noted as well.

    Raises:
        ValueError: for a size that makes no sense, a text that leaves no data, or a target
            vocabulary in lower case where BLEU tells cases apart.
    """

    student: TranslationStudent
    score = BLEU
    scores_in_graph = False

    def __init__(
        self,
        text: ParallelText,
        vocabularies: MakeVocabularies,
        student: BuildTranslator,
        measure: Measure,
        *,
        batch_size: int = 64,
        max_tokens: int | None = None,
        max_length: int = 100,
        max_length_ratio: float | None = None,
        measured_examples: int | None = None,
        observed_examples: int = 100,
        chunk_size: int = 64,
        longest_factor: float = 1.5,
        longest_extra: int = 10,
        beam_size: int = 5,
        length_penalty: float = 1.0,
        tokenize: str = "13a",
        lowercase: bool = False,
    ) -> None:
        instance_of("Translation", "measure", measure, Measure)
        check_tokenizer(text, tokenize)
        for name, value in (
            ("batch_size", batch_size),
            ("measured_examples", 1 if measured_examples is None else measured_examples),
            ("observed_examples", observed_examples),
            ("chunk_size", chunk_size),
            ("longest_extra", longest_extra),
            ("beam_size", beam_size),
        ):
            whole_number("Translation", name, value, 1)
        for name, size in (("longest_factor", longest_factor), ("length_penalty", length_penalty)):
            not_negative("Translation", name, size, "1.0 or 1.5 is usual.")
        self._encoders = vocabularies(text)
        source, target = self._encoders
        if target.lowercase and not lowercase:
            raise ValueError(
                "Translation: lowercase must be True, so that BLEU reads references in lower case "
                "as the vocabulary of the target does; or make that with lowercase=False."
            )
        check_measure(measure, target.size)
        self.class_names = tuple(target.words)
        self.feature_names, self.feature_definitions = FEATURE_NAMES, FEATURE_DEFINITIONS
        self.observed_examples = observed_examples
        self.student = TranslationStudent(student, source.size, target.size)
        self.measure = measure
        self._num_candidates = 0
        self._chunk_size = chunk_size
        self._beam = beam_size, length_penalty
        self._longest = longest_factor, longest_extra
        self._corpus = corpus = Corpus(
            text,
            *self._encoders,
            max_length,
            max_length_ratio,
            tokenize=tokenize,
            lowercase=lowercase,
        )
        self._splits = corpus.splits
        self._longest_candidate = int(longest(corpus.lengths["train"][:, 0].max(), *self._longest))
        # By length, so that there is little padding in the chunks.
        measured = corpus.drawn_by_length("dev", measured_examples, _MEASURED_STREAM)
        self._measured = tf.constant(measured)
        self._mean_length_measured = float(corpus.lengths["dev"][measured, 1].mean())
        self.num_dev_chunks = -(-len(measured) // chunk_size)
        self._new_batches = functools.partial(TokenBatches, corpus.lengths["train"], max_tokens)
        self._use_batches_of(batch_size)
        # Partials, since TensorFlow counts traces by the code of a function.
        self._compiled_proposals = tf.function(functools.partial(_proposals, self))
        self._compiled_chunk = {
            split: tf.function(functools.partial(_translated_chunk, self, split))
            for split in ("dev", "test")
        }
        self._by_candidates = {0: self}

    def _use_batches_of(self, batch_size: int) -> None:
        self.batch_size = batch_size
        of_seed = functools.partial(self._new_batches, batch_size)
        self._batches = functools.lru_cache(maxsize=_STUDENTS_AT_ONCE)(of_seed)
        self._batches(seed=0)

    def num_examples(self, split: str) -> int:
        """Returns the number of pairs of "train", "dev" or "test"."""
        return self._corpus.num_examples(split)

    @property
    def likelihood(self) -> Loss:
        return PerToken(CrossEntropy())

    def for_loss(self, loss: Loss) -> Translation:
        count = loss.num_candidates
        if count not in self._by_candidates:
            # What is compiled is shared, but for that which proposes candidates.
            self.compiled_observe  # noqa: B018
            other = copy.copy(self)
            other._num_candidates = count
            other._compiled_proposals = tf.function(functools.partial(_proposals, other))
            self._by_candidates[count] = other
        return self._by_candidates[count]

    def check_jit_compile(self) -> None:
        raise ValueError("jit_compile=True needs batches of one shape; leave it off for sentences.")

    def with_batches_of(self, batch_size: int) -> Translation:
        other = self._copy()
        other._use_batches_of(batch_size)
        other._by_candidates = {0: other}
        return other

    def context(self, segment: Segment, seed: int) -> Nest:
        rows = tf.constant(self._batches(seed=seed).rows(segment.start, segment.length))
        first = tf.constant(segment.start)
        return {"rows": rows, "first": first, "seed": tf.constant(seed, tf.int32)}

    def context_of_student(self, context: Nest, state: StudentState) -> Nest:
        if not self._num_candidates:
            return context
        proposed = self._compiled_proposals(state.weights, state.variables, context)
        return {**context, "candidates": proposed}

    def batch(self, t: tf.Tensor, context: Nest, part: int = 0, num_parts: int = 1) -> Batch:
        index = t - context["first"]
        rows = tf.boolean_mask(context["rows"][index], context["rows"][index] >= 0)
        whole = tf.size(rows)
        start, stop = (whole * k // num_parts for k in (part, part + 1))
        lengths = tf.gather(self._splits["train"].target.row_lengths(), rows)
        candidates = None
        if self._num_candidates:
            candidates = of_batch(context["candidates"], index, start, stop)
        mean_length = tf.reduce_mean(tf.cast(lengths, keras.config.floatx()))
        return self._batch("train", rows[start:stop], mean_length, whole, candidates)

    @property
    def smallest_batch(self) -> int:
        return self._batches(seed=0).min_rows

    def whole_batch(self, examples: Batch) -> tf.Tensor:
        return examples.targets.num_examples

    def dev_loss(
        self,
        weights: list[tf.Tensor],
        variables: list[tf.Tensor],
        chunk: tf.Tensor,
        *own_split: Nest,
    ) -> tf.Tensor:
        state = StudentState(weights, (), variables)
        rows = self._measured[chunk * self._chunk_size :][: self._chunk_size]
        candidates = None
        if self.measure.num_candidates:
            source, target = self._splits["dev"].gather(rows)
            fixed = tf.nest.map_structure(tf.stop_gradient, state)
            found = self._writer(fixed).best(source, self.measure.num_candidates)
            candidates = judged(found, target)
        mean_length = self._mean_length_measured
        values = self._values(self.measure, state, "dev", rows, mean_length, candidates)
        return -tf.reduce_sum(values) / len(self._measured)

    def observe(self, state: StudentState, *own_split: Nest) -> tf.Tensor:
        return observation(*(self._observed_bleu(state, split) for split in ("train", "dev")))

    def scores(self, state: StudentState, split: str, *own_split: Nest) -> dict[str, tf.Tensor]:
        """Returns BLEU in [0, 1] and the cross entropy of a word, in nats; not in a graph.

        Raises:
            ValueError: for a split other than "dev" and "test".
        """
        one_of("Translation", "split", split, ("dev", "test"))
        translations, cross_entropy = self._translated(state, split)
        bleu = self._corpus.bleu(split, translations)
        return {"cross_entropy": cross_entropy, **{k: tf.constant(v) for k, v in bleu.items()}}

    @functools.cached_property
    def compiled_scores(self) -> dict[str, Callable[..., dict[str, tf.Tensor]]]:
        """`scores`, whose translations are made in a graph, and counted outside of it."""

        def of_split(
            split: str, weights: list[tf.Tensor], variables: list[tf.Tensor]
        ) -> dict[str, tf.Tensor]:
            return self.scores(StudentState(weights, (), variables), split)

        splits = "train", "dev", "test"
        return {split: functools.partial(of_split, split) for split in splits}

    def model(self, state: StudentState) -> TextTranslator:
        """Returns the student with its encoders: text -> text."""
        factor, extra = self._longest
        beam_size, length_penalty = self._beam
        return TextTranslator(
            self.student.model_with(state.weights, state.variables),
            *self._encoders,
            self._corpus.text.form,
            factor=factor,
            extra=extra,
            beam_size=beam_size,
            length_penalty=length_penalty,
        )

    def describe(self) -> dict[str, Any]:
        text = self._corpus.text
        source, target = (encoder.describe() for encoder in self._encoders)
        words = hashlib.sha256(json.dumps(self.class_names).encode())
        return {
            "source": text.name,
            "data_sha256": text.digest,
            "languages": [text.source_language, text.target_language],
            "vocabularies": {"source": source, "target": target},
            "words_sha256": words.hexdigest(),
            "examples": {name: self.num_examples(name) for name in self._splits},
            "test_sets": {name: len(pairs.target) for name, pairs in text.test.items()},
            "judged_on": next(iter(text.test)),
            "student": self.student.model.name,
            "student_weights": self.student.num_weights,
            "batch_size": self.batch_size,
            "measure": type(self.measure).__name__,
            "beam_size": self._beam[0],
            "length_penalty": self._beam[1],
            **self._corpus.signatures,
        }

    def _writer(self, state: StudentState) -> Writer:
        held = state.weights, state.variables
        begin = functools.partial(self.student.begin, *held)
        return Writer(begin, functools.partial(self.student.step, *held), *self._longest)

    def _batch(
        self,
        split: str,
        rows: tf.Tensor,
        mean_length: tf.Tensor,
        whole: tf.Tensor,
        candidates: Candidates | None,
    ) -> Batch:
        source, target = self._splits[split].gather(rows)
        proposed = None if candidates is None else candidates.sentences
        targets = TranslationTargets(target, mean_length, candidates, whole)
        return Batch(TranslationInputs(source, target, proposed), targets)

    def _values(
        self,
        score: Measure,
        state: StudentState,
        split: str,
        rows: tf.Tensor,
        mean_length: float,
        candidates: Candidates | None = None,
    ) -> tf.Tensor:
        """Returns a measure of some pairs, [rows], of data whose targets have a mean length."""
        mean = tf.constant(mean_length, keras.config.floatx())
        batch = self._batch(split, rows, mean, tf.size(rows), candidates)
        outputs, _, _ = self.student(state.weights, state.variables, batch.inputs, training=False)
        return score(outputs, batch.targets)

    def _observed_bleu(self, state: StudentState, split: str) -> tf.Tensor:
        rows = tf.constant(self._corpus.drawn(split, self.observed_examples, _OBSERVED_STREAM))
        source, target = self._splits[split].gather(rows)
        found = self._writer(state).best(source)
        return sentence_bleu(found, target)[:, 0]

    def _translated(self, state: StudentState, split: str) -> tuple[list[str], tf.Tensor]:
        """Returns the translations of a split, in its order, and the cross entropy of a word."""
        order, size = self._corpus.by_length[split], self._chunk_size
        translations: list[str] = [""] * len(order)
        total = tf.zeros([], keras.config.floatx())
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            text, log_likelihood = self._compiled_chunk[split](
                state.weights, state.variables, tf.constant(rows)
            )
            for row, sentence in zip(rows, text.numpy(), strict=True):
                translations[row] = sentence.decode()
            total -= log_likelihood
        return translations, total / len(order)


def _translated_chunk(
    task: Translation,
    split: str,
    weights: list[tf.Tensor],
    variables: list[tf.Tensor],
    rows: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the translations of some pairs, and the sum of their log likelihoods."""
    state = StudentState(weights, (), variables)
    source, _ = task._splits[split].gather(rows)
    beam = task._beam if split == "test" else (1, 0.0)
    found = task._writer(state).best(source, *beam)
    text = task._encoders[1].decode(found.ids[:, 0])
    mean_length = task._corpus.mean_length[split]
    score = TranslationLogLikelihood()
    return text, tf.reduce_sum(task._values(score, state, split, rows, mean_length))


def _proposals(
    task: Translation, weights: list[tf.Tensor], variables: list[tf.Tensor], context: Nest
) -> Candidates:
    """Returns candidates for all batches of a segment."""
    writer = task._writer(StudentState(weights, (), variables))

    def propose_for(rows: tf.Tensor, index: tf.Tensor) -> Candidates:
        source, target = task._splits["train"].gather(rows)
        seed = tf.random.experimental.stateless_fold_in(
            tf.stack([context["seed"], context["first"] + index]), _CANDIDATES_STREAM
        )
        return judged(writer.samples(source, task._num_candidates, seed), target)

    return propose(context["rows"], propose_for, task._num_candidates, task._longest_candidate)
