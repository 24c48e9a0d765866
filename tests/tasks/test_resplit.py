"""Every student with a split of its own: what it trains on is never what it is judged by."""

import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.data import PairFlips, arrays
from tf_l2t.differentiation import SGD
from tf_l2t.differentiation.reverse import OuterGradient
from tf_l2t.differentiation.segments import Segment
from tf_l2t.losses import DynamicBilinear
from tf_l2t.measures import ExpectedAccuracy
from tf_l2t.students import logistic_regression
from tf_l2t.tasks import Classification
from tf_l2t.teachers import attention_teacher
from tf_l2t.training.budget import Budget
from tf_l2t.training.rollout import Teaching
from tf_l2t.types import StudentState

COUNT, DEV = 100, 25


@pytest.fixture(scope="module")
def source():
    random = np.random.default_rng(0)
    # The first pixel says which image it is.
    images = random.normal(size=(COUNT + 30, 3, 3, 1)).astype("float32")
    images[:, 0, 0, 0] = np.arange(COUNT + 30) / 1000
    labels = random.integers(0, 3, COUNT + 30)
    return arrays(images[:COUNT], labels[:COUNT], images[COUNT:], labels[COUNT:])


def make(source, **settings) -> Classification:
    settings = {"resplit": True, "chunk_size": 10, "observed_examples": 20, **settings}
    return Classification(
        source, logistic_regression, ExpectedAccuracy(), batch_size=6, dev_size=DEV, **settings
    )


def ids(images: tf.Tensor) -> list[int]:
    return (images[:, 0, 0, 0].numpy() * 1000).round().astype(int).tolist()


def trained_on(task: Classification, seed: int) -> set[int]:
    context = task.context(Segment(0, 13), seed)
    return {i for t in range(13) for i in ids(task.batch(tf.constant(t), context).inputs)}


def own_dev(task: Classification, seed: int) -> list[int]:
    (order,) = task.own_split(seed)
    return ids(tf.gather(task._pool.images, order[:DEV]))


def test_an_epoch_is_all_that_is_not_dev_and_every_seed_has_another(source) -> None:
    task = make(source)
    for seed in (1, 2):
        assert trained_on(task, seed) == set(range(COUNT)) - set(own_dev(task, seed))
    assert own_dev(task, 1) != own_dev(task, 2)
    assert own_dev(task, 1) == own_dev(make(source), 1)


def test_what_is_reserved_is_in_no_split(source) -> None:
    task = make(source, reserved=40)
    theirs = set(ids(make(source, resplit=False, reserved=0)._splits["dev"].images))
    assert len(theirs) == DEV
    for seed in (1, 2, 3):
        found = trained_on(task, seed) | set(own_dev(task, seed))
        assert len(found) == COUNT - 40
        assert not found & theirs


def test_what_a_task_reserves_comes_before_its_dev_images(source) -> None:
    task = make(source, resplit=False, reserved=10)
    with pytest.raises(ValueError, match=rf"reserved={DEV} .* {DEV + 10} reserved and dev images"):
        task.check_teacher_task(make(source, reserved=DEV))
    theirs = set(ids(task._splits["dev"].images))
    teacher_task = make(source, reserved=DEV + 10)
    task.check_teacher_task(teacher_task)
    assert not theirs & (trained_on(teacher_task, 1) | set(own_dev(teacher_task, 1)))


def test_measures_are_of_the_own_dev_images(source) -> None:
    task, seed = make(source), 3
    weights, variables = task.initial(seed)
    weights = [w + 0.5 * tf.random.stateless_normal(w.shape, [1, 1]) for w in weights]
    state, own = StudentState(weights, (), variables), task.own_split(seed)
    rows = own_dev(task, seed)
    images, labels = source.train_images[rows], source.train_labels[rows]
    logits = images.reshape(DEV, -1) @ weights[0].numpy() + weights[1].numpy()
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    right = (logits.argmax(-1) == labels).mean()
    assert task.evaluate(state, "dev", *own)["accuracy"] == pytest.approx(right)
    measure = p[np.arange(DEV), labels].mean()
    value, _ = OuterGradient(task.dev_loss, task.num_dev_chunks)(state, *own)
    assert float(value) == pytest.approx(-measure, rel=1e-5)
    observed = task.observe(state, *own)
    assert float(observed[1]) == pytest.approx((logits.argmax(-1) == labels)[:20].mean())
    # Test data is the same for all.
    plain = make(source, resplit=False).evaluate(state, "test")
    assert task.evaluate(state, "test", *own) == pytest.approx(plain)


def test_the_hypergradient_is_the_slope_of_the_own_dev_loss(source) -> None:
    task, loss, seed = make(source), DynamicBilinear(), 5
    teacher = attention_teacher(task.coefficient_shapes(loss), len(task.feature_names))
    budget = Budget(12, observe_every=5)
    teaching = Teaching(task, loss, SGD(learning_rate=1.0, momentum=0.9), budget, teacher)
    theta = [
        tf.convert_to_tensor(v) + 0.01 * tf.random.stateless_normal(v.shape, [1, k])
        for k, v in enumerate(teacher.trainable_variables)
    ]
    outer = OuterGradient(task.dev_loss, task.num_dev_chunks)

    def value(theta) -> float:
        lessons = teaching.roll_out_each(theta, [seed])
        ((loss, _),) = [outer(lesson.rollout.state, *task.own_split(seed)) for lesson in lessons]
        return float(loss)

    lessons = teaching.roll_out_each(theta, [seed], record=True)
    ((found, adjoint),) = teaching.differentiate_each(lessons, outer)
    assert float(found) == pytest.approx(value(theta), rel=1e-6)
    (result,) = teaching.reverse_each(lessons, theta, [adjoint])
    norm = tf.linalg.global_norm(result.gradients)
    size, along = 3e-2, [g / norm for g in result.gradients]
    ends = [
        value([t + sign * size * d for t, d in zip(theta, along, strict=True)]) for sign in (1, -1)
    ]
    assert (ends[0] - ends[1]) / (2 * size) == pytest.approx(float(norm), rel=0.02)


def test_it_is_refused_where_it_makes_no_sense(source) -> None:
    with pytest.raises(ValueError, match="resplit=True would make dev images of those"):
        make(source, corruption=PairFlips([(0, 1)], 0.3))
    with pytest.raises(ValueError, match="resplit=True is for a teacher_task"):
        make(source).trained_on("dev")
