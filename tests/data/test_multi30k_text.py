"""Multi30k is read from a folder, or downloaded once and checked."""

import gzip
import hashlib
import shutil
import urllib.error

import pytest

from tf_l2t.data import DatasetUnavailableError, multi30k, multi30k_text

SPLITS = ("train", "val", "test_2016_flickr", "test_2017_flickr")
RETRIEVE = "keras.src.utils.file_utils.urlretrieve"


@pytest.fixture
def folder(tmp_path):
    """The eight files, as small ones."""
    folder = tmp_path / "raw"
    folder.mkdir()
    for split in SPLITS:
        for language in ("de", "en"):
            text = f"{split} {language} 1.\n{split} {language} 2.\n"
            (folder / f"{split}.{language}.gz").write_bytes(gzip.compress(text.encode()))
    return folder


@pytest.fixture
def keras_home(tmp_path, monkeypatch):
    home = tmp_path / "keras"
    home.mkdir()
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(home))
    return home


def test_from_a_folder(folder):
    text = multi30k(str(folder))
    assert (text.name, text.source_language, text.target_language) == ("multi30k", "de", "en")
    assert text.train == (("train de 1.", "train de 2."), ("train en 1.", "train en 2."))
    assert text.dev.target == ("val en 1.", "val en 2.")
    assert text.test.keys() == {"test_2016_flickr", "test_2017_flickr"}
    assert text.test["test_2017_flickr"].source[0] == "test_2017_flickr de 1."


def test_a_file_is_missing(folder):
    (folder / "val.en.gz").unlink()
    with pytest.raises(
        ValueError, match=r"directory is '.*raw'; dev: .*val\.en\.gz cannot be read"
    ):
        multi30k(folder)


def test_downloads_once(folder, keras_home, monkeypatch):
    sums = {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in folder.iterdir()}
    monkeypatch.setattr(multi30k_text, "_SHA256", sums)
    urls = []

    def retrieve(url, target, progress=None):
        urls.append(url)
        shutil.copy(folder / url.rpartition("/")[2], target)

    monkeypatch.setattr(RETRIEVE, retrieve)
    assert multi30k().digest == multi30k(folder).digest
    assert len(urls) == 8
    assert all(url.startswith("https://raw.githubusercontent.com/multi30k/") for url in urls)
    assert (keras_home / "datasets" / "multi30k" / "train.de.gz").exists()
    assert multi30k().digest == multi30k(folder).digest
    assert len(urls) == 8


def test_another_file_is_refused(folder, keras_home, monkeypatch):
    monkeypatch.setattr(
        RETRIEVE, lambda url, target, progress=None: shutil.copy(folder / "val.de.gz", target)
    )
    with pytest.raises(DatasetUnavailableError, match=r"train\.de\.gz cannot be downloaded .*hash"):
        multi30k()


def test_no_network(keras_home, monkeypatch):
    def retrieve(url, target, progress=None):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(RETRIEVE, retrieve)
    with pytest.raises(DatasetUnavailableError) as caught:
        multi30k()
    message = str(caught.value)
    assert "Name or service not known" in message
    assert "connect to the network, or put the files of data/task1/raw" in message
    assert "val.de.gz" in message
    assert "name it in directory" in message
    assert "\n" not in message
