"""Where sentence pairs come from: text in two languages, line by line."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import gin

from tf_l2t.data.text_files import read_lines

Path = str | os.PathLike[str]


class TextForm(NamedTuple):
    """How the sentences of a text are written, and so those that its students read and write."""

    source_language: str
    """Two-letter code of the language to translate from, such as "de"."""
    target_language: str
    """That of the language to translate into."""
    tokenized: bool
    """Whether words and marks were taken apart as `moses` does it."""
    lowercase: bool
    """Whether that wrote all in lower case."""


class Pairs(NamedTuple):
    """Sentences in two languages, the translation of each at the same place."""

    source: tuple[str, ...]
    """Sentences to translate."""
    target: tuple[str, ...]
    """Their translations."""


@dataclasses.dataclass(frozen=True, eq=False)
class ParallelText:
    """Sentence pairs for training, for judging and for the report.

    Raises:
        ValueError: a split has no pairs, or sentences without a partner, or there is no test, or
            one that is called "dev".
    """

    train: Pairs
    """Pairs for the student's weights."""
    dev: Pairs
    """Held-out pairs for the teacher."""
    test: Mapping[str, Pairs]
    """Pairs for the report alone, by the name of each set."""
    source_language: str
    """Two-letter code of the language to translate from, such as "de"."""
    target_language: str
    """That of the language to translate into."""
    name: str
    """Name of the whole, for reports."""
    tokenized: bool = False
    """Whether `moses` took words and marks apart."""
    lowercase: bool = False
    """Whether it wrote all in lower case."""
    raw_targets: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    """Where it did, the targets as people wrote them, of "dev" and of each test set by its name."""

    def __post_init__(self) -> None:
        if not self.test:
            raise ValueError(f"{self.name}: test has no set; give one at least")
        if "dev" in self.test:
            raise ValueError(f"{self.name}: test has a set 'dev', which is that of dev; rename it")
        for split, pairs in self.splits():
            if isinstance(pairs.source, str) or isinstance(pairs.target, str):
                raise ValueError(f"{self.name}: {split} is a string; give a sequence of sentences")
            if len(pairs.source) != len(pairs.target):
                raise ValueError(
                    f"{self.name}: {split} has {len(pairs.source)} source and {len(pairs.target)} "
                    "target sentences; give each its translation"
                )
            if not pairs.source:
                raise ValueError(f"{self.name}: {split} has no sentences; give one pair at least")

    @property
    def form(self) -> TextForm:
        """How its sentences are written."""
        return TextForm(self.source_language, self.target_language, self.tokenized, self.lowercase)

    def splits(self) -> Iterator[tuple[str, Pairs]]:
        """Yields "train", "dev" and "test NAME" with their pairs."""
        yield "train", self.train
        yield "dev", self.dev
        for name, pairs in self.test.items():
            yield f"test {name}", pairs

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of all sentences of all splits in their order, in hex."""
        state = hashlib.sha256()
        for split, pairs in self.splits():
            for side, sentences in pairs._asdict().items():
                state.update(f"{split} {side} {len(sentences)}\n".encode())
                for sentence in sentences:
                    data = sentence.encode()
                    # Its length, so that moving a word to the next sentence is a change.
                    state.update(len(data).to_bytes(8, "big") + data)
        return state.hexdigest()


@gin.register(module="tf_l2t")
def aligned_files(
    train: tuple[Path, Path],
    dev: tuple[Path, Path],
    test: tuple[Path, Path] | Mapping[str, tuple[Path, Path]],
    source_language: str = "de",
    target_language: str = "en",
    name: str = "aligned_files",
    drop_empty: bool = False,
) -> ParallelText:
    """Reads sentence pairs from files of which line k of one translates line k of the other.

    The files are UTF-8 with a sentence a line, plain or packed as .gz, .bz2 or .xz. A line ends
    with a line feed, or a carriage return and a line feed; nothing else is taken off it.

    Args:
        train: file of the source language and file of the target language.
        dev: the same for judging.
        test: the same for the report; or several, by the name of each.
        source_language: two-letter code.
        target_language: two-letter code.
        name: of the whole, for reports.
        drop_empty: whether to leave out pairs of which a line is empty, instead of refusing them.

    Returns:
        The pairs, in the order of the files.

    Raises:
        ValueError: a file is missing, damaged, empty or not UTF-8, has an empty line, or has not
            as many lines as its partner.

    Example:
        >>> text = aligned_files(("train.de.gz", "train.en.gz"), ("dev.de", "dev.en"),
        ...                      {"2016": ("2016.de", "2016.en"), "2017": ("2017.de", "2017.en")})
    """
    tests = test if isinstance(test, Mapping) else {"test": test}
    return ParallelText(
        train=_pairs("train", train, drop_empty),
        dev=_pairs("dev", dev, drop_empty),
        test={key: _pairs(f"test {key}", files, drop_empty) for key, files in tests.items()},
        source_language=source_language,
        target_language=target_language,
        name=name,
    )


def _pairs(argument: str, files: tuple[Path, Path], drop_empty: bool) -> Pairs:
    """Returns the pairs of two files."""
    several = isinstance(files, Sequence) and not isinstance(files, str)
    if not several or [isinstance(file, (str, os.PathLike)) for file in files] != [True, True]:
        raise ValueError(
            f"{argument} is {files!r}: give two files, of the source and of the target language"
        )
    try:
        source, target = map(read_lines, files)
    except ValueError as error:
        raise ValueError(f"{argument}: {error}") from error
    if len(source) != len(target):
        raise ValueError(
            f"{argument}: {os.fspath(files[0])} has {len(source)} lines, "
            f"{os.fspath(files[1])} has {len(target)}: give files that were aligned line by line"
        )
    full = [bool(a.strip() and b.strip()) for a, b in zip(source, target, strict=True)]
    if not all(full) and not drop_empty:
        row = full.index(False)
        file = files[bool(source[row].strip())]
        raise ValueError(
            f"{argument}: line {row + 1} of {os.fspath(file)} is empty, and {full.count(False)} "
            f"of {len(full)} pairs have an empty line: give every sentence its translation, or "
            "leave these pairs out with drop_empty=True"
        )
    return Pairs(tuple(itertools.compress(source, full)), tuple(itertools.compress(target, full)))
