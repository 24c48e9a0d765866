"""A small archive in the format of IWSLT-14 gives the splits that fairseq's script makes of it."""

import io
import pathlib
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
COUNTS = {"train": 48, "validation": 2, "test": 10}


def xml(name, language, sentences):
    lines = [f'<seg id="{k}"> {sentence} </seg>' for k, sentence in enumerate(sentences, 1)]
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n<mteval>\n<refset setid="{name}">\n<doc>'
    return "\n".join([head, f"<title>{language}</title>", *lines, "</doc>", "</mteval>", ""])


def files():
    """Returns an archive's files: 47 clean pairs and some that cleaning leaves out."""
    german = [f"Satz {k} ist da." for k in range(45)]
    english = [f"Sentence {k} is there." for k in range(45)]
    # Left out: over 1.5 times as long, the same as words alone, empty, over 175 words. Not left
    # out: exactly 1.5 times as long.
    german[10:10] = ["eins zwei", "eins zwei drei", "", "wort " * 176, "eins zwei drei vier"]
    english[10:10] = [
        "one two three four",
        "one two three, four",
        "nothing",
        "word " * 176,
        "1, 2, 3!",
    ]
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
def archive(tmp_path, monkeypatch):
    """The archive in a manual folder, of a builder that expects its numbers."""
    monkeypatch.setattr(Iwslt14DeEn, "PAIRS", COUNTS)
    return write(tmp_path / "manual" / "de-en.tgz", files())


def test_splits(archive):
    splits = iwslt14_archive.iwslt14_pairs(archive, COUNTS)
    clean = [
        ("<speaker>Someone</speaker>", "<speaker>Someone</speaker>"),
        ("Ein Titel", "A title"),
        ("TED: Text.", "TED: Text."),
        *((f"Satz {k} ist da.", f"Sentence {k} is there.") for k in range(45)),
        ("Es ist so z.B.", "It is so etc."),
    ]
    clean.insert(13, ("eins zwei drei vier", "1, 2, 3!"))
    assert list(zip(*splits["validation"], strict=True)) == [clean[22], clean[45]]
    assert list(zip(*splits["train"], strict=True)) == clean[:22] + clean[23:45] + clean[46:]
    assert splits["test"].source[:3] == ("de 0, it's.", "de 0\u2028&amp; more", "de 1, it's.")
    assert splits["test"].target[-1] == "en 4\u2028&amp; more"


def test_tests_are_in_the_order_of_the_script():
    names = [name.split(".")[1:3] for name in iwslt14_archive._TESTS]
    years = ["dev2010", "dev2012", "tst2010", "tst2011", "tst2012"]
    assert names == [["TEDX" if year == "dev2012" else "TED", year] for year in years]


def test_prepared_once_and_read(archive, tmp_path):
    text = iwslt14(tmp_path / "data", archive.parent)
    assert (text.source_language, text.target_language) == ("de", "en")
    assert text.name == "iwslt14_de_en"
    splits = iwslt14_archive.iwslt14_pairs(archive, COUNTS)
    assert text.train == splits["train"]
    assert text.dev == splits["validation"]
    assert text.test == {"test": splits["test"]}
    archive.unlink()
    assert iwslt14(tmp_path / "data").digest == text.digest
    other = tfds_text("iwslt14_de_en", "en", "de", dev="train[:3]", data_dir=tmp_path / "data")
    assert other.dev.source == splits["train"].target[:3]
    with pytest.raises(
        DatasetUnavailableError, match=r"no split dev, only \['test', 'train', 'val"
    ):
        tfds_text("iwslt14_de_en", dev="dev", data_dir=tmp_path / "data")
    for part in ("train[:3", "train[:x%]"):
        with pytest.raises(
            DatasetUnavailableError, match=r"no part train\[:.*write it as in train"
        ):
            tfds_text("iwslt14_de_en", dev=part, data_dir=tmp_path / "data")
    with pytest.raises(
        DatasetUnavailableError, match=r"no feature fr, only \['de', 'en'\]: correct"
    ):
        tfds_text("iwslt14_de_en", target_language="fr", data_dir=tmp_path / "data")


def test_downloaded(archive, tmp_path, monkeypatch):
    urls = []

    def download(manager, url):
        urls.append(url)
        return archive

    monkeypatch.setattr("tensorflow_datasets.download.DownloadManager.download", download)
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port: [])
    text = iwslt14(tmp_path / "data")
    assert len(text.train.source) == COUNTS["train"]
    assert [pathlib.PurePosixPath(url).name for url in urls] == ["de-en.tgz"]


def test_no_network(tmp_path, monkeypatch):
    def no_network(host, port):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr("urllib.request.getproxies", lambda: {"no": "localhost"})
    with pytest.raises(
        DatasetUnavailableError,
        match=r"\(ConnectionError: .*Name.*: get de-en\.tgz .* in manual_dir, which is '.*has none",
    ):
        iwslt14(tmp_path / "data", tmp_path)


def evil(members):
    members["../evil"] = "x"


def lost_line(members):
    name = "de-en/train.tags.de-en.de"
    members[name] = members[name].replace("Satz 3 ist da.\n", "")


def lost_segment(members):
    name = "de-en/IWSLT14.TED.tst2011.de-en.en.xml"
    members[name] = members[name].replace('<seg id="1">', "<hl>")


def other_lines(members):
    for language in ("de", "en"):
        members[f"de-en/train.tags.de-en.{language}"] += "eins\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (evil, r"holds the name '\.\./evil', which leads out"),
        (
            lost_line,
            r"train\.tags\.de-en\.de has 53 sentences, de-en/train\.tags\.de-en\.en 54: get",
        ),
        (lost_segment, r"tst2011\.de-en\.de\.xml has 2 sentences, .*en\.xml 1"),
        (other_lines, r"gives {'train': 49, .*} pairs instead of {'train': 48, .*release 2014-01"),
        (lambda members: members.pop("de-en/IWSLT14.TEDX.dev2012.de-en.en.xml"), "has no de-en/IW"),
    ],
)
def test_another_archive_is_refused(archive, tmp_path, change, message):
    members = files()
    change(members)
    write(archive, members)
    with pytest.raises(ValueError, match=message):
        iwslt14_archive.iwslt14_pairs(archive, COUNTS)
    with pytest.raises(DatasetUnavailableError, match="cannot be downloaded or prepared"):
        iwslt14(tmp_path / "data", archive.parent)
    assert not list(tmp_path.rglob("evil"))
