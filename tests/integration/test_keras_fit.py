"""`fit` with a taught loss does what our own loop does."""

import numpy as np

import tf_l2t

BATCH, NUM_STEPS = 8, 30


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
