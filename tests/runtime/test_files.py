import json

import pytest

from tf_l2t.runtime.files import atomic_writer, write_json, write_text


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path) -> None:
    path = tmp_path / "results.json"
    write_text(path, "old")

    def fail() -> None:
        with atomic_writer(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_is_strict_where_numbers_are_not_finite(tmp_path) -> None:
    path = tmp_path / "deep" / "results.json"
    write_json(path, {"a": [1.5, float("nan")], 3: (float("inf"), "Φ", None, True)})
    strict = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(name))
    assert strict == {"a": [1.5, None], "3": [None, "Φ", None, True]}
