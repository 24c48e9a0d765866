"""tools/benchmark.py on students that translate; no test here compares times."""

import importlib
import json
import pathlib
import sys

import numpy as np
import pytest
import tensorflow as tf
from tracing import assert_traced_by_warming_up

from tf_l2t.data.vocabulary import EOS, SPECIAL

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

benchmark = importlib.import_module("benchmark")
benchmark_options = importlib.import_module("benchmark_options")
benchmark_tasks = importlib.import_module("benchmark_tasks")
benchmark_text = importlib.import_module("benchmark_text")
keras_fit = importlib.import_module("keras_fit")

SIZES = {"vocabulary": 30, "batch": 8, "dev_examples": 20, "segment_length": 3, "repeats": 1}
SMALL = [f"--{name}={size}" for name, size in SIZES.items()]


def error_of(capsys: pytest.CaptureFixture, *options: str) -> str:
    """Returns what it says of options that it refuses."""
    try:
        code = benchmark.main(options)
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    return capsys.readouterr().err


@pytest.fixture
def made(bag_student, text_directory):
    """Makes the task of some options."""

    def make(*options: str) -> tuple:
        sizes = ["--text", text_directory, *SMALL, "--vocabulary", "18", "--dev_examples", "10"]
        args = benchmark.arguments(["--student", bag_student, *sizes, *options])
        return benchmark_tasks.make_task(args), args

    return make


def test_what_was_measured(bag_student, capsys):
    options = ["--student", bag_student, *SMALL, "--steps", "5", "--json"]
    assert benchmark.main(options) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert result["data"] == "text"
    (run,) = result["runs"]
    assert "made-up sentences" in run["data"]
    assert run["weights"] == 2 * 30 * 6 + 7 * 30
    assert run["bytes_stored"] == 4 * run["weights"] * 5
    assert run["hypergradient_norm"] > 0
    for ratio in run["ratios"].values():
        assert 0 < ratio["min"] <= ratio["median"] <= ratio["max"]
    tried = run["keras_fit"]["seconds_per_step_of_trials"]
    assert set(tried) == {"tf.data, 1 step a call, no XLA", "tf.data, 5 steps a call, no XLA"}
    assert "vocabularies of 30 and 30; median" in captured.err
    assert "batch 8, sgd" in captured.err


@pytest.mark.parametrize("rule", ["sgd", "adam"])
def test_fit_does_the_same_work(rule, made):
    """The same batches and the same loss: from the same weights it trains to the same ones."""
    num_steps, seed, optimization = 11, 3, benchmark_options.UPDATE_RULES[rule]
    task, args = made("--student_settings", "dropout=0", "--update_rule", rule)
    rate = optimization.plain_rate
    plainly = benchmark.make_teaching(task, task.likelihood, rate, args, num_steps)
    expected = plainly.roll_out([], seed).rollout.state.weights
    first = task.initial(args.seed)
    fit = keras_fit.KerasFit(
        task.student.model_with(*first),
        task.fit_data(),
        lambda: optimization.keras_optimizer(rate),
        num_steps,
    )
    for variable, value in zip(fit.model.trainable_variables, first[0], strict=True):
        variable.assign(value)
    for variable in fit.model.optimizer.variables:
        if variable is not fit.model.optimizer.learning_rate:
            variable.assign(tf.zeros_like(variable))
    fit(seed)
    for variable, value, before in zip(
        fit.model.trainable_variables, expected, first[0], strict=True
    ):
        np.testing.assert_allclose(variable, value, atol=1e-5)
        assert np.abs(value - before).max() > 1e-3


def test_fit_is_given_other_batches_for_another_seed(made):
    task, _ = made()
    draw = task.fit_data()._draw
    rows = draw(1, 9)
    np.testing.assert_array_equal(rows, draw(1, 9))
    assert (rows != draw(2, 9)).any()


def test_orders_of_batches_are_drawn_anew(made):
    task, _ = made()
    before = task._batches(seed=5)
    assert task._batches(seed=5) is before
    task.forget_batches()
    assert task._batches(seed=5) is not before


def test_all_is_traced_before_it_is_timed(made):
    task, args = made("--update_rule", "adam")
    step = benchmark.TeacherStep(task, args, 7)
    assert_traced_by_warming_up(step)
    # The moments of Adam are stored with the weights.
    assert step.nbytes == 3 * 4 * task.student.num_weights * 7


def test_the_student_is_observed_once_unless_it_is_to_be_again(made):
    for options, expected in (((), True), (("--observe",), False)):
        task, _ = made(*options)
        weights, variables = task.initial(0)
        other = [tf.random.normal(w.shape, stddev=3.0) for w in weights]
        seen = [
            task.observe(benchmark_tasks.StudentState(held, (), variables))
            for held in (weights, other)
        ]
        assert (seen[0].numpy() == seen[1].numpy()).all() == expected


def test_sentences_are_those_of_the_directory(made):
    task, _ = made()
    assert task.data().startswith("multi30k, 60 training pairs of ")
    assert task.data().endswith("vocabularies of 18 and 18")


def test_made_up_sentences_are_of_many_lengths():
    text, vocabularies = benchmark_text.text_and_vocabularies(None, [30, 20], 50, 0, test_pairs=3)
    source, target = vocabularies(text)
    assert (source.size, target.size) == (30, 20)
    assert [len(pairs.source) for _, pairs in text.splits()] == [20_000, 50, 3]
    lengths = source.encode(tf.constant(text.train.source)).row_lengths().numpy()
    assert lengths.min() >= 2
    assert np.median(lengths) == 15
    assert np.percentile(lengths, 90) > 20
    ids = source.encode(tf.constant(text.train.source)).flat_values.numpy()
    assert set(ids) == {EOS, *range(len(SPECIAL), 30)}
    again, _ = benchmark_text.text_and_vocabularies(None, [30, 20], 50, 0, test_pairs=3)
    other, _ = benchmark_text.text_and_vocabularies(None, [30, 20], 50, 1, test_pairs=3)
    assert text.digest == again.digest != other.digest


def test_two_vocabularies_of_pieces(text_directory):
    text, vocabularies = benchmark_text.text_and_vocabularies(text_directory, [16, 15], 10, 0)
    assert [encoder.size for encoder in vocabularies(text)] == [16, 15]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "mnist"], "--data mnist is not for lstm_translator; give text"),
        (["--augment"], "--augment is not for lstm_translator; leave it out"),
        (["--vocabulary", "4"], "give one or two whole numbers from 5, not '4'"),
        (["--vocabulary", "30,x"], "give one or two whole numbers from 5, not '30,x'"),
        (["--vocabulary", "9,9,9"], "give one or two whole numbers from 5, not '9,9,9'"),
        (["--student_settings", "units=0"], "lstm_translator: units must be"),
        (["--text", "nowhere"], "nowhere"),
    ],
)
def test_senseless_options(options, message, capsys):
    assert message in error_of(capsys, "--student", "lstm_translator", *options)


def test_options_that_do_not_fit_the_text(bag_student, text_directory, capsys):
    options = ["--student", bag_student, "--text", text_directory, "--vocabulary", "18"]
    said = error_of(capsys, *options, "--dev_examples", "13")
    assert "--dev_examples is 13, and multi30k has 12 dev pairs; give fewer." in said
    said = error_of(capsys, *options, "--dev_examples", "10", "--batch", "8", "--jit_compile")
    assert "jit_compile=True needs batches of one shape" in said
