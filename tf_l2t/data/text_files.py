"""Reads files of text, a sentence a line."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import pathlib
import zlib
from collections.abc import Callable

_UNPACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
}


def read_lines(path: str | os.PathLike[str]) -> list[str]:
    """Reads a file in UTF-8, plain or packed as its name says: .gz, .bz2 or .xz.

    Args:
        path: the file.

    Returns:
        Its lines without their ends, a line feed with or without a carriage return before it. No
        other character parts lines, and a byte order mark before the first one is left out.

    Raises:
        ValueError: the file cannot be read, is damaged, empty or not UTF-8.

    Example:
        >>> read_lines("train.de.gz")[0]
        'Zwei junge weiße Männer sind im Freien in der Nähe vieler Büsche.'
    """
    file = pathlib.Path(path).expanduser()
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise ValueError(
            f"{file} cannot be read ({error.strerror or error}): correct the path"
        ) from error
    unpack = _UNPACK.get(file.suffix)
    if unpack is not None:
        try:
            raw = unpack(raw)
        except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
            raise ValueError(
                f"{file} is not a whole {file.suffix} file ({error}): get it again, or name it "
                "without this ending if it is plain text"
            ) from error
    return decode_lines(str(file), raw)


def decode_lines(name: str, raw: bytes) -> list[str]:
    """Returns the lines of a file's bytes, like `read_lines`.

    Raises:
        ValueError: there are none, or they are not UTF-8; it gives `name`.
    """
    try:
        text = raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{name} is not UTF-8: byte {error.start} (counted from 0, in line {line}) is "
            f"{raw[error.start]:02x} ({error.reason}); convert the file, as with iconv -f latin1 "
            "-t utf-8, and let the names of packed files end with .gz, .bz2 or .xz"
        ) from error
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    if not lines:
        raise ValueError(f"{name} is empty: give a file with a sentence a line")
    return [line.removesuffix("\r") for line in lines]
