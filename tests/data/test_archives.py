"""Archives that would write outside their folder are refused; what is read is written nowhere."""

import gzip
import io
import tarfile

import pytest

from tf_l2t.data.archives import read_members


def entry(name, content=b"", kind=tarfile.REGTYPE, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, len(content)
    return info, content


GOOD = [
    entry("data", kind=tarfile.DIRTYPE),
    entry("data/a.txt", b"first"),
    entry("./data/b.txt", b"second"),
    entry("data/other", b"x"),
]


@pytest.fixture
def write(tmp_path):
    def write(entries, mode="w:gz"):
        path = tmp_path / "files.tgz"
        with tarfile.open(path, mode) as archive:
            for info, content in entries:
                archive.addfile(info, io.BytesIO(content))
        return path

    return write


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_reads_what_was_written(write, mode, tmp_path):
    path = write(GOOD, mode)
    found = read_members(path, ["data/a.txt", "data/b.txt"])
    assert found == {"data/a.txt": b"first", "data/b.txt": b"second"}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (entry("../evil", b"x"), r"'\.\./evil', which leads out of its folder"),
        (entry("data/../../evil", b"x"), "leads out of its folder"),
        (entry("data\\..\\..\\evil", b"x"), "leads out of its folder"),
        (entry("/tmp/evil", b"x"), "holds the absolute name '/tmp/evil'"),
        (entry("C:\\evil", b"x"), "holds the absolute name"),
        (entry("data/link", kind=tarfile.SYMTYPE, target="/etc"), "the link 'data/link' to '/etc'"),
        (entry("data/a.txt", kind=tarfile.SYMTYPE, target="b.txt"), "the link 'data/a.txt'"),
        (entry("data/hard", kind=tarfile.LNKTYPE, target="../x"), "the link 'data/hard' to"),
        (entry("data/pipe", kind=tarfile.FIFOTYPE), "'data/pipe', which is no file"),
        (entry("data/device", kind=tarfile.CHRTYPE), "'data/device', which is no file"),
        (entry("data/a.txt", b"again"), "holds data/a.txt twice"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_refuses_what_leads_out(write, tmp_path, member, message, first):
    path = write([member, *GOOD] if first else [*GOOD, member])
    with pytest.raises(ValueError, match=rf"files\.tgz .*{message}.*: get the archive again"):
        read_members(path, ["data/a.txt"])
    assert list(tmp_path.iterdir()) == [path]


def test_refuses_what_is_not_whole(write, tmp_path):
    path = write([*GOOD, entry("data/large", bytes(range(256)) * 500)])
    whole = path.read_bytes()
    with pytest.raises(ValueError, match=r"files\.tgz has no data/c, data/d: get"):
        read_members(path, ["data/c", "data/a.txt", "data/d"])
    for damaged in (whole[: len(whole) // 2], whole[:-100], b"", b"text", gzip.compress(b"text")):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"files\.tgz (is not a whole|cannot be read|has no)"):
            read_members(path, ["data/large"])
    with pytest.raises(ValueError, match=r"none\.tgz cannot be read \(No such file"):
        read_members(tmp_path / "none.tgz", ["a"])


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_refuses_what_a_checksum_is_against(write, mode):
    text = " ".join(f"{number**7}" for number in range(4000)).encode()
    path = write([entry("data/a.txt", text)], mode)
    assert read_members(path, ["data/a.txt"]) == {"data/a.txt": text}
    whole = path.read_bytes()
    for at in range(len(whole) // 4, len(whole) - 40, len(whole) // 20):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(ValueError, match=r"files\.tgz (is not a whole|cannot be read)"):
            read_members(path, ["data/a.txt"])
    path.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=r"files\.tgz (is not a whole|cannot be read)"):
        read_members(path, ["data/a.txt"])


def test_a_size_of_terabytes_makes_no_room_for_them(tmp_path):
    info = tarfile.TarInfo("data/a.txt")
    info.size = 1 << 42
    path = tmp_path / "files.tar"
    path.write_bytes(info.tobuf() + bytes(10240))
    with pytest.raises(ValueError, match=r"data/a\.txt of 4398046511104 bytes|not a whole"):
        read_members(path, ["data/a.txt"])
