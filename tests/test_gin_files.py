"""Config names are found from any directory: here first, then the checkout, then the package."""

import logging

import gin
import pytest

from tf_l2t import gin_files


@gin.configurable(module="tests_gin_files")
def seen(here="", checkout="", package="", first=""):
    """Returns which files were read, and which came first."""
    return {"here": here, "checkout": checkout, "package": package, "first": first}


@pytest.fixture(autouse=True)
def _restore():
    readers = list(gin.config._FILE_READERS)
    yield
    gin.config._FILE_READERS[:] = readers
    gin.clear_config()


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """A current directory, checkout and package, each with configs of its own and `first.gin`."""
    for name, folder in (("here", "here/gin"), ("checkout", "gin"), ("package", "configs")):
        for file in (f"{name}.gin", f"base/{name}.gin", "first.gin"):
            path = tmp_path / folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            key = path.stem if path.stem == "first" else name
            path.write_text(f"seen.{key} = '{name}'\n", encoding="utf-8")
    monkeypatch.setattr(gin_files, "_FOLDERS", (tmp_path / "gin", tmp_path / "configs"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


@pytest.mark.parametrize("folder", ["", "base/"])
def test_finds_each(folders, folder, caplog):
    gin_files.register_gin_files()
    for name in ("here", "checkout", "package"):
        gin.parse_config_file(f"gin/{folder}{name}.gin")
    assert seen() == {"here": "here", "checkout": "checkout", "package": "package", "first": ""}
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_finds_what_is_included(folders):
    gin_files.register_gin_files()
    (folders / "here" / "mine.gin").write_text('include "gin/base/package.gin"\n', encoding="utf-8")
    gin.parse_config_file("mine.gin")
    assert seen()["package"] == "package"


def test_order(folders):
    gin_files.register_gin_files()
    for folder, name in (("here/gin", "here"), ("gin", "checkout"), ("configs", "package")):
        gin.parse_config_file("gin/first.gin")
        assert seen()["first"] == name
        (folders / folder / "first.gin").unlink()
    with pytest.raises(OSError, match=r"gin/first\.gin"):
        gin.parse_config_file("gin/first.gin")


@pytest.mark.parametrize("name", ["nothing.gin", "gin", "gin/base", "other/first.gin"])
def test_leaves_other_names_alone(folders, name):
    gin_files.register_gin_files()
    with pytest.raises(OSError, match="Unable to open file"):
        gin.parse_config_file(name)


def test_second_call_changes_nothing():
    gin_files.register_gin_files()
    count = len(gin.config._FILE_READERS)
    gin_files.register_gin_files()
    assert len(gin.config._FILE_READERS) == count
