"""Where gin finds config files: here, in the checkout, or in the installed package."""

from __future__ import annotations

import pathlib
from typing import TextIO

import gin

_PACKAGE = pathlib.Path(__file__).resolve().parent
_FOLDERS = (_PACKAGE.parent / "gin", _PACKAGE / "configs")


def register_gin_files() -> None:
    """Lets gin find names such as `gin/lenet_mnist.gin` from any directory.

    A file is taken from the first of these that has it: the current directory, the folder gin/
    of the checkout that this package is in, the configs that were installed with the package.
    The names in `include` statements are found in the same way. A second call changes nothing.

    Example:
        >>> register_gin_files()
        >>> gin.parse_config_file("gin/lenet_mnist.gin")
    """
    readers = gin.config._FILE_READERS
    if all(reader is not _open for reader, _ in readers):
        # Not register_file_reader, which puts it last: gin's own second reader takes the folder
        # for a Python package, and logs an error where there is none of that name.
        readers.insert(1, (_open, _exists))


def _exists(name: str) -> bool:
    return _find(name) is not None


def _open(name: str) -> TextIO:
    path = _find(name)
    if path is None:
        raise FileNotFoundError(name)
    return path.open(encoding="utf-8")


def _find(name: str) -> pathlib.Path | None:
    """Returns the file that a relative name starting with gin/ stands for, or None."""
    head, *rest = pathlib.PurePath(name).parts or ("",)
    paths = [folder.joinpath(*rest) for folder in _FOLDERS if head == "gin"]
    return next((path for path in paths if path.is_file()), None)
