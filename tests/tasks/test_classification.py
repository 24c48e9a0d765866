import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.data import LongTail, PairFlips, arrays
from tf_l2t.differentiation.reverse import OuterGradient
from tf_l2t.differentiation.segments import Segment
from tf_l2t.measures import ExpectedAccuracy
from tf_l2t.students import logistic_regression
from tf_l2t.tasks import Classification
from tf_l2t.types import StudentState


@pytest.fixture(scope="module")
def source():
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (130, 3, 3, 1)).astype("uint8")
    labels = random.integers(0, 3, 130)
    return arrays(images[:100], labels[:100], images[100:], labels[100:])


def make_task(source, **arguments) -> Classification:
    return Classification(
        source, logistic_regression, ExpectedAccuracy(), batch_size=6, dev_size=25, **arguments
    )


def state_of(task) -> StudentState:
    weights, variables = task.initial(seed=4)
    weights = [w + 0.5 * tf.random.stateless_normal(w.shape, [1, 1]) for w in weights]
    return StudentState(weights, (), variables)


def dev_arrays(task):
    logits = lambda state, images: (
        (images.reshape(len(images), -1) / 255.0) @ state.weights[0].numpy()
        + state.weights[1].numpy()
    )
    examples = task._splits["dev"]
    return logits, examples.images.numpy(), examples.labels.numpy()


def test_scores_are_those_of_numpy_whatever_the_chunks(source) -> None:
    for chunk_size in (1, 7, 25, 1000):
        task = make_task(source, chunk_size=chunk_size)
        state = state_of(task)
        logits_of, images, labels = dev_arrays(task)
        logits = logits_of(state, images)
        p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        scores = task.evaluate(state, "dev")
        assert scores["accuracy"] == pytest.approx((logits.argmax(-1) == labels).mean())
        p_y = p[np.arange(25), labels]
        assert scores["cross_entropy"] == pytest.approx(-np.log(p_y).mean(), rel=1e-5)
        assert scores["measure"] == pytest.approx(p_y.mean(), rel=1e-5)


def test_the_dev_gradient_does_not_depend_on_the_chunks(source) -> None:
    gradients = []
    for chunk_size in (4, 25):
        task = make_task(source, chunk_size=chunk_size)
        value, adjoint = OuterGradient(task.dev_loss, task.num_dev_chunks)(state_of(task))
        gradients.append(np.concatenate([[value], *(a.numpy().ravel() for a in adjoint)]))
    np.testing.assert_allclose(*gradients, rtol=1e-5, atol=1e-7)


def test_the_observation_is_measured_on_the_first_examples(source) -> None:
    task = make_task(source, observed_examples=25)
    state = state_of(task)
    logits_of, images, labels = dev_arrays(task)
    predictions = logits_of(state, images).argmax(-1)
    observed = task.observe(state).numpy()
    assert observed.shape == (2 + 3,)
    assert observed[1] == pytest.approx((predictions == labels).mean())
    for k in range(3):
        chosen = predictions == k
        precision = (labels[chosen] == k).mean() if chosen.any() else 0.0
        assert observed[2 + k] == pytest.approx(precision)


def test_a_batch_is_a_function_of_seed_and_step(source) -> None:
    task = make_task(source)

    def batch(start: int, t: int, seed: int) -> np.ndarray:
        context = task.context(Segment(start, 8), seed)
        return task.batch(tf.constant(t), context).inputs.numpy()

    first = batch(0, 5, seed=1)
    task.context(Segment(0, 8), seed=2)
    np.testing.assert_array_equal(first, batch(4, 5, seed=1))
    assert np.abs(first - batch(0, 5, seed=2)).max() > 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"batch_size": 76}, "batch_size is 76"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"batch_size": 6.0}, "batch_size must be a whole number"),
        ({"dev_size": 100}, "dev_size is 100"),
        ({"dev_size": 0}, "dev_size is 0"),
        ({"observed_examples": 0}, "observed_examples must be at least 1"),
        ({"chunk_size": 0}, "chunk_size must be at least 1"),
    ],
)
def test_sizes_that_leave_no_data_are_named(source, arguments, named) -> None:
    with pytest.raises(ValueError, match=named):
        Classification(
            source, logistic_regression, ExpectedAccuracy(), **{"dev_size": 25, **arguments}
        )


def test_corruption_spoils_the_training_labels_alone(source) -> None:
    clean = make_task(source)
    spoiled = make_task(source, corruption=PairFlips(((0, 1),), rate=0.5))
    for part in ("dev", "test"):
        for ours, theirs in zip(spoiled._splits[part], clean._splits[part], strict=True):
            np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(spoiled._splits["train"].images, clean._splits["train"].images)
    true, given = clean._splits["train"].labels.numpy(), spoiled._splits["train"].labels.numpy()
    np.testing.assert_array_equal(given[true != 0], true[true != 0])
    said = spoiled.describe()["corruption"]
    assert said["name"] == "PairFlips"
    assert 0.02 < said["wrong_labels"] == pytest.approx(np.mean(true != given))
    assert said["labels_of_class"][0][1] == pytest.approx(np.mean(given[true == 0] == 1), abs=1e-6)
    assert "corruption" not in clean.describe()
    damage = LongTail(imbalance=4)(true, 3)[0]
    assert make_task(source, corruption=LongTail(imbalance=4)).num_examples("train") == len(damage)


def test_training_on_dev_data_takes_all_of_it_but_what_is_held_back(source) -> None:
    task = make_task(source)
    ids = lambda task, name: {image.tobytes() for image in task._splits[name].images.numpy()}
    whole = task.trained_on("dev")
    assert ids(whole, "train") == ids(task, "dev")
    both = task.trained_on("train and dev", held_back=0.2)
    assert both.num_examples("dev") == 5
    assert ids(both, "train") | ids(both, "dev") == ids(task, "train") | ids(task, "dev")
    assert not ids(both, "train") & ids(both, "dev")
    assert ids(both, "test") == ids(task, "test")
    # What the first task has compiled is of its own data.
    state = state_of(task)
    assert task.evaluate(state, "dev") == make_task(source).evaluate(state, "dev")
    expected = dev_arrays(both)[2]
    assert task.evaluate(state, "dev") != both.evaluate(state, "dev")
    assert len(expected) == 5


def test_mean_probabilities_are_those_of_each_class(source) -> None:
    for chunk_size in (7, 1000):
        task = make_task(source, chunk_size=chunk_size)
        state = state_of(task)
        logits_of, images, labels = dev_arrays(task)
        p = np.exp(logits_of(state, images))
        p /= p.sum(-1, keepdims=True)
        expected = [p[labels == k].mean(axis=0) for k in range(3)]
        np.testing.assert_allclose(task.mean_probabilities(state, "dev"), expected, rtol=1e-4)


def test_too_little_dev_data_is_not_trained_on(source) -> None:
    task = Classification(source, logistic_regression, ExpectedAccuracy(), batch_size=6, dev_size=6)
    with pytest.raises(ValueError, match="dev_size=6 is too little to train on 'dev'"):
        task.trained_on("dev", held_back=0.2)
    task.trained_on("dev")
