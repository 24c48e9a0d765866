"""Takes the splits of IWSLT-14 German-English that papers use out of its archive."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Mapping

from tf_l2t.data.archives import read_members
from tf_l2t.data.moses import moses_tokenized
from tf_l2t.data.parallel_text import Pairs
from tf_l2t.data.text_files import decode_lines

LANGUAGES = ("de", "en")
_FOLDER = "de-en"
_TRAIN = "train.tags.de-en"
_TESTS = (
    "IWSLT14.TED.dev2010.de-en",
    "IWSLT14.TEDX.dev2012.de-en",
    "IWSLT14.TED.tst2010.de-en",
    "IWSLT14.TED.tst2011.de-en",
    "IWSLT14.TED.tst2012.de-en",
)
_LEFT_OUT = ("<url>", "<talkid>", "<keywords>")
_TAGS = re.compile("</?(?:title|description)>")
_SEGMENT = re.compile(r'<seg id="[0-9]*">\s*|\s*</seg>\s*')
_LONGEST, _LONGEST_WORD, _RATIO = 175, 1000, 1.5
_EVERY = 23


def iwslt14_pairs(path: str | os.PathLike[str], expected: Mapping[str, int]) -> dict[str, Pairs]:
    """Returns the splits "train", "validation" and "test" as raw text.

    They are those of fairseq's prepare-iwslt14.sh. Of the training lines those without text are
    left out, then, counted after Moses tokenisation, pairs of which a sentence has no word, more
    than 175, or more than 1.5 times as many as the other; every 23rd pair of the rest is for
    validation. The test is dev2010, dev2012 and tst2010 to tst2012 of the archive together.

    Args:
        path: de-en.tgz of the WIT3 release 2014-01.
        expected: number of pairs that each split must have.

    Raises:
        ValueError: the archive cannot be read, lacks a file, or gives other numbers of pairs.
    """
    files = [f"{_TRAIN}.{{}}", *(f"{test}.{{}}.xml" for test in _TESTS)]
    names = [f"{_FOLDER}/{file.format(language)}" for file in files for language in LANGUAGES]
    members = read_members(path, names)

    def read(file: str, lines: Callable[[list[str]], list[str]]) -> Pairs:
        parts = [f"{_FOLDER}/{file.format(language)}" for language in LANGUAGES]
        source, target = (lines(decode_lines(f"{path}: {x}", members[x])) for x in parts)
        if len(source) != len(target):
            raise ValueError(
                f"{path}: {parts[0]} has {len(source)} sentences, {parts[1]} {len(target)}: "
                "get the archive again, from its publisher"
            )
        return Pairs(tuple(source), tuple(target))

    clean = _clean(read(files[0], _training_lines))
    held_out = [k % _EVERY == _EVERY - 1 for k in range(len(clean))]
    tests = [pair for file in files[1:] for pair in zip(*read(file, _segments), strict=True)]
    splits = {
        "train": [pair for pair, out in zip(clean, held_out, strict=True) if not out],
        "validation": list(itertools.compress(clean, held_out)),
        "test": tests,
    }
    found = {split: len(pairs) for split, pairs in splits.items()}
    if found != dict(expected):
        raise ValueError(
            f"{path} gives {found} pairs instead of {dict(expected)}: get de-en.tgz of the release "
            "2014-01, and sacremoses in a version that requirements.txt names"
        )
    return {
        split: Pairs(tuple(a for a, _ in pairs), tuple(b for _, b in pairs))
        for split, pairs in splits.items()
    }


def _training_lines(lines: list[str]) -> list[str]:
    """Returns the text of a file of training talks, less what is about them."""
    kept = (line for line in lines if not any(tag in line for tag in _LEFT_OUT))
    return [_TAGS.sub("", line).strip() for line in kept]


def _segments(lines: list[str]) -> list[str]:
    """Returns the sentences of an XML file."""
    segments = (line for line in lines if "<seg id" in line)
    return [_SEGMENT.sub("", line).replace("\u2019", "'").strip() for line in segments]


def _clean(pairs: Pairs) -> list[tuple[str, str]]:
    """Returns what Moses' clean-corpus-n.perl leaves, as raw text."""
    tokenized = [
        moses_tokenized(side, language, lowercase=False)
        for side, language in zip(pairs, LANGUAGES, strict=True)
    ]
    return [
        (source, target)
        for source, target, *words in zip(*pairs, *tokenized, strict=True)
        if _is_clean(*(sentence.split() for sentence in words))
    ]


def _is_clean(source: list[str], target: list[str]) -> bool:
    shorter, longer = sorted((len(source), len(target)))
    return (
        shorter >= 1
        and longer <= _LONGEST
        and longer / shorter <= _RATIO
        and max(map(len, source + target)) <= _LONGEST_WORD
    )
