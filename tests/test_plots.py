import json

import numpy as np
import pytest
from matplotlib import image

from tf_l2t.plots import write_figures

STEP = {"measure": 0.5, "accuracy": 0.6, "selection": None, "taken": True}


def results(classes: int) -> dict:
    return {
        "data": {"class_names": [str(k) for k in range(classes)]},
        "teacher": {
            "steps": [{**STEP, "step": 0, "selection": 0.7}, {**STEP, "step": 1, "taken": False}],
            "last_selection": 0.8,
        },
        "rows": {"taught": {"students": {"1": {"test_accuracy": 0.9}}}},
    }


@pytest.mark.parametrize("classes", [3, 30])
def test_figures_are_made_from_the_directory_alone(classes, tmp_path) -> None:
    (tmp_path / "results.json").write_text(json.dumps(results(classes)))
    phi = np.random.default_rng(0).normal(size=(5, classes, classes))
    np.savez(tmp_path / "coefficients.npz", steps=np.arange(5) * 10, phi=phi)
    paths = write_figures(tmp_path)
    assert {path.name for path in paths} == {"dev_measure.png", "phi.png", "test_error.png"}
    for path in paths:
        assert image.imread(path).std() > 0.01


def test_what_is_not_there_yet_is_left_out(tmp_path) -> None:
    empty = results(3) | {"teacher": {}, "rows": {}}
    (tmp_path / "results.json").write_text(json.dumps(empty))
    assert write_figures(tmp_path) == []
