"""`fit` with a taught loss does what our own loop does."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from integration_models import BATCH, NUM_STEPS

import tf_l2t
from tf_l2t import keras_lesson
from tf_l2t.differentiation import SGD
from tf_l2t.training.budget import Budget
from tf_l2t.training.rollout import Teaching
from tf_l2t.training.warm_start import WarmStart


def flat(weights) -> np.ndarray:
    return np.concatenate([np.ravel(w) for w in weights])


def own_weights(taught) -> np.ndarray:
    return flat(taught.teaching.roll_out(taught.theta, 1).rollout.state.weights)


def fit(taught, model, x, y, teach=None, **options) -> np.ndarray:
    teach = teach or tf_l2t.Teach(taught.teacher, taught.dev, taught.train)
    options = {"batch_size": BATCH, "shuffle": False, "verbose": 0, "callbacks": [teach], **options}
    model.fit(x, y, **options)
    return flat(model.get_weights())


def test_the_weights_are_those_of_our_own_loop(taught) -> None:
    model = taught.compiled()
    got = fit(taught, model, *taught.batches(1))
    np.testing.assert_allclose(got, own_weights(taught), rtol=1e-5, atol=1e-6)
    start = flat(taught.model().get_weights())
    assert np.abs(got - start).max() > 0.1


def test_after_a_warm_start_the_weights_are_those_of_our_own_loop_too(taught) -> None:
    rule, warm = SGD(learning_rate=0.3, momentum=0.9), 7
    task = taught.task
    warm_start = WarmStart(Teaching(task, task.likelihood, rule, Budget(warm, observe_every=5)))
    budget = Budget(NUM_STEPS, warm_start_steps=warm, observe_every=5)
    loss, teacher = taught.teaching._loss, taught.teaching.teacher
    ours = Teaching(task, loss, rule, budget, teacher, warm_start=warm_start)
    expected = flat(ours.roll_out(taught.theta, 1).rollout.state.weights)

    x, y = taught.batches(1)
    first, rest = slice(warm * BATCH), slice(warm * BATCH, None)
    optimizer = lambda: keras.optimizers.SGD(0.3, momentum=0.9)
    model = taught.model()
    model.compile(optimizer(), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x[first], y[first], batch_size=BATCH, shuffle=False, verbose=0)
    taught.compiled(model=model, optimizer=optimizer())
    teach = tf_l2t.Teach(taught.teacher, taught.dev, taught.train, warm_start_steps=warm)
    got = fit(taught, model, x[rest], y[rest], teach)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_every_part_of_the_state_matters_to_these_weights(taught, monkeypatch) -> None:
    """Else the test above would not see a wrong state."""
    right = own_weights(taught)
    for part in range(6):

        def blind(progress, observed, part=part):
            return tf.concat([progress[None], observed], 0) * (1 - tf.one_hot(part, 6))

        monkeypatch.setattr(keras_lesson, "state_vector", blind)
        got = fit(taught, taught.compiled(), *taught.batches(1))
        assert np.abs(got - right).max() > 1e-4, part


def subclassed(taught) -> keras.Model:
    inner = taught.model()

    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def call(self, inputs):
            return self.inner(inputs)

    return Own()


def functional(taught) -> keras.Model:
    inner = taught.model()
    inputs = keras.Input((4, 4, 1))
    return keras.Model(inputs, inner(inputs))


def with_probabilities(taught) -> keras.Model:
    inner = taught.model()
    return keras.Sequential([inner, keras.layers.Softmax()])


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (None, {"steps_per_execution": 5}),
        (None, {"jit_compile": True}),
        (None, {"run_eagerly": True}),
        (None, {"metrics": ["accuracy"]}),
        (functional, {}),
        (subclassed, {}),
        (with_probabilities, {"from_logits": False}),
    ],
)
def test_whatever_the_model_and_however_it_is_compiled(taught, make, options) -> None:
    options = dict(options)
    from_logits = options.pop("from_logits", True)
    options["loss"] = tf_l2t.TaughtLoss(taught.teacher.path, from_logits=from_logits)
    model = taught.compiled(model=make and make(taught), **options)
    got = fit(taught, model, *taught.batches(1))
    np.testing.assert_allclose(got, own_weights(taught), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "labels",
    [
        lambda y: y[:, None],
        lambda y: np.eye(3, dtype="float32")[y],
        lambda y: np.eye(3)[y].astype(bool),
        lambda y: y.astype("uint8"),
        lambda y: y.astype("float64"),
    ],
)
def test_whatever_the_labels(taught, labels) -> None:
    x, y = taught.batches(1)
    dev_x, dev_y = taught.dev
    teach = tf_l2t.Teach(
        taught.teacher, (dev_x, labels(dev_y)), (taught.train[0], labels(taught.train[1]))
    )
    got = fit(taught, taught.compiled(), x, labels(y), teach)
    np.testing.assert_allclose(got, own_weights(taught), rtol=1e-5, atol=1e-6)


def test_pipelines_validation_and_epochs_change_nothing(taught) -> None:
    x, y = taught.batches(1)
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH)
    dev = tf.data.Dataset.from_tensor_slices(taught.dev).batch(7)
    train = tf.data.Dataset.from_tensor_slices(taught.train).batch(16).repeat()
    teach = tf_l2t.Teach(taught.teacher, dev, train, batch_size=9)
    model = taught.compiled()
    # A stream of all batches, cut into epochs that no measurement falls together with.
    history = model.fit(
        data.repeat(),
        epochs=5,
        steps_per_epoch=6,
        shuffle=False,
        validation_data=dev,
        callbacks=[teach],
        verbose=0,
    )
    np.testing.assert_allclose(flat(model.get_weights()), own_weights(taught), rtol=1e-5, atol=1e-6)
    assert np.isfinite(history.history["val_loss"]).all()
    assert model.evaluate(dev, verbose=0) == pytest.approx(history.history["val_loss"][-1])


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # Keras, at its end
def test_an_epoch_of_unknown_length_takes_num_steps(taught) -> None:
    x, y = taught.batches(1)

    def generate():
        for k in range(NUM_STEPS):
            yield x[k * BATCH : (k + 1) * BATCH], y[k * BATCH : (k + 1) * BATCH]

    spec = tf.TensorSpec([None, 4, 4, 1]), tf.TensorSpec([None], tf.int64)
    data = tf.data.Dataset.from_generator(generate, output_signature=spec)
    teach = tf_l2t.Teach(taught.teacher, taught.dev, taught.train, num_steps=NUM_STEPS)
    model = taught.compiled()
    model.fit(data, callbacks=[teach], shuffle=False, verbose=0)
    np.testing.assert_allclose(flat(model.get_weights()), own_weights(taught), rtol=1e-5, atol=1e-6)
    fresh = taught.compiled()
    with pytest.raises(ValueError, match="length of an epoch is not known.*num_steps="):
        fresh.fit(data, callbacks=[tf_l2t.Teach(taught.teacher, taught.dev)], shuffle=False)


@pytest.mark.parametrize("same_teach", [True, False])
def test_a_training_in_two_parts_is_a_training(taught, same_teach) -> None:
    x, y = taught.batches(1)
    half = 15 * BATCH
    model = taught.compiled()
    make = lambda: tf_l2t.Teach(taught.teacher, taught.dev, taught.train)
    teach = make()
    fit(
        taught,
        model,
        x[:half],
        y[:half],
        teach,
        epochs=2,
        initial_epoch=0,
        steps_per_epoch=15,
        callbacks=[teach, StopAfterFirstEpoch()],
    )
    again = teach if same_teach else make()
    got = fit(taught, model, x[half:], y[half:], again, epochs=2, initial_epoch=1)
    np.testing.assert_allclose(got, own_weights(taught), rtol=1e-5, atol=1e-6)


class StopAfterFirstEpoch(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None) -> None:
        self.model.stop_training = True


def test_a_second_fit_begins_at_t_0_and_traces_nothing_again(taught) -> None:
    x, y = taught.batches(1)
    model = taught.compiled()
    teach = tf_l2t.Teach(taught.teacher, taught.dev, taught.train)
    fit(taught, model, x, y, teach)
    function = model.train_function.original
    for variable, value in zip(model.weights, taught.model().weights, strict=True):
        variable.assign(value)
    for variable in model.optimizer.variables:
        if variable is not model.optimizer.learning_rate:
            variable.assign(tf.zeros_like(variable))
    got = fit(taught, model, x, y, teach)
    assert model.train_function.original is function
    np.testing.assert_allclose(got, own_weights(taught), rtol=1e-5, atol=1e-6)


def test_a_new_optimizer_has_a_counter_of_its_own(taught) -> None:
    x, y = taught.batches(1)
    loss = tf_l2t.TaughtLoss(taught.teacher)
    model = taught.compiled(loss=loss)
    fit(taught, model, x[: 7 * BATCH], y[: 7 * BATCH], validation_data=taught.dev)
    initial = taught.model().get_weights()
    model = taught.compiled(model=model, loss=loss)
    assert np.isfinite(model.evaluate(*taught.dev, verbose=0))
    model.set_weights(initial)
    history = []

    class Record(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None) -> None:
            history.append(logs["val_loss"])

    teach = tf_l2t.Teach(taught.teacher, taught.dev, taught.train)
    got = fit(taught, model, x, y, callbacks=[teach, Record()], validation_data=taught.dev)
    np.testing.assert_allclose(got, own_weights(taught), rtol=1e-5, atol=1e-6)
    other = taught.compiled()
    fit(
        taught,
        other,
        x,
        y,
        callbacks=[teach.__class__(taught.teacher, taught.dev, taught.train), Record()],
        validation_data=taught.dev,
    )
    assert history[0] == pytest.approx(history[1], rel=1e-5)


class AtEpochs(keras.callbacks.Callback):
    """What the lesson of a loss was told before each epoch, and the accuracy at its end."""

    def __init__(self, loss: tf_l2t.TaughtLoss) -> None:
        super().__init__()
        self.loss, self.observed, self.accuracies = loss, [], []

    def on_train_batch_begin(self, batch, logs=None) -> None:
        if batch == 0:
            self.observed.append(self.loss.lesson._observed.numpy())

    def on_epoch_end(self, epoch, logs=None) -> None:
        self.accuracies.append(logs.get("accuracy"))


def fit_between_measurements(taught, model, teach, told) -> None:
    """An epoch is what lies between two measurements, and has a validation at its end."""
    data = tf.data.Dataset.from_tensor_slices(taught.batches(1)).batch(BATCH).repeat()
    model.fit(
        data,
        epochs=6,
        steps_per_epoch=5,
        shuffle=False,
        validation_data=taught.dev,
        callbacks=[teach, told],
        verbose=0,
    )


def test_without_training_data_the_batches_are_counted(taught) -> None:
    loss = tf_l2t.TaughtLoss(taught.teacher)
    told = AtEpochs(loss)
    model = taught.compiled(loss=loss, metrics=["accuracy"])
    fit_between_measurements(taught, model, tf_l2t.Teach(taught.teacher, taught.dev), told)
    assert told.observed[0][0] == told.observed[0][1]
    found = [observed[0] for observed in told.observed[1:]]
    np.testing.assert_allclose(found, told.accuracies[:-1], rtol=1e-6)


def test_a_new_optimizer_and_validation_batches_that_are_not_trained_on(taught) -> None:
    loss = tf_l2t.TaughtLoss(taught.teacher)
    teach = tf_l2t.Teach(taught.teacher, taught.dev)
    model = taught.model()
    initial = model.get_weights()
    first, second = AtEpochs(loss), AtEpochs(loss)
    for told in (first, second):
        model.set_weights(initial)
        fit_between_measurements(taught, taught.compiled(model=model, loss=loss), teach, told)
    np.testing.assert_allclose(second.observed, first.observed, rtol=1e-5)


def test_the_last_execution_may_have_fewer_steps(taught) -> None:
    x, y = taught.batches(1)
    x, y = x[: 7 * BATCH], y[: 7 * BATCH]
    got = fit(taught, taught.compiled(steps_per_execution=5), x, y)
    np.testing.assert_allclose(got, fit(taught, taught.compiled(), x, y), rtol=1e-4, atol=1e-5)


def test_sample_weights_work(taught) -> None:
    x, y = taught.batches(1)
    weighted, zero = taught.compiled(), taught.compiled()
    same = fit(taught, weighted, x, y, sample_weight=np.ones(len(y)))
    np.testing.assert_allclose(same, own_weights(taught), rtol=1e-5, atol=1e-6)
    still = fit(taught, zero, x, y, sample_weight=np.zeros(len(y)))
    np.testing.assert_array_equal(still, flat(taught.model().get_weights()))


@pytest.mark.parametrize(
    ("policy", "floatx"),
    [("mixed_float16", "float32"), ("mixed_bfloat16", "float32"), ("float64", "float64")],
)
def test_other_dtype_policies(taught, policy, floatx) -> None:
    before = keras.config.floatx(), keras.config.dtype_policy()
    student = taught.task.initial(1)[0]
    try:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)
        layers = [keras.layers.Flatten(), keras.layers.Dense(6, activation="relu")]
        model = keras.Sequential([keras.Input((4, 4, 1)), *layers, keras.layers.Dense(3)])
        model.set_weights([w.numpy() for w in student])
        got = fit(taught, taught.compiled(model=model), *taught.batches(1))
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_dtype_policy(before[1])
    tolerance = 1e-3 if policy == "float64" else 0.3
    np.testing.assert_allclose(got, own_weights(taught), atol=tolerance)


def test_dev_data_of_one_class_works(taught) -> None:
    x, y = taught.dev
    teach = tf_l2t.Teach(taught.teacher, (x[y == 1], y[y == 1]))
    assert np.isfinite(fit(taught, taught.compiled(), *taught.batches(1), teach)).all()


@pytest.mark.parametrize("jit_compile", [False, True])
def test_nan_in_the_inputs_is_seen(taught, jit_compile) -> None:
    x, y = taught.batches(1)
    x[0] = np.nan
    # Without ReLU, which makes 0 of NaN.
    linear = keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
    )
    model = taught.compiled(model=linear, jit_compile=jit_compile)
    history = model.fit(
        x, y, batch_size=BATCH, callbacks=[tf_l2t.Teach(taught.teacher, taught.dev)], verbose=0
    )
    assert np.isnan(history.history["loss"][-1])


def test_the_last_batch_may_be_smaller(taught) -> None:
    x, y = taught.train
    weights = fit(taught, taught.compiled(), x[:101], y[:101], epochs=3)
    assert np.isfinite(weights).all()


def test_steps_in_one_execution_under_xla(taught) -> None:
    model = taught.compiled(steps_per_execution=5, jit_compile=True)
    got = fit(taught, model, *taught.batches(1))
    np.testing.assert_allclose(got, own_weights(taught), rtol=1e-3, atol=1e-4)


def test_inputs_may_have_names_and_dev_data_come_from_a_py_dataset(taught) -> None:
    inner = taught.model()
    image = keras.Input((4, 4, 1), name="image")
    model = taught.compiled(model=keras.Model({"image": image}, inner(image)))
    dev_x, dev_y = taught.dev

    class Dev(keras.utils.PyDataset):
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index):
            part = slice(11 * index, 11 * index + 11)
            return {"image": dev_x[part]}, dev_y[part]

    x, y = taught.batches(1)
    train = {"image": taught.train[0]}, taught.train[1]
    teach = tf_l2t.Teach(taught.teacher, Dev(), train)
    got = fit(taught, model, {"image": x}, y, teach)
    np.testing.assert_allclose(got, own_weights(taught), rtol=1e-5, atol=1e-6)


def test_a_short_py_dataset_ends(taught) -> None:
    class Dev(keras.utils.PyDataset):
        def __len__(self) -> int:
            return 1

        def __getitem__(self, index):
            part = slice(7 * index, 7 * index + 7)
            return taught.dev[0][:7][part], taught.dev[1][:7][part]

    teach = tf_l2t.Teach(taught.teacher, Dev())
    assert np.isfinite(fit(taught, taught.compiled(), *taught.batches(1), teach)).all()


def test_models_are_saved_and_restored_while_they_train(taught, tmp_path) -> None:
    x, y = taught.batches(1)
    model = taught.compiled()
    fit(
        taught,
        model,
        x[: 15 * BATCH],
        y[: 15 * BATCH],
        epochs=2,
        callbacks=[
            tf_l2t.Teach(taught.teacher, taught.dev),
            keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras"),
            keras.callbacks.TerminateOnNaN(),
        ],
    )
    first = keras.models.load_model(tmp_path / "1.keras")
    got = fit(
        taught,
        first,
        x[: 15 * BATCH],
        y[: 15 * BATCH],
        tf_l2t.Teach(taught.teacher, taught.dev, num_steps=30),
        epochs=2,
        initial_epoch=1,
    )
    # Without training_data: the counts of the first epoch are not in the file.
    np.testing.assert_allclose(got, flat(model.get_weights()), atol=0.1)


def test_evaluation_with_the_callback_alone_is_no_training(taught) -> None:
    teach = tf_l2t.Teach(taught.teacher, taught.dev)
    model = taught.compiled()
    fit(taught, model, *taught.batches(1), teach)
    without = model.evaluate(*taught.dev, verbose=0)
    assert model.evaluate(*taught.dev, verbose=0, callbacks=[teach]) == without


def test_evaluation_between_two_steps_or_two_fits_is_no_training(taught) -> None:
    # Their labels are wrong, which the teacher would see in the training accuracy.
    x, y = taught.batches(1)
    wrong = x[:40], (y[:40] + 1) % 3

    class Evaluate(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
            if batch % 3 == 0:
                evaluate(self.model)

    def evaluate(model: keras.Model) -> None:
        model.evaluate(*wrong, batch_size=BATCH, verbose=0)

    def weights(*callbacks: keras.callbacks.Callback, between: bool) -> np.ndarray:
        model, half = taught.compiled(), NUM_STEPS // 2 * BATCH
        teach = tf_l2t.Teach(taught.teacher, taught.dev, num_steps=NUM_STEPS)
        options = {"batch_size": BATCH, "shuffle": False, "verbose": 0}
        options["callbacks"] = [teach, *callbacks]
        model.fit(x[:half], y[:half], **options)
        if between:
            evaluate(model)
        model.fit(x[half:], y[half:], initial_epoch=1, epochs=2, **options)
        return flat(model.get_weights())

    expected = weights(between=False)
    np.testing.assert_array_equal(weights(between=True), expected)
    np.testing.assert_array_equal(weights(Evaluate(), between=True), expected)


def test_a_training_that_begins_again_does_not_count_the_one_before(taught) -> None:
    teach = tf_l2t.Teach(taught.teacher, taught.dev)
    x, y = taught.batches(1)

    def weights(model: keras.Model) -> np.ndarray:
        fit(taught, model, x, (y + 1) % 3, teach)
        model.set_weights(taught.model().get_weights())
        for variable in model.optimizer.variables:
            if variable is not model.optimizer.learning_rate:
                variable.assign(tf.zeros_like(variable))
        return fit(taught, model, x, y, teach)

    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    fresh = taught.compiled(optimizer=keras.optimizers.SGD(0.1, momentum=0.9))
    expected = fit(taught, fresh, x, y, tf_l2t.Teach(taught.teacher, taught.dev))
    np.testing.assert_array_equal(weights(taught.compiled(optimizer=optimizer)), expected)
