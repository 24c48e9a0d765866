"""The update rules against Keras's optimizers, and their derivatives against differences."""

import gin
import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.differentiation import SGD, Adam, AdamW, UpdateRule, update_rule_from_keras

SHAPES = ((3, 2), (4,), (), (2, 1, 3))
STEPS = 20
schedules = keras.optimizers.schedules

# float32 holds all of these numbers exactly, so that Keras rounds none of them in float64.
BETAS = {"beta_1": 0.875, "beta_2": 0.9375}
BOTH = {"weight_decay": 0.03125, "global_clipnorm": 0.5}
COSINE = schedules.CosineDecay(0.0, 10, alpha=0.1, warmup_target=0.5, warmup_steps=4)
PIECEWISE = schedules.PiecewiseConstantDecay([3, 9], [0.3, 0.1, 0.02])
EXPONENTIAL = schedules.ExponentialDecay(0.1, 5, 0.5)
SETTINGS = {
    "sgd": (SGD, {}),
    "sgd decay": (SGD, {"learning_rate": 0.1, "weight_decay": 0.03125}),
    "sgd clip": (SGD, {"learning_rate": 0.1, "global_clipnorm": 0.5}),
    "sgd clip inactive": (SGD, {"learning_rate": 0.1, "global_clipnorm": 1e3}),
    "momentum": (SGD, {"learning_rate": 0.1, "momentum": 0.875}),
    "momentum all": (SGD, {"momentum": 0.875, **BOTH}),
    "momentum cosine": (SGD, {"learning_rate": COSINE, "momentum": 0.875}),
    "nesterov": (SGD, {"learning_rate": 0.1, "momentum": 0.875, "nesterov": True}),
    "nesterov alone": (SGD, {"learning_rate": 0.1, "nesterov": True}),
    "nesterov all": (SGD, {"momentum": 0.875, "nesterov": True, **BOTH}),
    "piecewise": (SGD, {"learning_rate": PIECEWISE, "weight_decay": 0.03125}),
    "adam": (Adam, {**BETAS, "beta_2": 0.9990234375}),
    "adam no beta": (Adam, {"beta_1": 0.0, "beta_2": 0.5, "epsilon": 0.25}),
    "adam all": (Adam, {"learning_rate": 0.1, "epsilon": 1e-3, **BETAS, **BOTH}),
    "adam exponential": (Adam, {"learning_rate": EXPONENTIAL, **BETAS}),
    "adamw": (AdamW, {"weight_decay": 0.0078125, **BETAS}),
    "adamw cosine": (AdamW, {"learning_rate": COSINE, "weight_decay": 0.5, **BETAS}),
}
FEW = ("momentum all", "nesterov all", "momentum cosine", "piecewise", "adam all", "adamw cosine")
each_setting = pytest.mark.parametrize(("rule", "settings"), SETTINGS.values(), ids=SETTINGS)
few_settings = pytest.mark.parametrize(
    ("rule", "settings"), [SETTINGS[name] for name in FEW], ids=FEW
)
both_dtypes = pytest.mark.parametrize(("dtype", "rtol"), [("float32", 1e-6), ("float64", 1e-12)])


def draw(dtype: str, seed: int) -> list[tf.Tensor]:
    """Returns normal numbers of every shape."""
    rng = np.random.default_rng(seed)
    return [tf.constant(rng.standard_normal(shape), dtype) for shape in SHAPES]


def keras_of(rule, settings) -> keras.optimizers.Optimizer:
    return getattr(keras.optimizers, rule.__name__)(**settings)


def assert_steps_of_keras(rule, settings, weights, gradients, rtol: float) -> None:
    """Holds every step of a rule against that of the Keras optimizer of the same name."""
    optimizer, rule = keras_of(rule, settings), rule(**settings)
    variables = [keras.Variable(weight, dtype=weight.dtype.name) for weight in weights]
    slots = rule.init(weights)
    for step, gradient in enumerate(gradients):
        optimizer.apply(gradient, variables)
        weights, slots = rule.apply(weights, gradient, slots, tf.constant(step))
        for got, variable in zip(weights, variables, strict=True):
            np.testing.assert_allclose(
                got, variable.numpy(), rtol=rtol, atol=rtol, err_msg=f"step {step}"
            )


@each_setting
@both_dtypes
def test_steps_are_those_of_keras(rule, settings, dtype, rtol):
    gradients = [draw(dtype, 1 + step) for step in range(STEPS)]
    assert_steps_of_keras(rule, settings, draw(dtype, 0), gradients, rtol)


@pytest.mark.parametrize(
    ("rule", "settings"),
    [(SGD, {"momentum": 0.9, "weight_decay": 5e-4}), (Adam, {}), (AdamW, {})],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_steps_with_numbers_that_keras_rounds(rule, settings, dtype):
    gradients = [draw(dtype, 1 + step) for step in range(STEPS)]
    assert_steps_of_keras(rule, settings, draw(dtype, 0), gradients, 1e-6)


@pytest.mark.parametrize(
    "settings", [{}, {"momentum": 0.875}, {"momentum": 0.875, "nesterov": True, **BOTH}]
)
@both_dtypes
def test_an_l2_penalty_is_that_of_the_loss(settings, dtype, rtol):
    """Its gradient is clipped and gathers momentum, unlike weight decay."""
    optimizer = keras.optimizers.SGD(0.125, **settings)
    rule = SGD(0.125, l2_penalty=0.0625, **settings)
    weights = draw(dtype, 0)
    variables = [keras.Variable(weight, dtype=weight.dtype.name) for weight in weights]
    slots = rule.init(weights)
    for step in range(STEPS):
        gradients = draw(dtype, 1 + step)
        penalised = [
            gradient + 0.0625 * variable.value
            for gradient, variable in zip(gradients, variables, strict=True)
        ]
        optimizer.apply(penalised, variables)
        weights, slots = rule.apply(weights, gradients, slots, tf.constant(step))
        for got, variable in zip(weights, variables, strict=True):
            np.testing.assert_allclose(got, variable.numpy(), rtol=rtol, atol=rtol)


def test_an_l2_penalty_differentiates_and_takes_indexed_slices():
    rule = SGD(0.5, momentum=0.5, l2_penalty=0.25)
    weights, gradients = draw("float64", 0), draw("float64", 1)
    adjoint = adjoint_of(rule, weights)
    got = vjp(rule, weights, gradients, rule.init(weights), tf.constant(3), adjoint)
    count = len(weights)
    for k in range(count):
        # w' = w - (g + w/4)/2 + v/2, v' = v/2 - (g + w/4)/2
        np.testing.assert_allclose(got[k], adjoint[k] - (adjoint[k] + adjoint[count + k]) / 8)
    slices = tf.IndexedSlices(tf.ones([1, 2]), tf.constant([1]), tf.constant([3, 2]))
    (new,), _ = SGD(1.0, l2_penalty=0.5).apply([tf.ones([3, 2])], [slices], (), tf.constant(0))
    np.testing.assert_allclose(new, [[0.5] * 2, [-0.5] * 2, [0.5] * 2])
    with pytest.raises(ValueError, match=r"gradients\[0\] must be a tensor, got None"):
        SGD(l2_penalty=0.5).apply([tf.ones(1)], [None], (), tf.constant(0))


def test_settings_are_exact_in_float64():
    weight, slot = [tf.constant(1.0, tf.float64)], ([tf.constant(1.0, tf.float64)],)
    zero = [tf.constant(0.0, tf.float64)]
    _, (velocity,) = SGD(0.5, momentum=0.9).apply(weight, zero, slot, tf.constant(0))
    assert velocity[0].numpy() == 0.9
    weights, _ = SGD(0.5, weight_decay=0.1).apply(weight, zero, (), tf.constant(0))
    assert weights[0].numpy() == 1 - 0.1 * 0.5


@pytest.mark.parametrize("rule", [SGD, Adam, AdamW])
def test_defaults_are_those_of_keras(rule):
    config = keras_of(rule, {}).get_config()
    for name, value in vars(rule()).items():
        if not name.startswith("_"):
            # What Keras has not is off.
            np.testing.assert_allclose(value or 0, config.get(name) or 0, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("dtype", [tf.int32, tf.int64])
def test_learning_rate_may_be_any_function_of_the_step(dtype):
    rule = SGD(lambda step: 0.5 / (1 + tf.cast(step, tf.float64)))
    weights, slots = rule.apply([tf.ones(2)], [tf.ones(2)], (), tf.constant(1, dtype))
    np.testing.assert_array_equal(weights[0], [0.75, 0.75])
    assert slots == ()
    weights, _ = SGD(lambda step: 0.5).apply([tf.ones(2)], [tf.ones(2)], (), tf.constant(1, dtype))
    np.testing.assert_array_equal(weights[0], [0.5, 0.5])


def test_weights_of_different_dtypes():
    weights = [tf.ones(2, tf.float32), tf.ones(3, tf.float64)]
    for rule in (SGD(0.5, momentum=0.5, global_clipnorm=1.0), Adam(global_clipnorm=1.0)):
        new_weights, slots = rule.apply(weights, weights, rule.init(weights), tf.constant(0))
        for new in (new_weights, *slots):
            assert [tensor.dtype for tensor in new] == [tf.float32, tf.float64]
            np.testing.assert_allclose(new[0][0], new[1][0], rtol=1e-6)


def sparse_gradients(dtype: str, repeated: bool) -> list[list[tf.IndexedSlices | tf.Tensor]]:
    rng = np.random.default_rng(0)

    def slices() -> tf.IndexedSlices:
        values = tf.constant(rng.standard_normal((4, 3)), dtype)
        rows = tf.constant(rng.choice(6, 4, replace=repeated))
        return tf.IndexedSlices(values, rows, tf.constant([6, 3]))

    return [[slices(), tf.constant(rng.standard_normal(2), dtype)] for _ in range(STEPS)]


@each_setting
@pytest.mark.parametrize("repeated", [False, True])
@both_dtypes
def test_indexed_slices_as_in_keras(rule, settings, repeated, dtype, rtol):
    gradients = sparse_gradients(dtype, repeated)
    weights = [tf.ones([6, 3], dtype), tf.ones([2], dtype)]
    assert_steps_of_keras(rule, settings, weights, gradients, rtol)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_indexed_slices_keep_static_shapes_and_differentiate(jit_compile):
    rule = Adam(global_clipnorm=0.5)
    indices = tf.constant([1, 1, 4])

    @tf.function(jit_compile=jit_compile)
    def derivative(table, slots):
        with tf.GradientTape() as outer:
            outer.watch(table)
            with tf.GradientTape() as inner:
                inner.watch(table)
                loss = tf.reduce_sum(tf.gather(table, indices) ** 3)
            gradient = inner.gradient(loss, table)
            assert isinstance(gradient, tf.IndexedSlices)
            (new,), _ = rule.apply([table], [gradient], slots, tf.constant(0))
            assert new.shape == table.shape
        return tf.convert_to_tensor(outer.gradient(new, table))

    table = tf.reshape(tf.range(1.0, 13.0), [6, 2]) / 12
    got = derivative(table, rule.init([table]))
    assert got.shape == table.shape
    assert np.isfinite(got).all()
    np.testing.assert_array_equal(got.numpy()[[0, 2, 3, 5]], 1.0)


def random_slots(rule: UpdateRule, weights: list[tf.Tensor]) -> tuple:
    """Returns slots in the middle of a training, positive so that they suit second moments."""
    return tf.nest.map_structure(
        lambda slot: 0.1 + tf.abs(tf.random.stateless_normal(slot.shape, [1, 2], dtype=slot.dtype)),
        rule.init(weights),
    )


def vjp(rule: UpdateRule, weights, gradients, slots, step, adjoint):
    """Returns the adjoint of all inputs of a step, flat, given that of its outputs."""
    inputs = tf.nest.flatten((weights, gradients, slots))
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = tf.nest.flatten(rule.apply(weights, gradients, slots, step))
    return tape.gradient(
        outputs, inputs, adjoint, unconnected_gradients=tf.UnconnectedGradients.ZERO
    )


def adjoint_of(rule: UpdateRule, weights: list[tf.Tensor]) -> list[tf.Tensor]:
    flat = tf.nest.flatten((weights, rule.init(weights)))
    return [
        tf.random.stateless_normal(tensor.shape, [3, i], dtype=tensor.dtype)
        for i, tensor in enumerate(flat)
    ]


@each_setting
def test_derivative_of_a_step_is_that_of_central_differences(rule, settings):
    rule = rule(**settings)
    weights, gradients = draw("float64", 0), draw("float64", 1)
    slots, step = random_slots(rule, weights), tf.constant(7)
    adjoint = adjoint_of(rule, weights)
    inputs = (weights, gradients, slots)
    flat = [np.array(tensor) for tensor in tf.nest.flatten(inputs)]

    def scalar() -> float:
        tensors = [tf.constant(array) for array in flat]
        outputs = rule.apply(*tf.nest.pack_sequence_as(inputs, tensors), step)
        pairs = zip(tf.nest.flatten(outputs), adjoint, strict=True)
        return sum(float(tf.reduce_sum(output * weight)) for output, weight in pairs)

    for index, got in enumerate(vjp(rule, *inputs, step, adjoint)):
        want, values = np.zeros(got.shape), flat[index]
        for place in np.ndindex(*values.shape):
            ends = []
            for sign in (1, -1):
                flat[index] = values.copy()
                flat[index][place] += sign * 1e-5
                ends.append(scalar())
            want[place] = (ends[0] - ends[1]) / 2e-5
        flat[index] = values
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-8, err_msg=f"input {index}")


@each_setting
def test_reads_slots_tells_whether_the_derivative_reads_them(rule, settings):
    rule = rule(**settings)
    weights, gradients = draw("float64", 0), draw("float64", 1)
    step, adjoint = tf.constant(3), adjoint_of(rule, weights)
    slots = random_slots(rule, weights)
    at_slots = vjp(rule, weights, gradients, slots, step, adjoint)
    at_zeros = vjp(rule, weights, gradients, rule.init(weights), step, adjoint)
    if rule.reads_slots:
        assert not all(np.allclose(a, b) for a, b in zip(at_slots, at_zeros, strict=True))
    else:
        assert all(np.array_equal(a, b) for a, b in zip(at_slots, at_zeros, strict=True))


@few_settings
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_derivative_is_finite_where_gradients_and_slots_are_zero(
    rule, settings, dtype, jit_compile
):
    weights = draw(dtype, 0)
    zeros = [tf.zeros_like(weight) for weight in weights]
    assert_steps_of_keras(rule, settings, weights, [zeros], 1e-6)
    rule = rule(**settings)
    compiled = tf.function(lambda *inputs: vjp(rule, *inputs), jit_compile=jit_compile)
    adjoints = compiled(
        weights, zeros, rule.init(weights), tf.constant(0), adjoint_of(rule, weights)
    )
    assert all(np.isfinite(adjoint).all() for adjoint in adjoints)


def test_derivative_of_adam_in_a_zero_gradient_is_exact():
    rule = Adam(0.5, epsilon=0.125)
    weight, zero = [tf.zeros([1], tf.float64)], [tf.zeros([1], tf.float64)]
    ones = [tf.ones([1], tf.float64), *(tf.zeros([1], tf.float64) for _ in range(2))]
    _, in_gradient, _, in_second = vjp(rule, weight, zero, rule.init(weight), tf.constant(0), ones)
    difference = [
        rule.apply(weight, [tf.constant([sign * 1e-6], tf.float64)], rule.init(weight), 0)[0][0]
        for sign in (1, -1)
    ]
    want = (difference[0] - difference[1]) / 2e-6
    np.testing.assert_allclose(in_gradient, want, rtol=1e-5)
    np.testing.assert_array_equal(in_second, [0.0])


@pytest.mark.parametrize("value", [np.nan, np.inf])
@few_settings
def test_a_gradient_that_is_not_finite_spoils_the_weights_as_in_keras(rule, settings, value):
    gradients = [[tf.constant([value, 1.0])], [tf.constant([1.0, 1.0])]]
    assert_steps_of_keras(rule, settings, [tf.ones(2)], gradients, 1e-6)


@few_settings
def test_jit_is_the_same(rule, settings):
    rule = rule(**settings)
    weights, gradients = draw("float32", 0), draw("float32", 1)
    slots, adjoint = random_slots(rule, weights), adjoint_of(rule, weights)

    def both(step):
        after = rule.apply(weights, gradients, slots, step)
        return tf.nest.flatten(after) + vjp(rule, weights, gradients, slots, step, adjoint)

    step = tf.constant(4)
    eager = both(step)
    for jit_compile in (False, True):
        compiled = tf.function(both, jit_compile=jit_compile)(step)
        for got, want in zip(compiled, eager, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_adam_may_start_at_a_later_step():
    weights, gradients = draw("float64", 0), draw("float64", 1)
    late, early = Adam(lambda step: 0.01).starting_at(40), Adam(lambda step: 0.01)
    slots = late_slots = early.init(weights)
    for step in range(3):
        new, slots = early.apply(weights, gradients, slots, tf.constant(step))
        same, late_slots = late.apply(weights, gradients, late_slots, tf.constant(step + 40))
        for one, other in zip(new, same, strict=True):
            np.testing.assert_array_equal(one, other)
    rule = SGD(0.1, momentum=0.9)
    assert rule.starting_at(40) is rule


def test_a_missing_gradient_is_refused():
    with pytest.raises(ValueError, match=r"SGD: gradients\[1\] must be a tensor, got None"):
        SGD().apply([tf.ones(1)] * 2, [tf.ones(1), None], (), tf.constant(0))


@pytest.mark.parametrize(
    ("rule", "settings", "message"),
    [
        (SGD, {"momentum": 1.5}, r"SGD: momentum must be in \[0, 1\], got 1\.5; 0\.9 is usual"),
        (SGD, {"momentum": float("nan")}, "SGD: momentum must be .* got nan"),
        (SGD, {"learning_rate": -0.1}, r"SGD: learning_rate must be .* schedule, got -0\.1"),
        (SGD, {"learning_rate": "0.1"}, "SGD: learning_rate must be .* got '0.1'"),
        (SGD, {"learning_rate": None}, "SGD: learning_rate must be .* got None"),
        (SGD, {"l2_penalty": -1.0}, r"SGD: l2_penalty must be .* got -1\.0; 1e-4 is usual"),
        (SGD, {"weight_decay": -1.0}, r"SGD: weight_decay must be .* got -1\.0"),
        (SGD, {"global_clipnorm": 0.0}, r"SGD: global_clipnorm must be .* got 0\.0; .* None"),
        (Adam, {"beta_1": 1.0}, r"Adam: beta_1 must be in \[0, 1\), got 1\.0"),
        (Adam, {"beta_2": -0.1}, r"Adam: beta_2 must be in \[0, 1\), got -0\.1"),
        (Adam, {"epsilon": 0.0}, r"Adam: epsilon must be in \(0, inf\), got 0\.0"),
        (AdamW, {"weight_decay": None}, "AdamW: weight_decay must be .* got None; .* 0 is none"),
    ],
)
def test_arguments_out_of_range_are_refused(rule, settings, message):
    with pytest.raises(ValueError, match=message):
        rule(**settings)


@each_setting
def test_rule_from_keras_has_the_settings(rule, settings):
    made, want = update_rule_from_keras(keras_of(rule, settings)), vars(rule(**settings))
    assert type(made) is rule
    assert vars(made).keys() == want.keys()
    for name, value in vars(made).items():
        if isinstance(want[name], schedules.LearningRateSchedule):
            assert value is want[name]
        else:
            np.testing.assert_allclose(value or 0, want[name] or 0, rtol=1e-7, err_msg=name)


def test_rule_from_keras_takes_what_the_optimizer_does_now():
    optimizer = keras.optimizers.SGD(0.5, global_clipnorm=0.0)
    optimizer.learning_rate = 0.25
    rule = update_rule_from_keras(optimizer)
    assert rule.learning_rate == 0.25
    assert rule.global_clipnorm is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"amsgrad": True}, "amsgrad set, got True; leave it False"),
        ({"clipnorm": 0.5}, r"clipnorm set, got 0\.5; .* global_clipnorm"),
        ({"clipvalue": 0.5}, r"clipvalue set, got 0\.5; .* global_clipnorm"),
        ({"use_ema": True}, "use_ema set, got True; leave it False"),
        ({"loss_scale_factor": 8.0}, r"loss_scale_factor set, got 8\.0; leave it None"),
        ({"gradient_accumulation_steps": 2}, "gradient_accumulation_steps set, got 2; leave it"),
        ({"learning_rate": lambda: 0.5}, "learning_rate set, got .* use a schedule"),
    ],
)
def test_settings_that_no_rule_has_are_refused(settings, message):
    with pytest.raises(ValueError, match=f"Adam must not have {message}"):
        update_rule_from_keras(keras.optimizers.Adam(**settings))


@pytest.mark.parametrize("by", ["var_names", "var_list"])
def test_weights_without_decay_are_refused(by):
    optimizer = keras.optimizers.AdamW()
    variable = keras.Variable(np.ones(2, "float32"))
    optimizer.exclude_from_weight_decay(**{by: [variable] if by == "var_list" else ["bias"]})
    with pytest.raises(ValueError, match="AdamW must not have exclude_from_weight_decay"):
        update_rule_from_keras(optimizer)


def test_an_optimizer_that_took_steps_is_refused():
    optimizer = keras.optimizers.SGD(momentum=0.5)
    optimizer.apply([tf.ones(2)], [keras.Variable(np.ones(2, "float32"))])
    with pytest.raises(ValueError, match="SGD must not have iterations set, got 1; pass a new"):
        update_rule_from_keras(optimizer)
    fresh = type(optimizer).from_config(optimizer.get_config())
    assert update_rule_from_keras(fresh).momentum == 0.5


@pytest.mark.parametrize("rule", [SGD, Adam, AdamW])
def test_gin_knows_the_rules(rule):
    assert gin.get_configurable(f"tf_l2t.{rule.__name__}") is not None


class Subclass(keras.optimizers.SGD):
    pass


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Subclass, "SGD, Adam or AdamW, not of a subclass, got .* of class Subclass; use one"),
        (keras.optimizers.RMSprop, "of class RMSprop; use one of these or write an UpdateRule"),
        (
            lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD()),
            "of class LossScaleOptimizer; pass its inner_optimizer",
        ),
        (lambda: "sgd", "got 'sgd' of class str"),
    ],
)
def test_optimizers_of_other_classes_are_refused(make, message):
    with pytest.raises(TypeError, match=message):
        update_rule_from_keras(make())
