"""Translation: batches that replay, scores that sacreBLEU would give, gradients that are right."""

import dataclasses
import functools
import io
import itertools
import json

import numpy as np
import pytest
import sacrebleu
import tensorflow as tf
from numbers_in_words import BagTranslator

from tf_l2t import translate
from tf_l2t.data import Pairs, ParallelText, moses, moses_detokenized
from tf_l2t.data.vocabularies import word_vocabularies
from tf_l2t.data.vocabulary import EOS
from tf_l2t.differentiation import SGD
from tf_l2t.differentiation.replicas import Replicas
from tf_l2t.differentiation.reverse import OuterGradient
from tf_l2t.differentiation.segments import Segment
from tf_l2t.losses import CrossEntropy, DynamicDiagonal, MinimumRisk, PerToken
from tf_l2t.measures import (
    ExpectedAccuracy,
    NegativeCrossEntropy,
    TranslationLogLikelihood,
    corpus_bleu,
)
from tf_l2t.runtime.export import export_student
from tf_l2t.teachers import attention_teacher
from tf_l2t.training.budget import Budget
from tf_l2t.training.rollout import Teaching
from tf_l2t.types import StudentState, TranslationInputs

TAUGHT = PerToken(DynamicDiagonal())


def new_state(task, seed: int = 0) -> StudentState:
    weights, variables = task.initial(seed)
    return StudentState(weights, (), variables)


def teaching(task, loss=TAUGHT, num_steps: int = 3, **settings) -> tuple[Teaching, list[tf.Tensor]]:
    teacher = None
    if shapes := task.coefficient_shapes(loss):
        teacher = attention_teacher(shapes, len(task.feature_names), num_keys=2, diagonal=0.4)
    rule = SGD(learning_rate=0.5, momentum=0.5)
    budget = Budget(num_steps, observe_every=2)
    theta = [tf.convert_to_tensor(v) for v in teacher.trainable_variables] if teacher else []
    return Teaching(task, loss, rule, budget, teacher, **settings), theta


def batches(task, seed: int, start: int, count: int) -> list:
    context = task.context(Segment(start, count), seed)
    return [task.batch(tf.constant(t), context) for t in range(start, start + count)]


def test_an_epoch_is_all_pairs_and_a_batch_is_a_function_of_seed_and_step(make_translation) -> None:
    task = make_translation()
    ids = lambda batch: [tuple(row[row > 0]) for row in batch.inputs.target.ids.numpy()]
    epoch = [ids(batch) for batch in batches(task, 3, 0, 8)]
    train = task._splits["train"].target.to_list()
    assert sorted(itertools.chain(*epoch)) == sorted(map(tuple, train))
    assert [ids(batch) for batch in batches(task, 3, 5, 3)] == epoch[5:]
    assert [ids(batch) for batch in batches(task, 4, 5, 3)] != epoch[5:]


def test_batches_of_another_size(make_translation) -> None:
    task = make_translation()
    larger, same = task.with_batches_of(9), make_translation(batch_size=9)
    ids = lambda task: [
        batch.inputs.target.ids.numpy().tolist() for batch in batches(task, 3, 0, 5)
    ]
    assert ids(larger) == ids(same) != ids(task)
    assert larger.describe() == same.describe() != task.describe()
    loss = MinimumRisk()
    assert larger.for_loss(loss).batch_size == 9
    assert (task.for_loss(loss).batch_size, task.batch_size) == (7, 7)


def test_source_and_target_are_translations_of_each_other(make_translation) -> None:
    task = make_translation()
    (batch,) = batches(task, 0, 0, 1)
    source, target = (
        encoder.decode(sentences.ids).numpy().tolist()
        for encoder, sentences in zip(task._encoders, batch.inputs[:2], strict=True)
    )
    words = dict(zip(["eins", "zwei", "drei"], ["one", "two", "three"], strict=True))
    assert [" ".join(words[w] for w in s.decode().split()) for s in source] == [
        t.decode() for t in target
    ]


@pytest.mark.parametrize("loss", [PerToken(CrossEntropy()), MinimumRisk(num_candidates=2)])
def test_parts_of_a_batch_add_up_to_it(make_translation, float64, loss) -> None:
    task = make_translation().for_loss(loss)
    state = new_state(task)
    context = task.context_of_student(task.context(Segment(0, 1), 0), state)

    def values(part: int, num_parts: int) -> tf.Tensor:
        batch = task.batch(tf.constant(0), context, part, num_parts)
        outputs, _, _ = task.forward(state.weights, state.variables, batch, training=False)
        return tf.reduce_sum(loss(outputs, batch.targets, {})) / float(task.whole_batch(batch))

    whole = values(0, 1)
    for num_parts in (2, 3, 6):
        parts = [values(part, num_parts) for part in range(num_parts)]
        np.testing.assert_allclose(tf.add_n(parts), whole, rtol=1e-12)


def test_candidates_are_the_students_own_and_replay(make_translation) -> None:
    task = make_translation().for_loss(MinimumRisk(num_candidates=3))
    state = new_state(task)
    segment = task.context(Segment(7, 3), 5)
    context = task.context_of_student(segment, state)
    again = task.context_of_student(segment, state)
    sure = state._replace(weights=[30 * weight for weight in state.weights])
    other = task.context_of_student(segment, sure)
    batch, same, another = (
        task.batch(tf.constant(8), each).targets.candidates for each in (context, again, other)
    )
    np.testing.assert_array_equal(batch.sentences.ids, same.sentences.ids)
    assert batch.sentences.ids.numpy().tolist() != another.sentences.ids.numpy().tolist()
    ids, lengths = (tensor.numpy() for tensor in batch.sentences)
    assert ids.shape[:2] == lengths.shape == batch.scores.shape
    last = np.take_along_axis(ids, lengths[..., None] - 1, axis=-1)
    assert (last == EOS).all()
    assert ids.shape[-1] == lengths.max()
    assert 0 <= batch.scores.numpy().min() <= batch.scores.numpy().max() <= 1
    assert task.for_loss(MinimumRisk(num_candidates=3)) is task
    assert task.for_loss(PerToken(CrossEntropy())).for_loss(MinimumRisk(num_candidates=3)) is task


def test_scores_are_those_of_sacrebleu(make_translation, parallel_text) -> None:
    task = make_translation()
    lesson = teaching(task, PerToken(CrossEntropy()), num_steps=40)[0].roll_out([], seed=0)
    state = lesson.rollout.state
    found = task.evaluate(state, "test")
    translator = task.model(state)
    for name, key in (("one", "bleu"), ("other", "bleu_other")):
        source, target = parallel_text.test[name]
        text = translator.translate(tf.constant(source))["translations"].numpy()
        expected = sacrebleu.corpus_bleu([t.decode() for t in text], [target]).score / 100
        assert found[key] == pytest.approx(expected, abs=1e-6)
    assert task.evaluate(state, "dev")["bleu"] > 0


def test_cross_entropy_is_that_of_a_word(make_translation) -> None:
    task = make_translation()
    state = new_state(task)
    total, words = 0.0, 0
    for k in range(task.num_examples("dev")):
        source, target = task._splits["dev"].gather(tf.constant([k]))
        outputs, _, _ = task.student(
            state.weights, state.variables, TranslationInputs(source, target), training=False
        )
        log_p = tf.nn.log_softmax(outputs.logits[0]).numpy()
        total -= sum(log_p[r, word] for r, word in enumerate(target.ids[0].numpy()))
        words += target.ids.shape[1]
    assert task.evaluate(state, "dev")["cross_entropy"] == pytest.approx(total / words, rel=1e-5)


def test_a_state_vector_is_of_three_numbers(make_translation) -> None:
    task = make_translation()
    observed = task.observe(new_state(task)).numpy()
    assert task.feature_names == ("t / T", "training BLEU", "dev BLEU")
    assert observed.shape == (2,)
    assert 0 <= observed.min() <= observed.max() <= 1


@pytest.mark.parametrize(("loss", "storage"), [(TAUGHT, "memory"), ("candidates", "recompute")])
def test_hypergradients_are_central_differences(make_translation, float64, storage, loss) -> None:
    class Weighed(MinimumRisk):
        """A taught loss of candidates."""

        def coefficient_shapes(self, num_classes):
            return {"phi": ()}

        def __call__(self, outputs, targets, coefficients):
            return super().__call__(outputs, targets, {}) * (1 + coefficients["phi"])

    loss = Weighed(num_candidates=2) if loss == "candidates" else loss
    task = make_translation(TranslationLogLikelihood())
    taught, theta = teaching(task, loss, storage=storage)
    direction = [tf.constant(np.random.default_rng(3).normal(size=t.shape)) for t in theta]
    outer = OuterGradient(taught.task.dev_loss, task.num_dev_chunks)

    def dev_loss(step: float) -> float:
        moved = [t + tf.cast(step * d, t.dtype) for t, d in zip(theta, direction, strict=True)]
        (lesson,) = taught.roll_out_each(moved, [1], record=True)
        ((value, _),) = taught.differentiate_each([lesson], outer)
        return float(value)

    (lesson,) = taught.roll_out_each(theta, [1], record=True)
    ((_, adjoint),) = taught.differentiate_each([lesson], outer)
    (result,) = taught.reverse_each([lesson], theta, [adjoint])
    pairs = zip(result.gradients, direction, strict=True)
    ours = float(tf.add_n([tf.reduce_sum(tf.cast(g, tf.float64) * d) for g, d in pairs]))
    step = 1e-3
    assert ours == pytest.approx((dev_loss(step) - dev_loss(-step)) / (2 * step), rel=1e-3)
    assert ours != 0


def test_the_measure_is_a_mean_over_dev_with_a_gradient(make_translation, float64) -> None:
    task = make_translation(longest_extra=8)
    weights, variables = task.initial(0)
    direction = [tf.constant(np.random.default_rng(3).normal(size=w.shape)) for w in weights]

    def total(step: float) -> tuple[tf.Tensor, list]:
        moved = [w + step * d for w, d in zip(weights, direction, strict=True)]
        with tf.GradientTape() as tape:
            tape.watch(moved)
            chunks = range(task.num_dev_chunks)
            value = tf.add_n([task.dev_loss(moved, variables, tf.constant(k)) for k in chunks])
        return value, tape.gradient(value, moved)

    value, gradients = total(0.0)
    assert -1 <= float(value) <= 0
    dense = map(tf.convert_to_tensor, gradients)
    ours = float(tf.add_n([tf.reduce_sum(g * d) for g, d in zip(dense, direction, strict=True)]))
    # So small that the candidates stay the same.
    step = 1e-6
    expected = (total(step)[0] - total(-step)[0]) / (2 * step)
    assert ours == pytest.approx(float(expected), rel=1e-4)


def test_a_part_of_dev_is_measured_like_the_whole(make_translation, parallel_text) -> None:
    part = make_translation(TranslationLogLikelihood(), measured_examples=3)
    rows = sorted(part._measured.numpy())
    assert rows != [0, 1, 2]
    measured = Pairs(*(tuple(side[k] for k in rows) for side in parallel_text.dev))
    text = dataclasses.replace(parallel_text, dev=measured)
    whole = make_translation(TranslationLogLikelihood(), text=text)
    state = new_state(part)
    found = [
        sum(
            float(task.dev_loss(state.weights, state.variables, tf.constant(chunk)))
            for chunk in range(task.num_dev_chunks)
        )
        for task in (part, whole)
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_a_batch_may_be_split_over_devices(make_translation) -> None:
    devices = tf.config.list_logical_devices("CPU")
    strategy = tf.distribute.MirroredStrategy([device.name for device in devices])
    replicas = Replicas(strategy, split_batches=True)
    # Without dropout, which each part draws for itself.
    task = make_translation(student=functools.partial(BagTranslator, dropout=0.0))
    whole = teaching(task)[0]
    split = teaching(task, replicas=replicas)[0]
    theta = teaching(task)[1]
    start = new_state(task, seed=2).weights
    ends = [each.roll_out(theta, seed=2).rollout.state.weights for each in (whole, split)]
    assert replicas.num_parts == len(devices)
    for before, one, other in zip(start, *ends, strict=True):
        assert np.abs(one - before).max() > 1e-3
        np.testing.assert_allclose(other, one, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda task: task.check_jit_compile(), "jit_compile"),
        (lambda task: task.trained_on("dev"), "trained_on='dev'"),
        (lambda task: task.mean_probabilities(new_state(task), "dev"), "classification"),
    ],
)
def test_what_is_for_classification_alone(make_translation, call, message) -> None:
    with pytest.raises(ValueError, match=message):
        call(make_translation())


@pytest.mark.parametrize(
    "settings",
    [
        {"batch_size": 0},
        {"measured_examples": 0},
        {"chunk_size": 1.5},
        {"longest_factor": -1.0},
        {"max_length": 1},
        {"max_tokens": 3},
        {"length_penalty": -1.0},
        {"tokenize": "13"},
        {"measure": "bleu"},
        {"measure": NegativeCrossEntropy()},
        {"measure": ExpectedAccuracy()},
        {"beam_size": 0},
    ],
)
def test_settings_that_make_no_sense(make_translation, settings) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        make_translation(**settings)


def test_what_results_json_says(make_translation, parallel_text) -> None:
    described = make_translation().describe()
    json.dumps(described)
    assert described["data_sha256"] == parallel_text.digest
    assert described["examples"] == {"train": 50, "dev": 11, "test": 14}
    assert described["test_sets"] == {"one": 9, "other": 5}
    assert described["judged_on"] == "one"
    assert "tok:13a" in described["bleu"]


def test_an_exported_student_translates_lines(make_translation, tmp_path) -> None:
    task = make_translation()
    model = task.model(new_state(task))
    export_student(model, tmp_path / "student")
    lines = ["eins zwei", "", "drei\u2028vier eins", "  ", "zwei " * 9 + "zwei"]
    alone = lambda line: model.translate(tf.constant([line]))["translations"].numpy()[0].decode()
    expected = [alone(line) if line.strip() else "" for line in lines]
    assert model.translate(tf.constant([], tf.string))["translations"].shape == [0]
    load = translate.load(tmp_path / "student")
    with pytest.raises(ValueError, match="--tokenized: .* a student of raw text"):
        translate.load(tmp_path / "student", tokenized=True)
    out = io.StringIO()
    translate.translate_lines(load, io.StringIO("\r\n".join(lines)), out, 3)
    assert out.getvalue().split("\n") == [*expected, ""]


@pytest.mark.parametrize("at_once", [1, 2, 4])
def test_lines_of_like_length_are_translated_together(at_once) -> None:
    lines = ["a" * (n % 7 + 1) for n in range(100)]
    calls = []

    def shout(sentences: list[str]) -> list[str]:
        calls.append(sentences)
        return [sentence.upper() for sentence in sentences]

    out = io.StringIO()
    translate.translate_lines(shout, (f"{line}\n" for line in lines), out, at_once)
    assert out.getvalue().split() == [line.upper() for line in lines]
    assert {len(call) for call in calls} == {at_once}
    padded = sum(len(call) * max(map(len, call)) for call in calls)
    assert padded <= 1.25 * sum(map(len, lines))


def test_a_student_of_tokenised_text_translates_raw_text(make_translation, tmp_path) -> None:
    sides = ('Geht\'s "gut", Hans?', "Ja, Eva!"), ('It\'s "fine", Hans.', "Yes, Eva!")
    text = moses(ParallelText(Pairs(*sides), Pairs(*sides), {"a": Pairs(*sides)}, "de", "en", "x"))
    every_word = functools.partial(word_vocabularies, min_count=1)
    with pytest.raises(ValueError, match="tokenize must be 'none' for text that moses tokenised"):
        make_translation(text=text, vocabularies=None)  # Before any is made.
    task = make_translation(text=text, vocabularies=every_word, tokenize="none")
    export_student(task.model(new_state(task)), tmp_path / "student")
    apart = translate.load(tmp_path / "student", tokenized=True)
    words = apart(list(text.dev.source))
    assert any(word in sentence for sentence in words for word in (" ,", "&apos;", "&quot;", " ."))
    assert translate.load(tmp_path / "student")(list(sides[0])) == moses_detokenized(words, "en")
    (tmp_path / "student" / "text.json").write_text("{}")
    with pytest.raises(ValueError, match=r"text\.json, .* export it again"):
        translate.load(tmp_path / "student")


def test_bleu_of_tokenised_text_stands_beside_that_of_what_people_wrote(make_translation) -> None:
    sides = ("Geht's gut, Hans?", "Ja, Eva!"), ("It's fine, Hans; isn't it?", "Yes, Eva, it is!")
    pairs = Pairs(*sides)
    text = moses(ParallelText(pairs, pairs, {"a": pairs, "b": pairs}, "de", "en", "x"))
    corpus = make_translation(
        text=text,
        vocabularies=functools.partial(word_vocabularies, min_count=1),
        tokenize="none",
        lowercase=True,
    )._corpus
    right = [*text.dev.target, text.dev.target[0], "yes , hans , it is !"]
    found = corpus.bleu("test", right)
    assert found["bleu"] == found["detokenized_bleu"] == pytest.approx(1)
    (one, other), raw = right[2:], ["it's fine, hans; isn't it?", "yes, hans, it is!"]
    assert (
        found["bleu_b"] == corpus_bleu([one, other], text.dev.target, tokenize="none").score / 100
    )
    expected = corpus_bleu(raw, sides[1], lowercase=True)
    assert found["detokenized_bleu_b"] == expected.score / 100 < 1
    assert corpus.signatures["detokenized_bleu"] == expected.signature
    assert list(corpus.bleu("dev", right[:2])) == ["bleu", "detokenized_bleu"]


def test_a_vocabulary_in_lower_case_asks_for_no_capitals(make_translation) -> None:
    pairs = Pairs(("Geht's gut, Hans?", "Ja, Eva!"), ("It's fine, Hans.", "Yes, Eva, it is!"))
    text = moses(ParallelText(pairs, pairs, {"a": pairs}, "de", "en", "x"), lowercase=False)
    corpus = make_translation(
        text=text,
        vocabularies=functools.partial(word_vocabularies, min_count=1, lowercase=True),
        tokenize="none",
        lowercase=True,
    )._corpus
    found = corpus.bleu("test", [sentence.lower() for sentence in text.dev.target])
    assert found["bleu"] == found["detokenized_bleu"] == pytest.approx(1)


def test_lines_are_read_as_utf8() -> None:
    lines = translate.decoded(io.BytesIO("\ufeffä\r\n\ufeffb\rc\n\xfc".encode()))
    assert list(lines) == ["ä\r\n", "\ufeffb\rc\n", "ü"]
    with pytest.raises(ValueError, match=r"line 2 of the input is not UTF-8 .*is fc\); .*iconv"):
        list(translate.decoded(io.BytesIO(b"a\nb\xfc\n")))


def test_a_vocabulary_in_lower_case_needs_bleu_in_lower_case(make_translation) -> None:
    lower = functools.partial(word_vocabularies, lowercase=True)
    with pytest.raises(ValueError, match="lowercase must be True"):
        make_translation(vocabularies=lower)
    assert make_translation(vocabularies=lower, lowercase=True).num_examples("dev") == 11


def test_pairs_of_unlike_length_may_be_left_out(make_translation, parallel_text) -> None:
    wordy = Pairs(parallel_text.train.source, (*parallel_text.train.target[:-1], "one " * 19))
    text = dataclasses.replace(parallel_text, train=wordy)
    left = make_translation(text=text, max_length_ratio=1.5).num_examples("train")
    assert left == make_translation(text=text).num_examples("train") - 1


def test_students_that_cannot_translate(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"no exported student .* tf_l2t.teach"):
        translate.load(tmp_path)
    tf.saved_model.save(tf.Module(), str(tmp_path / "other"))
    with pytest.raises(ValueError, match="does not translate"):
        translate.load(tmp_path / "other")
    (tmp_path / "other" / "saved_model.pb").write_bytes(b"x")
    with pytest.raises(ValueError, match="cannot be loaded"):
        translate.load(tmp_path / "other")
