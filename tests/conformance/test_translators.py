"""What every translator of the package must do; one that is not in the table fails the suite."""

import inspect

import gin
import keras
import numpy as np
import pytest
import tensorflow as tf
from small_translators import (
    BUILDERS,
    SOURCE_SIZE,
    TARGET_SIZE,
    candidates,
    cross_entropy,
    inputs,
)

from tf_l2t import students
from tf_l2t.data.vocabulary import BOS
from tf_l2t.decoding import beam_search, greedy
from tf_l2t.differentiation import SGD
from tf_l2t.differentiation.step import TrainingStep
from tf_l2t.students import TranslationStudent
from tf_l2t.types import Sentences, TranslationInputs

# Keras takes attention to a sentence of one word for a mistake, where it sees the length.
pytestmark = pytest.mark.filterwarnings("ignore:You are using a softmax over axis")

SEED = tf.constant([3, 4])
NAMES = sorted({name.split()[0] for name in BUILDERS})
each_translator = pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
each_builder = pytest.mark.parametrize("build", [BUILDERS[name] for name in NAMES], ids=NAMES)


def student_of(build) -> TranslationStudent:
    return TranslationStudent(build, SOURCE_SIZE, TARGET_SIZE)


def step_of(student: TranslationStudent) -> TrainingStep:
    """A step on cross entropy at a temperature, which stands for the coefficients."""

    def inner_loss(weights, variables, temperature, batch):
        outputs, variables, penalty = student(weights, variables, batch, training=True, seed=SEED)
        return penalty + cross_entropy(outputs.logits * temperature, batch.target), variables

    return TrainingStep(inner_loss, lambda t, context: context, SGD(0.5, momentum=0.5))


def test_the_table_is_complete():
    exported = [getattr(students, name) for name in students.__all__]
    functions = {each.__name__ for each in exported if inspect.isfunction(each)}
    translators = {name for name in functions if name.endswith("_translator")}
    assert set(NAMES) == translators


@pytest.mark.parametrize("name", NAMES)
def test_gin_knows_it(name):
    assert gin.get_configurable(f"tf_l2t.{name}") is not None


@each_builder
def test_it_learns_batches_of_any_shape(build):
    student = student_of(build)
    step, losses = step_of(student), []
    state = step.initial_state(*student.initial(0))
    words = Sentences(tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int32))
    run = tf.function(
        lambda state, *pair: step(
            state, tf.constant(1.0), tf.constant(0), TranslationInputs(*pair)
        ),
        input_signature=[tf.nest.map_structure(tf.TensorSpec.from_tensor, state), words, words],
    )
    for t in range(16):
        state, loss = run(state, *inputs(padding=t % 3)[:2])
        losses.append(float(loss))
    assert losses[-1] < losses[0] - 0.1


@each_translator
@pytest.mark.usefixtures("float64")
def test_the_derivative_of_a_step_is_that_of_differences(build):
    """Hessian and mixed products, whole: no weight or coefficient is left out.

    Not compiled: in graphs, hypergradients are held against the full unroll.
    """
    student = student_of(build)
    step, batch = step_of(student), inputs(padding=1)
    state = step.initial_state(*student.initial(1))
    rng = np.random.default_rng(2)
    at = (state.weights, tf.constant(1.25, tf.float64))
    adjoint = [tf.constant(rng.standard_normal(w.shape)) for w in state.weights]
    zeros = [tf.zeros_like(slot) for slot in tf.nest.flatten(state.slots)]

    def vjp(at):
        saved = step.saved(state._replace(weights=at[0]))
        return step.vjp(saved, at[1], tf.constant(0), batch, [*adjoint, *zeros])

    def value(at):
        after, _ = step(state._replace(weights=at[0]), at[1], tf.constant(0), batch)
        return sum(tf.reduce_sum(a * b) for a, b in zip(adjoint, after.weights, strict=True))

    of_state, of_temperature = vjp(at)
    got = [*of_state[: len(state.weights)], *of_temperature]
    assert all(np.isfinite(gradient).all() for gradient in got)
    distance = 1e-5
    for _ in range(3):
        direction = [tf.constant(rng.standard_normal(gradient.shape)) for gradient in got]
        along = tf.nest.pack_sequence_as(at, direction)
        ends = [
            value(tf.nest.map_structure(lambda x, d: x + sign * distance * d, at, along))  # noqa: B023
            for sign in (1, -1)
        ]
        want = (ends[0] - ends[1]) / (2 * distance)
        product = sum(tf.reduce_sum(a * b) for a, b in zip(got, direction, strict=True))
        np.testing.assert_allclose(product, want, rtol=1e-6)


@each_translator
@pytest.mark.usefixtures("float64")
def test_padding_changes_nothing(build):
    """Neither the logits of words nor the gradient; nor do the other examples of a batch."""
    student = student_of(build)
    weights, variables = student.initial(0)

    def run(batch):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            outputs, _, _ = student(weights, variables, batch, training=False)
            loss = cross_entropy(outputs.logits, batch.target)
        return outputs, [tf.convert_to_tensor(g) for g in tape.gradient(loss, weights)]

    batch = inputs()._replace(candidates=candidates())
    want, gradients = run(batch)
    padded = inputs(padding=3)._replace(candidates=candidates(padding=2))
    # What stands beyond a sentence is not read: it need not be padding.
    source = padded.source._replace(ids=padded.source.ids + 5 * (1 - padded.source.mask(tf.int32)))
    got, of_padded = run(padded._replace(source=source))
    mask = batch.target.mask(tf.bool)
    for one, other in zip(of_padded, gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
    length = mask.shape[1]
    np.testing.assert_allclose(got.logits[:, :length][mask], want.logits[mask], rtol=1e-11)
    of_candidates = batch.candidates.mask(tf.bool)
    length = of_candidates.shape[2]
    np.testing.assert_allclose(
        got.candidate_logits[:, :, :length][of_candidates],
        want.candidate_logits[of_candidates],
        rtol=1e-11,
    )
    for row, (source, target) in enumerate(zip((3, 4, 1), (4, 2, 1), strict=True)):
        alone, _ = run(
            TranslationInputs(
                Sentences(batch.source.ids[row : row + 1, :source], tf.constant([source])),
                Sentences(batch.target.ids[row : row + 1, :target], tf.constant([target])),
                Sentences(*(each[row : row + 1] for each in batch.candidates)),
            )
        )
        np.testing.assert_allclose(alone.logits[0], want.logits[row, :target], rtol=1e-11)


@each_builder
def test_no_sentence_is_finite(build):
    student = student_of(build)
    nothing = Sentences(tf.zeros([2, 3], tf.int32), tf.constant([0, 0]))
    weights, variables = student.initial(0)
    outputs, _, _ = student(weights, variables, TranslationInputs(nothing, nothing), training=False)
    assert np.isfinite(outputs.logits).all()


@each_translator
def test_dropout_is_a_function_of_the_seed(build):
    student = student_of(build)
    weights, variables = student.initial(0)
    batch = inputs()._replace(candidates=candidates())

    def run(seed, training=True):
        return student(weights, variables, batch, training=training, seed=seed)[0]

    first, again, step, other = (run(tf.constant(s)) for s in ([1, 0], [1, 0], [1, 1], [2, 0]))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    evaluated = run(tf.constant([1, 0]), training=False)
    for outputs in (step, other, evaluated):
        for one, two in zip(first, outputs, strict=True):
            assert not np.allclose(one, two)


@pytest.mark.parametrize(
    ("build", "dtype", "tolerance"),
    [(build, "float64", 1e-12) for build in BUILDERS.values()]
    + [(BUILDERS[name], "float32", 1e-5) for name in NAMES],
    ids=[*BUILDERS, *(f"{name}, float32" for name in NAMES)],
)
def test_step_by_step_it_says_what_it_says_at_once(build, dtype, tolerance, request):
    if dtype == "float64":
        request.getfixturevalue("float64")
    student = student_of(build)
    weights, variables = student.initial(2)
    batch = inputs()
    ids, lengths = batch.target
    batch = batch._replace(candidates=Sentences(ids[:, tf.newaxis], lengths[:, tf.newaxis]))
    want, _, _ = student(weights, variables, batch, training=False)
    assert want.logits.dtype == dtype
    np.testing.assert_allclose(
        want.candidate_logits[:, 0], want.logits, rtol=tolerance, atol=tolerance
    )

    @tf.function
    def run(length):
        memory, state = student.begin(weights, variables, batch.source, length + 2)
        words = tf.concat([tf.fill([3, 1], BOS), ids], 1)

        def body(r, state, logits):
            at_r, after = student.step(weights, variables, words[:, r], state, memory, r)
            tf.nest.map_structure(lambda one, old: one.set_shape(old.shape), after, state)
            return r + 1, after, logits.write(r, at_r)

        logits = tf.TensorArray(dtype, length)
        _, _, logits = tf.while_loop(
            lambda r, *_: r < length, body, (tf.constant(0), state, logits)
        )
        return tf.transpose(logits.stack(), [1, 0, 2])

    got = run(tf.shape(ids)[1])
    np.testing.assert_allclose(got, want.logits, rtol=tolerance, atol=tolerance)


@each_builder
def test_it_translates_as_it_does_alone(build):
    student = student_of(build)
    weights, variables = student.initial(2)
    weights = [3 * weight for weight in weights]

    def translate(source, limits):
        memory, state = student.begin(weights, variables, source, limits)

        def step(*arguments):
            return student.step(weights, variables, *arguments)

        return (
            greedy(step, memory, state, limits),
            beam_search(step, memory, state, limits, beam_size=3, length_penalty=0.6),
        )

    source, limits = inputs(padding=2).source, tf.constant([5, 3, 6])
    words, beam = translate(source, limits)
    for row, length in enumerate((3, 4, 1)):
        alone = Sentences(source.ids[row : row + 1, :length], source.lengths[row : row + 1])
        want_words, want = translate(alone, limits[row : row + 1])
        width = want_words.ids.shape[1]
        np.testing.assert_array_equal(words.ids[row, :width], want_words.ids[0])
        assert not words.ids[row, width:].numpy().any()
        width = want.sentences.ids.shape[2]
        np.testing.assert_array_equal(beam.sentences.ids[row, :, :width], want.sentences.ids[0])
        np.testing.assert_allclose(beam.scores[row], want.scores[0], rtol=1e-4)
        # The score is that of the model for the words that were written.
        targets = Sentences(want.sentences.ids, want.sentences.lengths)
        first = Sentences(targets.ids[:, 0], targets.lengths[:, 0])
        outputs, _, _ = student(
            weights, variables, TranslationInputs(alone, first, targets), training=False
        )
        log_p = -tf.nn.sparse_softmax_cross_entropy_with_logits(
            targets.ids, outputs.candidate_logits
        )
        log_p = tf.reduce_sum(log_p * targets.mask(log_p.dtype), -1)
        np.testing.assert_allclose(log_p, want.log_probs, rtol=1e-4, atol=1e-5)


@each_builder
def test_it_is_saved_and_restored(build, tmp_path):
    student = student_of(build)
    weights, variables = student.initial(5)
    model = student.model_with(weights, variables)
    assert student.num_weights == sum(int(tf.size(weight)) for weight in weights)
    model.save(tmp_path / "model.keras")
    restored = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    batch = inputs()
    want, _, _ = student(weights, variables, batch, training=False)
    got = restored((tuple(batch.source), tuple(batch.target)))
    np.testing.assert_allclose(got, want.logits, rtol=1e-5, atol=1e-6)
    memory, state = restored.begin(batch.source, 5)
    words = greedy(restored.step, memory, state, 5)
    assert words.ids.shape[0] == 3
