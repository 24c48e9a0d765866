"""Two replicas, in a process of its own: logical devices cannot be made later."""

import os
import pathlib
import signal
import subprocess
import sys

SCRIPT = """
import faulthandler, sys
faulthandler.enable()
sys.path.insert(0, sys.argv[1])
import numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras, pathlib, tf_l2t
from integration_models import export_strong

directory = pathlib.Path(sys.argv[2])
export_strong(directory)
random = np.random.default_rng(0)
means = random.normal(size=(3, 5))
y = random.integers(0, 3, 240)
x = (means[y] + random.normal(size=(240, 5))).astype("float32")
dev, train, (x, y) = (x[:60], y[:60]), (x[60:110], y[60:110]), (x[160:], y[160:])

def weights(strategy, load_within, training_data):
    with strategy.scope():
        model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])
        teacher = tf_l2t.load_teacher(directory) if load_within else str(directory)
        model.compile(optimizer=keras.optimizers.SGD(1.0, momentum=0.9),
                      loss=tf_l2t.TaughtLoss(teacher))
    model.set_weights([np.linspace(-1, 1, 15).reshape(5, 3), np.zeros(3)])
    teach = tf_l2t.Teach(directory, dev, training_data)
    for _ in range(2):
        history = model.fit(x, y, batch_size=8, shuffle=False, epochs=2, callbacks=[teach],
                            validation_data=dev, verbose=0)
    assert np.isfinite(history.history["val_loss"]).all()
    model.evaluate(*dev, verbose=0)
    try:
        model.fit(x, y, verbose=0)
    except ValueError as error:
        assert "nobody shows" in str(error)
    else:
        raise AssertionError
    return np.concatenate([w.ravel() for w in model.get_weights()])

mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert mirrored.num_replicas_in_sync == 2
for load_within, training_data in ((False, train), (True, None)):
    one = weights(tf.distribute.get_strategy(), False, training_data)
    two = weights(mirrored, load_within, training_data)
    np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)
print("equal", flush=True)
"""


def test_two_replicas_train_as_one(tmp_path) -> None:
    root = pathlib.Path(__file__).parents[2]
    # TensorFlow crashed in one of twenty runs, on a busy machine, and it is not known why: one
    # crash is forgiven, a wrong number never.
    for attempt in range(2):
        places = [str(pathlib.Path(__file__).parent), str(tmp_path / f"teacher{attempt}")]
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, *places],
            env={**os.environ, "PYTHONPATH": str(root), "TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != -signal.SIGSEGV:
            break
    assert done.returncode == 0, done.stdout + done.stderr[-6000:]
    assert "equal" in done.stdout
