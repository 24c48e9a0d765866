"""Reads the idx files in which MNIST and its relatives are published."""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import os
import pathlib
import struct
import zlib

import numpy as np

_UNSIGNED_BYTE = 0x08
_PIECE = 1 << 20


def read_idx(path: str | os.PathLike[str], sha256: str | None = None) -> np.ndarray:
    """Reads a gzipped idx file of unsigned bytes.

    Args:
        path: the .gz file.
        sha256: what the SHA-256 of the .gz file must be, in hex; None leaves it unchecked.

    Returns:
        The array that the file holds, uint8, read-only, in the shape that its header says.

    Raises:
        ValueError: the file cannot be read, is damaged or cut, or is not the expected one.

    Example:
        >>> images = read_idx("train-images-idx3-ubyte.gz")  # uint8 [60000, 28, 28]
    """
    try:
        packed = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise _bad(path, f"cannot be read ({error.strerror or error})") from error
    if sha256 is not None:
        found = hashlib.sha256(packed).hexdigest()
        if found != sha256.lower():
            raise _bad(path, f"has the SHA-256 {found} instead of {sha256.lower()}")
    try:
        with gzip.open(io.BytesIO(packed)) as file:
            return _parse(path, file)
    except (OSError, EOFError, zlib.error) as error:
        raise _bad(path, f"is not a whole gzip file ({error})") from error


def _parse(path: str | os.PathLike[str], file: gzip.GzipFile) -> np.ndarray:
    """Returns the array of an unpacked idx file: 0, 0, type, rank, sizes, then the data."""
    head = file.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] != _UNSIGNED_BYTE or head[3] == 0:
        raise _bad(
            path,
            f"starts with the bytes {head.hex(' ') or 'none'} instead of 00 00 08 and the "
            "number of dimensions, so it is not an idx file of unsigned bytes",
        )
    rank = head[3]
    sizes = file.read(4 * rank)
    if len(sizes) < 4 * rank:
        raise _bad(path, f"ends inside its header, after {4 + len(sizes)} of {4 + 4 * rank} bytes")
    shape = struct.unpack(f">{rank}I", sizes)
    data = _read(file, math.prod(shape) + 1)
    if len(data) != math.prod(shape):
        more = "or more " if len(data) > math.prod(shape) else ""
        raise _bad(
            path,
            f"holds {len(data)} bytes {more}of data, but its header says "
            f"{' x '.join(map(str, shape))} = {math.prod(shape)}",
        )
    try:
        return np.frombuffer(data, np.uint8).reshape(shape)
    except ValueError as error:
        raise _bad(path, f"says {rank} dimensions, {shape}, in its header ({error})") from error


def _read(file: gzip.GzipFile, limit: int) -> bytes:
    """Returns what there is, up to a limit; a file that claims terabytes makes no room for them."""
    pieces: list[bytes] = []
    while limit > 0 and (piece := file.read(min(limit, _PIECE))):
        pieces.append(piece)
        limit -= len(piece)
    return b"".join(pieces)


def _bad(path: str | os.PathLike[str], what: str) -> ValueError:
    return ValueError(
        f"{os.fspath(path)} {what}. Get the file again; if it came with tf_l2t, reinstall it: "
        "pip install --force-reinstall tf-l2t, or git checkout of the file in a checkout"
    )
