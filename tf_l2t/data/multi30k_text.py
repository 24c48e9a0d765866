"""Multi30k: descriptions of photographs in German and English."""

from __future__ import annotations

import os
import pathlib

import gin
import keras

from tf_l2t.data.parallel_text import ParallelText, aligned_files
from tf_l2t.data.tfds_source import DatasetUnavailableError

# Pinned, because later versions of the files would fail the checksums.
_COMMIT = "c9be912dc05a3ebf9ae5bb5f7f58c1791cda43ab"
_URL = f"https://raw.githubusercontent.com/multi30k/dataset/{_COMMIT}/data/task1/raw"
_SHA256 = {
    "train.de.gz": "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6",
    "train.en.gz": "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
    "val.de.gz": "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a",
    "val.en.gz": "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
    "test_2016_flickr.de.gz": "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8",
    "test_2016_flickr.en.gz": "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9",
    "test_2017_flickr.de.gz": "a2c89666db00c495cd8513b9d708d5a3acc205d7de312ef2bf5fb7ebc1540aee",
    "test_2017_flickr.en.gz": "76a444ee25172e72695cddb13ae4a3bda59430617be88e0bb46b60504f054074",
}
_TESTS = ("test_2016_flickr", "test_2017_flickr")


@gin.register(module="tf_l2t")
def multi30k(directory: str | os.PathLike[str] | None = None) -> ParallelText:
    """Reads Multi30k, task 1, as its authors publish it, without tokenisation.

    Args:
        directory: of train.de.gz, train.en.gz, val.de.gz and so on, from data/task1/raw of
            https://github.com/multi30k/dataset. None downloads them to the folder that Keras
            keeps data in, ~/.keras/datasets/multi30k, unless they are there already, and checks
            that they are the very files.

    Returns:
        29,000 pairs to train on, 1,014 as dev, and the tests "test_2016_flickr" and
        "test_2017_flickr" of 1,000 each; the source language is German.

    Raises:
        DatasetUnavailableError: a file cannot be downloaded.
        ValueError: a file of `directory` is missing, damaged or does not fit its partner.

    Example:
        >>> text = multi30k()

    Elliott, Frank, Sima'an and Specia, *Multi30K: Multilingual English-German Image Descriptions*,
    2016.
    """
    folder = _downloaded() if directory is None else pathlib.Path(directory).expanduser()

    def files(split: str) -> tuple[pathlib.Path, pathlib.Path]:
        return folder / f"{split}.de.gz", folder / f"{split}.en.gz"

    tests = {split: files(split) for split in _TESTS}
    try:
        return aligned_files(files("train"), files("val"), tests, "de", "en", name="multi30k")
    except ValueError as error:
        raise ValueError(f"multi30k: directory is {os.fspath(folder)!r}; {error}") from error


def _downloaded() -> pathlib.Path:
    """Returns the folder of the files, after a download of those that are not there."""
    path = pathlib.Path()
    for file, sha256 in _SHA256.items():
        url = f"{_URL}/{file}"
        try:
            path = pathlib.Path(
                keras.utils.get_file(
                    file,
                    url,
                    cache_subdir="datasets/multi30k",
                    file_hash=sha256,
                    hash_algorithm="sha256",
                )
            )
        except Exception as error:
            line = str(error).strip().partition("\n")[0]
            raise DatasetUnavailableError(
                f"Multi30k: {url} cannot be downloaded ({type(error).__name__}: {line[:300]}): "
                "connect to the network, or put the files of data/task1/raw of "
                f"https://github.com/multi30k/dataset ({', '.join(_SHA256)}) into a folder, and "
                "name it in directory"
            ) from error
    return path.parent
