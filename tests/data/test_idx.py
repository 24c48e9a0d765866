"""Whole idx files are read; damaged and wrong ones are named, with what is wrong and the remedy."""

import gzip
import hashlib
import importlib.resources
import random
import shutil
import struct
import tracemalloc

import numpy as np
import pytest

from tf_l2t.data import embedded_mnist, idx_images, read_idx

ARRAY = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
RAW = bytes([0, 0, 8, 3]) + struct.pack(">3I", 2, 3, 4) + ARRAY.tobytes()


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "digits.gz"
        path.write_bytes(content)
        return path

    return write


def test_reads_what_was_written(write):
    packed = gzip.compress(RAW)
    path = write(packed)
    np.testing.assert_array_equal(read_idx(path), ARRAY)
    np.testing.assert_array_equal(read_idx(str(path), hashlib.sha256(packed).hexdigest()), ARRAY)


def test_embedded_mnist_is_the_published_one():
    source = embedded_mnist()
    assert (source.name, source.input_shape, source.num_classes) == ("mnist", (28, 28, 1), 10)
    assert source.train_images.shape == (60000, 28, 28, 1)
    assert source.test_images.shape == (10000, 28, 28, 1)
    assert source.train_labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert np.bincount(source.test_labels).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip
    assert source.train_images.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert source.train_images.std() / 255 == pytest.approx(0.3081, abs=5e-5)


@pytest.mark.parametrize("kept", [0, 1, 9, 10, 11, 20, -9, -8, -1])
def test_a_cut_gzip_file(write, kept):
    with pytest.raises(ValueError, match=r"digits\.gz .*reinstall"):
        read_idx(write(gzip.compress(RAW)[:kept]))


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"", "starts with the bytes none"),
        (RAW[:3], "starts with the bytes 00 00 08"),
        (RAW[:4], "ends inside its header, after 4 of 16 bytes"),
        (RAW[:15], "ends inside its header, after 15 of 16 bytes"),
        (RAW[:16], "holds 0 bytes of data, but its header says 2 x 3 x 4 = 24"),
        (RAW[:-1], "holds 23 bytes of data"),
        (RAW + b"\0", "holds 25 bytes or more of data"),
        (b"\1" + RAW[1:], "starts with the bytes 01 00 08 03"),
        (b"\0\0\x0d" + RAW[3:], "starts with the bytes 00 00 0d 03"),
        (b"\0\0\x08\0" + RAW[4:], "starts with the bytes 00 00 08 00"),
        (b"\0\0\x08\xff" + bytes(4 * 255), "says 255 dimensions"),
        (b"<html>404</html>", "starts with the bytes 3c 68 74 6d"),
    ],
)
def test_wrong_content(write, raw, problem):
    with pytest.raises(ValueError, match=rf"digits\.gz {problem}.*reinstall"):
        read_idx(write(gzip.compress(raw)))


def test_damaged_in_the_middle(write):
    packed = bytearray(gzip.compress(RAW * 50))
    for position in range(10, len(packed)):
        damaged = packed.copy()
        damaged[position] ^= 0xFF
        with pytest.raises(ValueError, match=r"digits\.gz .*reinstall"):
            read_idx(write(damaged))


def test_a_size_of_terabytes_makes_no_room_for_them(write):
    raw = b"\0\0\x08\3" + struct.pack(">3I", 60_000, 2**31, 2**31) + bytes(100)
    path = write(gzip.compress(raw))
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"holds 100 bytes of data, but .*60000 x 2147483648"):
        read_idx(path)
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()


def test_a_file_that_unpacks_to_more_than_it_says_is_left_packed(write):
    path = write(gzip.compress(RAW + bytes(50_000_000)))
    tracemalloc.start()
    with pytest.raises(ValueError, match="holds 25 bytes or more of data"):
        read_idx(path)
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()


def test_any_bytes_after_a_right_start(write):
    draw = random.Random(0)
    for _ in range(200):
        raw = RAW[: draw.randrange(17)] + draw.randbytes(draw.randrange(40))
        content = gzip.compress(raw) if draw.random() < 0.7 else draw.randbytes(60)
        with pytest.raises(ValueError, match=r"digits\.gz .*reinstall"):
            read_idx(write(content))


def test_not_gzip(write):
    with pytest.raises(ValueError, match=r"digits\.gz is not a whole gzip file.*reinstall"):
        read_idx(write(RAW))


def test_wrong_checksum(write):
    with pytest.raises(ValueError, match=r"digits\.gz has the SHA-256 .* instead of 00.*reinstall"):
        read_idx(write(gzip.compress(RAW)), "00" * 32)


def test_no_file(tmp_path):
    with pytest.raises(ValueError, match=r"digits\.gz cannot be read \(No such file"):
        read_idx(tmp_path / "digits.gz")
    with pytest.raises(ValueError, match="cannot be read"):
        read_idx(tmp_path)


def test_damaged_embedded_mnist(tmp_path, monkeypatch):
    folder = importlib.resources.files("tf_l2t.data") / "embedded"
    shutil.copytree(str(folder), tmp_path / "embedded")
    labels = tmp_path / "embedded" / "mnist" / "t10k-labels-idx1-ubyte.gz"
    labels.write_bytes(labels.read_bytes()[:-1])
    monkeypatch.setattr(importlib.resources, "files", lambda package: tmp_path)
    with pytest.raises(ValueError, match=r"t10k-labels-idx1-ubyte\.gz has the SHA-256.*reinstall"):
        embedded_mnist()


def test_other_data_sets_in_the_files_of_mnist(tmp_path):
    """Such as Fashion-MNIST."""
    folder = importlib.resources.files("tf_l2t.data") / "embedded" / "mnist"
    for path in folder.iterdir():
        if path.name.endswith(".gz"):
            shutil.copy(path, tmp_path)
    source, names = embedded_mnist(), [f"digit {k}" for k in range(10)]
    same = idx_images(tmp_path, "again", names)
    assert (same.digest, same.name, same.class_names[3]) == (source.digest, "again", "digit 3")
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(ValueError, match="t10k-labels-idx1-ubyte.gz cannot be read"):
        idx_images(tmp_path, "again")
