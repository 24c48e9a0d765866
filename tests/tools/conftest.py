"""A translator for the tools that is traced in no time, and Multi30k's files with few lines."""

import gzip
import pathlib
import sys

import pytest

from tf_l2t import students

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tasks"))

from numbers_in_words import BagTranslator, pairs


def bag_translator(source_size: int, target_size: int, dropout: float = 0.3) -> BagTranslator:
    return BagTranslator(source_size, target_size, dropout)


@pytest.fixture
def bag_student(monkeypatch: pytest.MonkeyPatch) -> str:
    """Makes it one of the students that the tools offer, and returns its name."""
    monkeypatch.setattr(students, "bag_translator", bag_translator, raising=False)
    monkeypatch.setattr(students, "__all__", [*students.__all__, "bag_translator"])
    return "bag_translator"


@pytest.fixture
def text_directory(tmp_path: pathlib.Path) -> str:
    """A directory with Multi30k's files, which hold numbers in words."""
    sizes = {"train": 60, "val": 12, "test_2016_flickr": 7, "test_2017_flickr": 5}
    for seed, (name, count) in enumerate(sizes.items()):
        for language, lines in zip(("de", "en"), pairs(count, seed), strict=True):
            text = "".join(f"{line}\n" for line in lines)
            (tmp_path / f"{name}.{language}.gz").write_bytes(gzip.compress(text.encode()))
    return str(tmp_path)
