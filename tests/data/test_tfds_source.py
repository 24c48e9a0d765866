"""Real builders of TFDS, prepared on disk: what they hold is read, what they lack is said."""

import pathlib
import socket

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tf_l2t.data import DatasetUnavailableError, tfds_images

VERSION = tfds.core.Version("1.0.0")


def image(k):
    return np.full((4, 5, 3), k, np.uint8)


class TinyImages(tfds.core.GeneratorBasedBuilder):
    """Six training and three test images of cats and dogs."""

    VERSION = VERSION
    IMAGE = tfds.features.Image(shape=(4, 5, 3))
    SPLITS = {"train": range(6), "test": range(6, 9)}

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(
                {
                    "image": self.IMAGE,
                    "label": tfds.features.ClassLabel(names=["cat", "dog"]),
                    "id": tfds.features.Text(),
                }
            ),
        )

    def _split_generators(self, dl_manager):
        return {name: self._generate_examples(ids) for name, ids in self.SPLITS.items()}

    def _generate_examples(self, ids):
        for k in ids:
            yield k, {"image": image(k), "label": k % 2, "id": f"{k}"}


class TinySized(TinyImages):
    """Images of varying size."""

    IMAGE = tfds.features.Image()


class TinyTrain(TinyImages):
    """No test split."""

    SPLITS = {"train": range(6), "validation": range(6, 9)}


class TinyTable(tfds.core.GeneratorBasedBuilder):
    """No images."""

    VERSION = VERSION

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict({"width": np.float32, "label": np.int64}),
        )

    def _split_generators(self, dl_manager):
        return {}

    def _generate_examples(self):
        return iter(())


class TinyManual(TinyImages):
    """Not to be downloaded by a program."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = "Ask the authors for tiny.zip."

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples([dl_manager.manual_dir / "tiny.zip"])}


def test_reads_a_prepared_dataset(tmp_path):
    TinyImages(data_dir=tmp_path).download_and_prepare()
    source = tfds_images("tiny_images", tmp_path)
    assert (source.name, source.class_names) == ("tiny_images", ("cat", "dog"))
    assert source.input_shape == (4, 5, 3)
    ids = source.train_images[:, 0, 0, 0]
    assert sorted(ids) == [0, 1, 2, 3, 4, 5]
    np.testing.assert_array_equal(source.train_images, [image(k) for k in ids])
    np.testing.assert_array_equal(source.train_labels, ids % 2)
    assert sorted(source.test_images[:, 0, 0, 0]) == [6, 7, 8]
    assert tfds_images("tiny_images:1.0.0", str(tmp_path)).digest == source.digest


def test_prepares_what_is_not_prepared(tmp_path):
    assert len(tfds_images("tiny_images", tmp_path).train_labels) == 6
    assert (tmp_path / "tiny_images" / "1.0.0" / "dataset_info.json").exists()


def refused(name, data_dir):
    with pytest.raises(DatasetUnavailableError) as caught:
        tfds_images(name, data_dir)
    message = str(caught.value)
    assert message.startswith(f"TFDS dataset name='{name}', data_dir={str(data_dir)!r} ")
    assert "\n" not in message
    return message


def test_unknown_builder(tmp_path):
    message = refused("no_such_images", tmp_path)
    assert (
        "cannot be found or set up (DatasetNotFoundError: Dataset no_such_images not found.)"
        in message
    )
    assert "correct the name" in message


def test_not_to_be_downloaded(tmp_path):
    message = refused("tiny_manual", tmp_path)
    assert (
        "is not prepared, and cannot be downloaded or prepared (AssertionError: Manual directory"
        in message
    )
    assert "name the folder in data_dir" in message


def test_no_network_is_said_at_once(tmp_path, monkeypatch):
    def no_network(host, port):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr("urllib.request.getproxies", dict)
    message = refused("cifar10", tmp_path)
    assert "(ConnectionError: www.cs.toronto.edu: Name or service not known)" in message
    assert "connect to the network, or prepare" in message


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("tiny_table", "has no feature image, only ['label', 'width']: choose another"),
        ("tiny_sized", "has images of the shape (None, None, 3), not of one fixed size: resize"),
        ("tiny_train", "has no split test, only ['train', 'validation']: choose another"),
    ],
)
def test_not_what_is_needed(tmp_path, name, problem):
    assert problem in refused(name, tmp_path)


@pytest.mark.parametrize("damage", [lambda p: p.unlink(), lambda p: p.write_bytes(b"damaged")])
def test_damaged_on_disk(tmp_path, damage):
    TinyImages(data_dir=tmp_path).download_and_prepare()
    folder = pathlib.Path(tmp_path, "tiny_images", "1.0.0")
    damage(next(folder.glob("*test.tfrecord*")))
    message = refused("tiny_images", tmp_path)
    assert "has a split test that cannot be read" in message
    assert f"delete the folder {folder}" in message
