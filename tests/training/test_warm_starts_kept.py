"""Warm starts on the disk: one process makes each, others take it, and only what is the same."""

import threading
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.differentiation import SGD, Adam
from tf_l2t.losses import CrossEntropy
from tf_l2t.measures import ExpectedAccuracy
from tf_l2t.runtime.room import hardware
from tf_l2t.runtime.warm_start_files import DamagedWarmStartError, WarmStartFiles
from tf_l2t.students import logistic_regression
from tf_l2t.tasks import Classification
from tf_l2t.training.budget import Budget
from tf_l2t.training.evaluate import train_and_score
from tf_l2t.training.recipe import cosine
from tf_l2t.training.rollout import Teaching
from tf_l2t.training.warm_start import Made, WarmStart
from tf_l2t.training.warm_start_name import warm_start_name

STEPS = 14


def warming(task: Classification, rule=None, num_steps: int = STEPS, **more) -> Teaching:
    budget = Budget(num_steps, **{"observe_every": 7, **more})
    return Teaching(task, CrossEntropy(), rule or SGD(learning_rate=0.1), budget)


@pytest.fixture
def files(tmp_path) -> WarmStartFiles:
    return WarmStartFiles(tmp_path / "warm")


def weights_of(warmed) -> list[np.ndarray]:
    return [weight.numpy() for weight in warmed.state.weights]


def test_another_process_takes_what_was_made(task, files) -> None:
    (first,) = WarmStart(warming(task), store=files)([3])
    steps: list[int] = []
    other = WarmStart(warming(task, observe_every=2), store=files)
    other._teaching.roll_out_each = None
    (taken,) = other([3], steps.append)
    assert steps == [STEPS]
    for ours, theirs in zip(weights_of(taken), weights_of(first), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    (again,) = other([3])
    assert again.kept_seconds > taken.kept_seconds > 0


def test_what_took_those_that_are_used_is_told(task, files, tmp_path) -> None:
    warm = WarmStart(warming(task), store=files)
    warm([3]), warm([4])
    assert [told["hardware"] for told in files.used.values()] == 2 * [hardware()]
    others = WarmStartFiles(tmp_path / "warm")
    assert others.used == {}
    WarmStart(warming(task), store=others)([4])
    (name,) = others.used
    assert others.used[name] == files.used[name]
    assert others.used[name]["seconds"] > 0


def test_a_student_that_is_trained_again_goes_on_from_the_file(task, files) -> None:
    def student(store: WarmStartFiles | None) -> dict:
        warm = WarmStart(warming(task), store=store)
        budget = Budget(20, STEPS, observe_every=2)
        teaching = Teaching(task, CrossEntropy(), SGD(0.1), budget, warm_start=warm)
        return train_and_score(teaching, [], [5], ["dev"])[0]

    made, taken, alone = student(files), student(files), student(None)
    assert made["training_loss"] == taken["training_loss"] == alone["training_loss"]
    (path,) = files._directory.glob("*.npz")
    before = files.load(path.stem)
    files.save(path.stem, before._replace(seconds=1000.0))
    assert made["seconds"] < 1000 < student(files)["seconds"] < 1100


@pytest.mark.parametrize(
    "other",
    [
        lambda task: warming(task, SGD(learning_rate=0.2)),
        lambda task: warming(task, Adam(learning_rate=0.1)),
        lambda task: warming(task, SGD(learning_rate=cosine(0.1, 20))),
        lambda task: warming(task, num_steps=15),
        lambda task: warming(classification(task, batch_size=9)),
        lambda task: warming(classification(task, student=with_dropout)),
        lambda task: warming(classification(task, dev_size=51)),
    ],
    ids=["rate", "rule", "schedule", "steps", "batch", "dropout", "data"],
)
def test_students_that_do_not_begin_alike_have_other_names(other, task) -> None:
    names = {warm_start_name(warming(task), 3), warm_start_name(other(task), 3)}
    assert len(names) == 2


def test_students_of_one_seed_that_begin_alike_have_one_name(task) -> None:
    same = warming(classification(task), SGD(learning_rate=0.1), observe_every=3)
    assert warm_start_name(warming(task), 3) == warm_start_name(same, 3)
    assert warm_start_name(warming(task), 4) != warm_start_name(same, 3)
    nines = [classification(task, batch_size=9), task.with_batches_of(9)]
    assert len({warm_start_name(warming(each), 3) for each in nines}) == 1


def classification(task: Classification, **settings) -> Classification:
    settings = {"batch_size": 8, "dev_size": 50, "student": logistic_regression, **settings}
    return Classification(task.source, measure=ExpectedAccuracy(), chunk_size=20, **settings)


def with_dropout(input_shape: tuple[int, ...], num_classes: int) -> keras.Model:
    model = logistic_regression(input_shape, num_classes)
    *_, last = model.layers
    inputs = keras.Input(input_shape)
    flat = keras.layers.Dropout(0.5)(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, keras.layers.Dense(num_classes, name=last.name)(flat))


class Untold(keras.Model):
    """Does not tell its configuration."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.last = keras.layers.Dense(num_classes)

    def call(self, inputs, training=False):
        return self.last(keras.ops.reshape(inputs, (-1, 16)))


def test_a_student_without_a_configuration_is_refused_before_any_work(task, files) -> None:
    teaching = warming(classification(task, student=lambda shape, classes: Untold(classes)))
    with pytest.raises(ValueError, match=r"'untold', which does not tell .* get_config"):
        WarmStart(teaching, store=files, ahead=[1])
    WarmStart(teaching, ahead=[1])


def test_while_another_process_makes_one_a_later_one_is_made(task, files) -> None:
    teaching = warming(task)
    warm = WarmStart(teaching, store=files, ahead=[1, 2, 3])
    first, second, third = (warm_start_name(teaching, seed) for seed in (1, 2, 3))
    found: list = []
    with files.claim(first) as ours:
        assert ours
        thread = threading.Thread(target=lambda: found.extend(warm([1])))
        thread.start()
        end = time.monotonic() + 60
        while files.load(third) is None and time.monotonic() < end:
            time.sleep(0.05)
        assert files.load(second) is not None
        assert files.load(third) is not None
        assert not found
        weights, variables = task.initial(1)
        seven = [np.full(weight.shape, 7, np.float32) for weight in weights]
        files.save(first, Made(seven, [v.numpy() for v in variables], 1.5))
        thread.join(60)
    (warmed,) = found
    for weight in weights_of(warmed):
        assert np.all(weight == 7)
    # As if it had not waited.
    assert warmed.kept_seconds < 1.5


def test_a_claim_is_of_one_process_and_ends(files) -> None:
    with files.claim("one") as ours, files.claim("one") as theirs, files.claim("two") as another:
        assert (ours, theirs, another) == (True, False, True)
    with files.claim("one") as later:
        assert later


def test_a_file_is_no_place_for_them(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"--warm_starts must be a directory, got the file .*file"):
        WarmStartFiles(tmp_path / "file")


def test_a_damaged_file_is_named(files) -> None:
    made = Made([np.ones([2, 3], np.float32), np.zeros([3], np.float32)], [np.int64(4)], 2.0)
    files.save("one", made)
    read = files.load("one")
    tf.nest.map_structure(np.testing.assert_array_equal, tuple(read), tuple(made))
    path = files._directory / "one.npz"
    data = path.read_bytes()
    for damaged in (
        b"",
        data[: len(data) // 2],
        data.replace(b"\x00\x00\x80\x3f", b"\x00\x00\x00\x40"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(DamagedWarmStartError, match=r"one\.npz is damaged .* remove it"):
            files.load("one")
