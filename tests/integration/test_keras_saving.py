import shutil

import keras
import numpy as np
import pytest
from integration_models import BATCH, export_strong

import tf_l2t
from tf_l2t.runtime.teacher_record import TeacherError


@pytest.fixture
def saved(taught, tmp_path):
    teacher = tmp_path / "teacher"
    shutil.copytree(taught.teacher.path, teacher)
    loss = tf_l2t.TaughtLoss(teacher, name="mine", reduction="sum")
    model = taught.compiled(loss=loss)
    teach = tf_l2t.Teach(teacher, taught.dev)
    model.fit(*taught.batches(1), batch_size=BATCH, callbacks=[teach], verbose=0)
    model.save(tmp_path / "model.keras")
    return model, teacher, tmp_path / "model.keras"


def test_a_compiled_model_comes_back_and_trains_on(taught, saved) -> None:
    model, teacher, path = saved
    loaded = keras.models.load_model(path)
    assert loaded.loss.get_config() == model.loss.get_config()
    assert (loaded.loss.name, loaded.loss.reduction) == ("mine", "sum")
    np.testing.assert_array_equal(
        loaded.predict(taught.dev[0], verbose=0), model.predict(taught.dev[0], verbose=0)
    )
    for each in (model, loaded):
        each.fit(
            *taught.batches(2),
            batch_size=BATCH,
            shuffle=False,
            callbacks=[tf_l2t.Teach(teacher, taught.dev)],
            verbose=0,
        )
    for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_teacher_that_is_gone_is_said_to_be(taught, saved) -> None:
    _, teacher, path = saved
    shutil.rmtree(teacher)
    with pytest.raises(TeacherError, match="cannot be loaded: there is no directory .*compile=F"):
        keras.models.load_model(path)
    model = keras.models.load_model(path, compile=False)
    model.compile(loss=tf_l2t.TaughtLoss(taught.teacher), optimizer="sgd")


def test_a_teacher_that_changed_is_said_to_have(saved) -> None:
    _, teacher, path = saved
    export_strong(teacher, seed=9)
    with pytest.raises(TeacherError, match="has changed since the model was saved; .*compile=Fal"):
        keras.models.load_model(path)


def test_the_config_makes_the_loss_again(taught) -> None:
    loss = tf_l2t.TaughtLoss(taught.teacher, from_logits=False)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert isinstance(again, tf_l2t.TaughtLoss)
    assert again.get_config() == loss.get_config()
    assert again.from_logits is False
