"""Reads files out of tar archives, and writes none."""

from __future__ import annotations

import lzma
import os
import pathlib
import tarfile
import zlib
from collections.abc import Iterable

_AT_ONCE = 1 << 20
_LARGEST = 1 << 28
"""Bytes of a file; an archive of bytes that claim to be more makes no room for them."""


def read_members(path: str | os.PathLike[str], names: Iterable[str]) -> dict[str, bytes]:
    """Reads files of a tar archive into memory; nothing is unpacked to disk.

    Args:
        path: the archive, plain or packed.
        names: of the files, with the folders that they are in.

    Returns:
        The content of each.

    Raises:
        ValueError: the archive cannot be read, is damaged (which a plain one may hide), lacks one
            of the files, or holds something that could be written to another place than its own
            folder: an absolute name, one with .., a link or a device.

    Example:
        >>> read_members("de-en.tgz", ["de-en/train.tags.de-en.de"])
    """
    wanted = {pathlib.PurePosixPath(name): name for name in names}
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r:*") as archive:
            for member in archive:
                _check(path, member)
                name = wanted.get(pathlib.PurePosixPath(member.name))
                if name is None or not member.isfile():
                    continue
                if name in found:
                    raise _bad(path, f"holds {name} twice")
                if member.size > _LARGEST:
                    raise _bad(path, f"holds {name} of {member.size} bytes, over {_LARGEST}")
                file = archive.extractfile(member)
                assert file is not None
                found[name] = file.read()
            # The checksum of what it was packed with comes after the end of the tar.
            assert archive.fileobj is not None
            while archive.fileobj.read(_AT_ONCE):
                pass
    except OSError as error:
        raise _bad(path, f"cannot be read ({error.strerror or error})") from error
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise _bad(path, f"is not a whole tar archive ({error})") from error
    missing = [name for name in wanted.values() if name not in found]
    if missing:
        raise _bad(path, f"has no {', '.join(missing)}")
    return found


def _check(path: str | os.PathLike[str], member: tarfile.TarInfo) -> None:
    """Refuses a member that could get out of the folder that the archive is unpacked in."""
    parts = member.name.replace("\\", "/").split("/")
    if parts[0] == "" or parts[0].endswith(":"):
        raise _bad(path, f"holds the absolute name {member.name!r}")
    if ".." in parts:
        raise _bad(path, f"holds the name {member.name!r}, which leads out of its folder")
    if not (member.isfile() or member.isdir()):
        what = f"the link {member.name!r} to {member.linkname!r}"
        if not (member.issym() or member.islnk()):
            what = f"{member.name!r}, which is no file"
        raise _bad(path, f"holds {what}")


def _bad(path: str | os.PathLike[str], what: str) -> ValueError:
    return ValueError(f"{os.fspath(path)} {what}: get the archive again, from its publisher")
