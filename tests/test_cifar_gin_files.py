"""The configurations on CIFAR, on a few images in the format of TFDS."""

import pathlib
import sys

import gin
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from tf_l2t import experiment
from tf_l2t.gin_files import register_gin_files

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tools"))

from tables import TABLES

GIN = pathlib.Path(__file__).parent.parent / "gin"
NAMES = sorted(
    str(path.relative_to(GIN).with_suffix(""))
    for path in GIN.rglob("*cifar*.gin")
    # A part of a table is built with the other runs of its table.
    if "base" not in path.parts and path.stem.endswith(("cifar10", "cifar100"))
)
RUNS = {f"{table} {run.name}": run for table in ("2", "long") for run in TABLES[table].runs}
SMALL = """
Classification.dev_size = 20
Classification.batch_size = 4
Classification.observed_examples = 4
teaching/Classification.dev_size = 20
teaching/Classification.reserved = 20
Experiment.test_seeds = 1
resnet.depth = 8
resnet.channels = 2
wide_resnet.depth = 10
wide_resnet.width = 1
wide_resnet.channels = 2
densenet.depth = 10
densenet.growth_rate = 2
"""
# The student's settings, T, batch size and L2 penalty of a fixed loss.
PUBLISHED = {
    "resnet8": ({"resnet.depth": 8}, 1000, 128, 1e-4),
    "paper/resnet8": ({"resnet.depth": 8}, 64_000, 128, 1e-4),
    "paper/resnet20": ({"resnet.depth": 20}, 64_000, 128, 1e-4),
    "paper/resnet32": ({"resnet.depth": 32}, 64_000, 128, 1e-4),
    "paper/wide_resnet": ({"wide_resnet.depth": 40, "wide_resnet.width": 10}, 70_313, 128, 5e-4),
    "paper/wide_resnet28": (
        {"wide_resnet.depth": 28, "wide_resnet.width": 10, "wide_resnet.dropout_rate": 0.3},
        70_313,
        128,
        5e-4,
    ),
    "paper/densenet": ({"densenet.depth": 190, "densenet.growth_rate": 40}, 210_938, 64, 1e-4),
    "paper/densenet100": ({"densenet.depth": 100, "densenet.growth_rate": 12}, 210_938, 64, 1e-4),
}
HALVES = {0.499: 1, 0.5: 0.1, 0.749: 0.1, 0.75: 0.01}
FIFTHS = {0.299: 1, 0.3: 0.2, 0.6: 0.04, 0.8: 0.008}


@pytest.fixture(scope="module")
def small_cifar(tmp_path_factory) -> pathlib.Path:
    """A folder with CIFAR-10 and CIFAR-100 of 60 and 10 random images."""
    folder = tmp_path_factory.mktemp("tfds")
    images = np.random.default_rng(0).integers(0, 256, (70, 32, 32, 3)).astype("uint8")

    def examples(features, rows):
        # The builder reads the names from its download.
        for key in {"label", "coarse_label"} & set(features):
            features[key].names = [f"{key} {k}" for k in range(features[key].num_classes)]
        for k in rows:
            labels = {"label": k % 10, **({"coarse_label": 0} if len(features) > 3 else {})}
            yield k, {"id": f"{k}", "image": images[k], **labels}

    for name in ("cifar10", "cifar100"):
        builder = tfds.builder(name, data_dir=folder)
        features = builder.info.features
        builder._split_generators = lambda *_, features=features: {
            "train": examples(features, range(60)),
            "test": examples(features, range(60, 70)),
        }
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(try_download_gcs=False)
        )
    return folder


@pytest.fixture
def build(small_cifar):
    """Returns what builds the experiment of a file, small."""

    def build(name: str, settings: str = SMALL) -> experiment.Experiment:
        register_gin_files()
        gin.clear_config()
        gin.parse_config_file(f"gin/{name}.gin")
        gin.parse_config(f"tfds_images.data_dir = {str(small_cifar)!r}\n{settings}")
        return experiment.Experiment()

    yield build
    gin.clear_config()


def test_there_are_files() -> None:
    assert {name.removeprefix("tables/") for name in NAMES} == {
        f"{student}_{data}" for student in PUBLISHED for data in ("cifar10", "cifar100")
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_configuration_builds(name, build) -> None:
    built = build(name)
    assert built.name == name.replace("tables/", "table2/").replace("/", "_")
    said = built._task.describe()
    classes = 100 if name.endswith("cifar100") else 10
    assert said["class_names"] == [f"label {k}" for k in range(classes)]
    assert said["augmentation"]["padding"] == 4
    assert len(said["mean"]) == len(said["std"]) == 3
    # Up to the first step of its students.
    built.prepare_training()


@pytest.mark.parametrize("name", NAMES)
def test_it_is_what_was_published(name, build) -> None:
    student = name.removeprefix("tables/").rpartition("_")[0]
    register_gin_files()
    gin.clear_config()
    gin.parse_config_file(f"gin/{name}.gin")
    settings, num_steps, batch_size, l2_penalty = PUBLISHED[student]
    assert {argument: gin.query_parameter(argument) for argument in settings} == settings
    assert gin.query_parameter("Classification.batch_size") == batch_size
    built = build(name)
    assert built._budget.num_steps == num_steps
    rows = {row.name: row for row in built._rows}
    rule = rows["cross entropy"].recipe(0.1, num_steps)
    assert (rule.momentum, rule.l2_penalty) == (0.9, l2_penalty)
    # In proportion to the loss, whose gradients are a twentieth of those of cross entropy.
    assert built._recipe(2.0, num_steps).l2_penalty == pytest.approx(l2_penalty / 20)
    kind, at_length = name.rpartition("/")[2].partition("_")[0], name.startswith("paper/")
    for share, factor in ((FIFTHS if kind == "wide" else HALVES) if at_length else {}).items():
        rate = rule.learning_rate(tf.constant(round(share * num_steps)))
        assert float(rate) == pytest.approx(0.1 * factor)
    assert rule.nesterov == (at_length and not kind.startswith("resnet"))
    fill = built._task.describe()["augmentation"].get("fill", "zeros")
    assert fill == ("reflection" if kind == "wide" else "zeros")


@pytest.fixture
def prepared(build):
    """Returns what builds the experiment of a run of a table, small, up to its first step."""

    def prepared(run) -> experiment.Experiment:
        name = run.gin_file.removeprefix("gin/").removesuffix(".gin")
        built = build(name, "\n".join([SMALL, *run.bindings]))
        prepare = {
            "train": built.prepare_training,
            "compare": lambda: built.prepare_comparison(None),
        }
        prepare[run.program]()
        return built

    return prepared


def test_every_file_of_the_tables_is_of_a_run() -> None:
    found = {f"gin/{path.relative_to(GIN)}" for path in GIN.glob("tables/*cifar*.gin")}
    found |= {f"gin/{path.relative_to(GIN)}" for path in GIN.glob("tables/long_*.gin")}
    assert found == {run.gin_file for run in RUNS.values()}


@pytest.mark.parametrize("name", [name for name in RUNS if name.startswith("2 ")])
def test_every_row_of_table_2_has_four_trials(name, prepared) -> None:
    run = RUNS[name]
    built = prepared(run)
    rows = [*built._rows, built._taught]
    assert len(rows) == (1 if run.program == "train" else 2)
    assert {len(row.trials) for row in rows} == {4}
    assert built._teacher_task.describe()["reserved"] == 20
    assert built._teacher_task.describe()["resplit"]
    assert (built._budget.num_steps, built._teacher_budget.num_steps) == (1000, 300)


# T of the first and the last students, and how many of their steps are taught and reversed.
WAYS = {
    "full": (400, 400, 400),
    "short": (100, 100, 100),
    "truncated": (400, 400, 100),
    "growing": (100, 400, 400),
    "warm": (400, 400, 100),
}


@pytest.mark.parametrize("name", [name for name in RUNS if name.startswith("long ")])
def test_every_way_of_teaching_long_students(name, prepared) -> None:
    run = RUNS[name]
    built = prepared(run)
    assert built._taught.learning_rates == (2.0, 4.0)
    if run.program == "compare":
        (fixed,) = built._rows
        assert fixed.learning_rates == built._taught.learning_rates
        assert built._budget.warm_start_steps == (300 if run.name == "warm-fixed" else 0)
        return
    assert built._budget.num_steps == 400
    trainer = built._teacher_trainer()
    first, last = (trainer._student_steps(step) for step in (0, trainer.schedule.num_steps - 1))
    assert (first, last, trainer.teaching.recorded_steps(last)) == WAYS[run.name]
    # Half an hour: 10,000 steps forward, a tenth of them for dev data. One in reverse costs 2.7.
    forward = trainer.work()[0] - trainer.steps_in_reverse - trainer.planned.kept
    assert forward + 2.7 * trainer.steps_in_reverse == pytest.approx(9000, rel=0.06)
