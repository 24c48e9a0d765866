"""A small archive in the format of IWSLT-14 gives the splits that fairseq's script makes of it."""

import gzip
import io
import socket
import tarfile

import pytest

from tf_l2t.data import DatasetUnavailableError, iwslt14, iwslt14_archive, tfds_text
from tf_l2t.data.iwslt14_builder import Iwslt14DeEn

HEAD = (
    "<url>http://www.ted.com/talks/one</url>\n"
    "<keywords>one, two</keywords>\n"
    "<speaker>Someone</speaker>\n"
    "<talkid>1</talkid>\n"
)
COUNTS = {"train": 46, "validation": 2, "test": 10}


def xml(name, language, sentences):
    lines = "\n".join(
        f'<seg id="{k}"> {sentence} </seg>' for k, sentence in enumerate(sentences, 1)
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<mteval>\n<refset setid="{name}" '
        f'trglang="{language}">\n<doc docid="1">\n<title>Title</title>\n{lines}\n</doc>\n</mteval>\n'
    )


def files():
    """Returns an archive's files: 47 clean pairs and some that cleaning leaves out."""
    german = [f"Satz {k} ist da." for k in range(45)]
    english = [f"Sentence {k} is there." for k in range(45)]
    # Left out: more than 1.5 times as long, empty, over 175 words; not left out: exactly 1.5.
    german[10:10] = ["eins zwei drei", "", "wort " * 176, "eins zwei drei"]
    english[10:10] = ["one two three four five", "nothing", "word " * 176, "one two three, four"]
    german.append("Es ist so z.B.")
    english.append("It is so etc.")
    content = {
        "de": HEAD + "<title>Ein Titel</title>\n<description>TED: Text.</description>\n",
        "en": HEAD + "<title>A title</title>\n<description>TED: Text.</description>\n",
    }
    members = {}
    for language, sentences in (("de", german), ("en", english)):
        text = content[language] + "".join(f"{sentence}\n" for sentence in sentences)
        members[f"de-en/train.tags.de-en.{language}"] = text
        for k, name in enumerate(iwslt14_archive._TESTS):
            test = [f"{language} {k}, it\u2019s.", f"{language} {k}\u2028&amp; more"]
            members[f"de-en/{name}.{language}.xml"] = xml(name, language, test)
    members["de-en/README"] = "Read me."
    return members


def write(path, members):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            data = text.encode()
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def counts(monkeypatch):
    monkeypatch.setattr(Iwslt14DeEn, "PAIRS", COUNTS)


def test_splits(tmp_path):
    splits = iwslt14_archive.iwslt14_pairs(write(tmp_path / "a.tgz", files()), COUNTS)
    clean = [
        ("<speaker>Someone</speaker>", "<speaker>Someone</speaker>"),
        ("Ein Titel", "A title"),
        ("TED: Text.", "TED: Text."),
        *((f"Satz {k} ist da.", f"Sentence {k} is there.") for k in range(45)),
    ]
    assert splits["train"].source[:3] == tuple(source for source, _ in clean[:3])
    print(splits)
