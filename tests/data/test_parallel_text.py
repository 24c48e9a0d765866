"""Aligned files are read as they are; what does not fit is named, with its file and line."""

import bz2
import dataclasses
import gzip
import lzma
import re

import gin
import pytest

from tf_l2t.data import Pairs, ParallelText, aligned_files

GERMAN = (
    "Ein  Hund läuft.",
    " Zwei\u00a0Männer\u2028sitzen\u0085da. ",
    "Süße Äpfel\tund\x0bBirnen",
)
ENGLISH = ("A  dog runs.", "Two men are sitting\x0cthere.", "Sweet apples\x1cand pears")
WHOLE_GERMAN, WHOLE_ENGLISH = ("".join(f"{line}\n" for line in side) for side in (GERMAN, ENGLISH))


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture
def files(write):
    """Paths of aligned files, and of more made of given text."""

    def make(german=WHOLE_GERMAN, english=WHOLE_ENGLISH):
        return write("some.de", german), write("some.en", english)

    return make


def read(pair, **arguments):
    return aligned_files(**({"train": pair, "dev": pair, "test": pair} | arguments))


def test_reads_what_was_written(files):
    text = read(files())
    assert text.train == text.dev == text.test["test"] == Pairs(GERMAN, ENGLISH)
    assert (text.source_language, text.target_language) == ("de", "en")
    assert text.name == "aligned_files"


def test_ends_of_lines(files):
    text = read(files("eins\r\nzwei\rdrei\r\n\ufeffvier", "\ufeffone\ntwo\nthree\n".encode()))
    assert text.train.source == ("eins", "zwei\rdrei", "\ufeffvier")
    assert text.train.target == ("one", "two", "three")


@pytest.mark.parametrize(
    ("ending", "pack"),
    [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)],
)
def test_packed_files(files, write, ending, pack):
    plain = files()
    packed = [write(path.name + ending, pack(path.read_bytes())) for path in plain]
    assert read(tuple(packed)).digest == read(plain).digest
    packed[0].write_bytes(packed[0].read_bytes()[:-9])
    with pytest.raises(ValueError, match=rf"some\.de\{ending} is not a whole \{ending} file .*get"):
        read(tuple(packed))


def test_several_tests_and_other_languages(files):
    pair = files()
    text = read(
        pair,
        test={"2016": pair, "2017": pair},
        source_language="nl",
        target_language="fr",
        name="x",
    )
    assert (text.source_language, text.target_language, text.name) == ("nl", "fr", "x")
    assert [split for split, _ in text.splits()] == ["train", "dev", "test 2016", "test 2017"]


def test_from_a_gin_file(files):
    german, english = map(str, files())
    gin.parse_config(
        f"aligned_files.train = ('{german}', '{english}')\n"
        f"aligned_files.dev = ('{german}', '{english}')\n"
        f"aligned_files.test = {{'one': ('{german}', '{english}')}}\n"
    )
    try:
        text = gin.get_configurable("aligned_files")()
    finally:
        gin.clear_config()
    assert text.test["one"].target == ENGLISH


def test_digest_is_of_the_text(files):
    text = read(files())
    assert len(text.digest) == 64
    assert dataclasses.replace(text, name="other").digest == text.digest
    swapped = Pairs(ENGLISH, GERMAN)
    moved = Pairs(("Ein", " Hund läuft." + GERMAN[1], GERMAN[2]), ENGLISH)
    others = [
        *(dataclasses.replace(text, train=pairs) for pairs in (swapped, moved)),
        dataclasses.replace(text, dev=swapped),
        dataclasses.replace(text, test={"test": swapped}),
        dataclasses.replace(text, test={"other": text.dev}),
        dataclasses.replace(text, test=text.test | {"other": text.dev}),
    ]
    assert len({text.digest, *(other.digest for other in others)}) == len(others) + 1


def test_empty_lines(files):
    pair = files("eins\n\ndrei\nvier\n", "one\ntwo\n \t\nfour\n")
    with pytest.raises(
        ValueError, match=r"train: line 2 of .*some\.de is empty, and 2 of 4 .*drop_empty=True"
    ):
        read(pair)
    assert read(pair, drop_empty=True).dev == Pairs(("eins", "vier"), ("one", "four"))
    with pytest.raises(ValueError, match=r"line 1 of .*some\.en is empty, and 1 of 2"):
        read(files("eins\nzwei\n", "\ntwo\n"))
    with pytest.raises(ValueError, match="train has no sentences; give one pair"):
        read(files("\n", "\n"), drop_empty=True)


@pytest.mark.parametrize(
    ("german", "english", "message"),
    [
        ("eins\nzwei\n", "one\n", r"train: \S*some\.de has 2 lines, \S*some\.en has 1: give files"),
        ("eins\n", "", r"some\.en is empty: give a file"),
        (
            "eins\nsüß\n".encode("latin1"),
            "one\ntwo\n",
            r"some\.de is not UTF-8: byte 6 \(counted from 0, in line 2\) is fc .*iconv",
        ),
        (
            gzip.compress(b"eins\n", mtime=0),
            "one\n",
            r"some\.de is not UTF-8: byte 1 .* is 8b .*\.gz",
        ),
        ("eins\n", "one".encode("utf-16"), r"some\.en is not UTF-8: byte 0 .* is ff"),
    ],
)
def test_files_that_do_not_fit(files, german, english, message):
    with pytest.raises(ValueError, match=message):
        read(files(german, english))


def test_no_file(files, tmp_path):
    german, english = files()
    with pytest.raises(
        ValueError, match=r"^train: \S*none\.de cannot be read \(No such file .*correct"
    ):
        read((tmp_path / "none.de", english))
    with pytest.raises(ValueError, match=r"cannot be read \(Is a directory"):
        read((german, tmp_path))


def test_not_two_files(files):
    german, _ = files()
    with pytest.raises(ValueError, match=r"dev is '.*some\.de': give two files"):
        read(files(), dev=str(german))
    with pytest.raises(ValueError, match="test is .*: give two files"):
        read(files(), test=(german,))
    with pytest.raises(ValueError, match="train is None: give two files"):
        read(files(), train=None)
    with pytest.raises(ValueError, match=r"test a is \(.*, 5\): give two files"):
        read(files(), test={"a": (german, 5)})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": Pairs(("a", "b"), ("c",))}, "x: train has 2 source and 1 target sentences; gi"),
        ({"dev": Pairs((), ())}, "x: dev has no sentences; give one pair"),
        ({"test": {}}, "x: test has no set; give one"),
        ({"test": {"dev": Pairs(("a",), ("b",))}}, "x: test has a set 'dev', which is that of"),
        ({"test": {"t": Pairs("ab", "cd")}}, "x: test t is a string; give a sequence"),
    ],
)
def test_refuses(changes, message):
    good = {
        "train": Pairs(("a",), ("b",)),
        "dev": Pairs(("a",), ("b",)),
        "test": {"t": Pairs(("a",), ("b",))},
    }
    with pytest.raises(ValueError, match=re.escape(message)):
        ParallelText(**(good | changes), source_language="de", target_language="en", name="x")
