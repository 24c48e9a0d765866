"""What cannot work is refused, in one sentence that says why and what to do."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from integration_models import BATCH, export_strong

import tf_l2t
from tf_l2t.losses import DynamicDiagonal, PerToken
from tf_l2t.runtime.export import export_teacher
from tf_l2t.runtime.teacher_record import teacher_record
from tf_l2t.teachers import attention_teacher
from tf_l2t.teachers.translation_features import FEATURE_DEFINITIONS, FEATURE_NAMES


def fit(taught, model, x=None, y=None, teach=None, **options) -> None:
    if x is None:
        x, y = taught.batches(1)
    teach = teach or tf_l2t.Teach(taught.teacher, taught.dev)
    options = {"batch_size": BATCH, "shuffle": False, "verbose": 0, "callbacks": [teach], **options}
    model.fit(x, y, **options)


def test_no_teach(taught) -> None:
    for use in (
        lambda model: fit(taught, model, callbacks=[]),
        lambda model: model.evaluate(*taught.dev, verbose=0),
        lambda model: model.train_on_batch(*taught.dev),
    ):
        with pytest.raises(ValueError, match="nobody shows the model to the teacher; pass"):
            use(taught.compiled())


def test_no_teach_after_a_fit_with_one(taught) -> None:
    model = taught.compiled()
    fit(taught, model)
    before = model.get_weights()
    assert np.isfinite(model.evaluate(*taught.dev, verbose=0))
    for use in (
        lambda: fit(taught, model, callbacks=[]),
        lambda: model.train_on_batch(*taught.dev),
        lambda: fit(taught, taught.compiled(model=model, loss=model.loss), callbacks=[]),
    ):
        with pytest.raises(ValueError, match="nobody shows the model to the teacher; pass"):
            use()
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


def test_no_teach_after_an_interruption(taught) -> None:
    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None) -> None:
            if batch == 7:
                raise KeyboardInterrupt

    model = taught.compiled()
    teach = tf_l2t.Teach(taught.teacher, taught.dev)
    with pytest.raises(KeyboardInterrupt):
        fit(taught, model, callbacks=[teach, Interrupt()])
    losses = []

    class Record(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None) -> None:
            losses.append(logs["loss"])

    with pytest.raises(tf.errors.InvalidArgumentError, match="nobody shows the model"):
        fit(taught, model, callbacks=[Record()])
    # Measured at step 5, interrupted after step 7: good for no step after 10.
    assert len(losses) == 3
    assert np.isfinite(losses).all()
    assert all(np.isfinite(weights).all() for weights in model.get_weights())


def test_a_teacher_of_warm_students_asks_for_a_warm_start(tmp_path) -> None:
    export_strong(tmp_path / "teacher", budget={"num_steps": 30, "warm_start_steps": 10})
    dev = np.zeros([2, 4, 4, 1], "float32"), np.array([0, 1])
    with pytest.raises(ValueError, match=r"first 10 of 30 steps\. .* warm_start_steps=0 goes with"):
        tf_l2t.Teach(tmp_path / "teacher", dev)
    tf_l2t.Teach(tmp_path / "teacher", dev, warm_start_steps=0)


@pytest.mark.parametrize(
    ("loss", "shown"),
    [
        ("sparse_categorical_crossentropy", "'sparse_categorical_crossentropy'"),
        (["sparse_categorical_crossentropy"], r".*\['sparse_categorical_crossentropy'\].*"),
    ],
)
def test_another_loss(taught, loss, shown) -> None:
    with pytest.raises(ValueError, match=f"must be a tf_l2t.TaughtLoss, got {shown}; compile"):
        fit(taught, taught.compiled(loss=loss))


def test_another_teacher(taught, tmp_path) -> None:
    export_strong(tmp_path / "other", seed=5)
    teach = tf_l2t.Teach(tmp_path / "other", taught.dev)
    with pytest.raises(ValueError, match="other, and that of the model's loss .*give both the"):
        fit(taught, taught.compiled(), teach=teach)


def test_a_teacher_of_translation(tmp_path) -> None:
    loss = PerToken(DynamicDiagonal())
    names = [f"word {k}" for k in range(5)]
    features = zip(FEATURE_NAMES, FEATURE_DEFINITIONS, strict=True)
    record = teacher_record(loss, names, features=features, observed_examples=1, observe_every=1)
    model = attention_teacher(loss.coefficient_shapes(5), 3)
    theta = [tf.convert_to_tensor(v) for v in model.trainable_variables]
    export_teacher(tmp_path / "teacher", model, theta, record)
    with pytest.raises(ValueError, match=r"for students that translate.*tf_l2t\.teach"):
        tf_l2t.TaughtLoss(tmp_path / "teacher")


def test_one_loss_for_two_models(taught) -> None:
    loss = tf_l2t.TaughtLoss(taught.teacher)
    first = taught.compiled(loss=loss)
    fit(taught, first)
    with pytest.raises(ValueError, match="teaches another model already; give each model"):
        fit(taught, taught.compiled(loss=loss))


def test_other_classes(taught) -> None:
    model = keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(4)]
    )
    with pytest.raises(ValueError, match=r"must return \[batch, 3\], the classes of the teacher"):
        fit(taught, taught.compiled(model=model))


def test_more_dimensions(taught) -> None:
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match=r"must return \[batch, 3\]"):
        fit(taught, taught.compiled(model=model))


def test_logits_and_probabilities(taught) -> None:
    soft = keras.Sequential([taught.model(), keras.layers.Softmax()])
    with pytest.raises(ValueError, match="returns probabilities, .*remove the softmax"):
        fit(taught, taught.compiled(model=soft))
    loss = tf_l2t.TaughtLoss(taught.teacher, from_logits=False)
    with pytest.raises(ValueError, match="does not return probabilities, .*from_logits=True"):
        fit(taught, taught.compiled(loss=loss))


def test_a_softmax_in_a_subclassed_model_is_seen_too(taught) -> None:
    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.inner = taught.model()

        def call(self, inputs):
            return tf.nn.softmax(self.inner(inputs))

    with pytest.raises(ValueError, match="returns probabilities"):
        fit(taught, taught.compiled(model=Own()))


def test_gradient_accumulation(taught) -> None:
    for optimizer in (
        keras.optimizers.SGD(0.1, gradient_accumulation_steps=2),
        keras.optimizers.LossScaleOptimizer(
            keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
        ),
    ):
        with pytest.raises(ValueError, match="gradient_accumulation_steps=2 .*larger batches"):
            fit(taught, taught.compiled(optimizer=optimizer))


def test_steps_per_execution(taught) -> None:
    with pytest.raises(ValueError, match="steps_per_execution=4 must divide observe_every=5"):
        fit(taught, taught.compiled(steps_per_execution=4))
    x, y = taught.batches(1)
    with pytest.raises(ValueError, match="must divide the steps of an epoch, got 7; pass"):
        fit(
            taught, taught.compiled(steps_per_execution=5), x[: 7 * BATCH], y[: 7 * BATCH], epochs=2
        )


def test_num_steps(taught) -> None:
    teach = tf_l2t.Teach(taught.teacher, taught.dev, num_steps=29)
    with pytest.raises(
        ValueError, match="at least the 30 steps of fit and warm start, got 29; leave"
    ):
        fit(taught, taught.compiled(), teach=teach)


def unknown_length(taught) -> tf.data.Dataset:
    x, y = taught.batches(1)
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH)
    return data.filter(lambda x, y: True)


def test_more_steps_than_num_steps(taught) -> None:
    teach = tf_l2t.Teach(taught.teacher, taught.dev, num_steps=12)
    with pytest.raises(ValueError, match="goes on after num_steps=12 steps"):
        taught.compiled().fit(unknown_length(taught), callbacks=[teach], shuffle=False, verbose=0)


def test_initial_epoch_of_unknown_length(taught) -> None:
    teach = tf_l2t.Teach(taught.teacher, taught.dev, num_steps=100)
    with pytest.raises(ValueError, match="initial_epoch=1 needs an epoch of known length; pass"):
        taught.compiled().fit(
            unknown_length(taught),
            callbacks=[teach],
            shuffle=False,
            verbose=0,
            epochs=3,
            initial_epoch=1,
        )


@pytest.mark.parametrize("bad", [3, -1, 0.5])
def test_labels_that_are_no_class(taught, bad) -> None:
    x, y = taught.batches(1)
    y = y.astype("float32")
    y[70] = bad
    with pytest.raises(tf.errors.InvalidArgumentError, match="labels must be from 0 to 2"):
        fit(taught, taught.compiled(), x, y)
    compiled = taught.compiled(jit_compile=True)
    fit(taught, compiled, x, y)
    assert np.isnan(compiled.get_weights()[0]).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_steps": 0}, "num_steps must be at least 1, got 0"),
        ({"observe_every": 2.5}, "observe_every must be a whole number, got 2.5"),
        ({"observed_examples": 0}, "observed_examples must be at least 1"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"dev_data": 7}, r"dev_data must be \(inputs, labels\) .* got int"),
        ({"dev_data": tf.data.Dataset.range(3)}, "got a batch that is a"),
        (
            {"dev_data": tf.data.Dataset.from_tensor_slices((np.zeros((2, 4)), np.zeros(2, int)))},
            r"dev_data: labels must be .* got \(\)",
        ),
        ({"dev_data": (np.zeros((0, 4, 4, 1)), np.zeros(0, int))}, "dev_data has no example"),
        ({"dev_data": (np.zeros((5, 4, 4, 1)), np.zeros(4, int))}, r"got \[4, 5\] of them"),
        ({"dev_data": (np.zeros((2, 4, 4, 1)), np.array([0, 3]))}, "must be from 0 to 2"),
        ({"dev_data": (np.zeros((2, 4, 4, 1)), np.array([-1, 0]))}, "must be from 0 to 2"),
        ({"dev_data": (np.zeros((2, 4, 4, 1)), np.zeros((2, 4)))}, r"dev_data: labels .* \(2, 4\)"),
        ({"dev_data": (np.zeros((2, 4, 4, 1)), np.array(["a", "b"]))}, "must be numbers, got str"),
        ({"dev_data": (np.zeros((2, 4)), np.full((2, 3), 1 / 3))}, "must be from 0 to 2"),
        (
            {"training_data": (np.zeros((0, 4, 4, 1)), np.zeros(0, int))},
            "training_data has no example",
        ),
        ({"teacher": "nowhere"}, "there is no directory .*nowhere; give the path"),
    ],
)
def test_bad_arguments_of_teach(taught, arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        tf_l2t.Teach(**{"teacher": taught.teacher, "dev_data": taught.dev, **arguments})
