"""What the README says is run, and held against the code."""

import dataclasses
import inspect
import json
import os
import pathlib
import re

import gin
import pytest
import tensorflow as tf

import tf_l2t
from tf_l2t import data, experiment, losses, measures, students, teachers
from tf_l2t.data import CropAndFlip, corruptions, embedded_mnist, vocabularies
from tf_l2t.differentiation import SGD, Adam
from tf_l2t.gin_files import register_gin_files
from tf_l2t.runtime.export import export_teacher
from tf_l2t.runtime.strategy import Distribution
from tf_l2t.runtime.teacher_record import teacher_record
from tf_l2t.runtime.watch import Watch
from tf_l2t.tasks import Classification, Translation
from tf_l2t.training import recipe, rollout, teacher_trainer, trust_region
from tf_l2t.training.rows import Row

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

COMPONENTS = [
    experiment.Experiment,
    Classification,
    rollout.Budget,
    recipe.Recipe,
    SGD,
    Adam,
    Row,
    teacher_trainer.TeacherSchedule,
    trust_region.TrustRegion,
    Distribution,
    Watch,
    students.mlp,
    students.lenet,
    students.resnet,
    students.wide_resnet,
    students.densenet,
    teachers.attention_teacher,
    teachers.fixed_teacher,
    corruptions.PairFlips,
    corruptions.UniformFlips,
    corruptions.LongTail,
    CropAndFlip,
    losses.LabelSmoothing,
    losses.GeneralizedCrossEntropy,
    losses.ForwardCorrection,
    losses.SmoothZeroOne,
    losses.LargeMarginSoftmax,
    losses.DynamicBilinear,
    measures.ExpectedAccuracy,
    measures.SmoothZeroOneAccuracy,
    Translation,
    data.aligned_files,
    data.multi30k,
    data.iwslt14,
    data.moses,
    vocabularies.subword_vocabularies,
    vocabularies.word_vocabularies,
    students.lstm_translator,
    students.transformer_translator,
    losses.DynamicForwardCorrection,
    losses.PerToken,
    losses.ActorCritic,
    losses.MinimumRisk,
    losses.Reinforce,
    losses.SoftmaxMargin,
    measures.ExpectedBleu,
]
GIVEN_BY_CODE = {
    "self",
    "learning_rate",
    "input_shape",
    "num_classes",
    "coefficient_shapes",
    "distribution",
    "num_features",
    "source_size",
    "target_size",
    "warm_starts",
}


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: component.__name__)
def test_the_configuration_reference_names_every_argument(component) -> None:
    reference = (ROOT / "docs" / "configuration.md").read_text()
    assert f"`{component.__name__}`" in reference
    for argument in inspect.signature(component).parameters:
        if argument not in GIVEN_BY_CODE:
            assert f"`{argument}`" in reference, argument


@pytest.fixture
def small_world(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory with the teacher that the README's first command makes, and a little MNIST."""
    full = embedded_mnist()
    small = dataclasses.replace(
        full,
        train_images=full.train_images[:7000],
        train_labels=full.train_labels[:7000],
        test_images=full.test_images[:100],
        test_labels=full.test_labels[:100],
    )
    monkeypatch.setattr("tf_l2t.data.embedded_mnist", lambda: small)
    monkeypatch.chdir(tmp_path)
    loss = losses.DynamicBilinear()
    record = teacher_record(loss, full.class_names, observed_examples=1000, observe_every=50)
    teacher = teachers.attention_teacher(loss.coefficient_shapes(10), 13)
    theta = [tf.convert_to_tensor(v) for v in teacher.trainable_variables]
    export_teacher(tmp_path / "runs" / "lenet_mnist" / "teacher", teacher, theta, record)


EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.usefixtures("small_world")
@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_every_python_example_runs(example: str) -> None:
    names: dict = {}
    exec(example, names)
    if "history" in names:
        assert names["history"].history["accuracy"][-1] > 0.2
    else:
        assert all(tf.reduce_all(tf.math.is_finite(g)) for g in tf.nest.flatten(names["gradients"]))


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 2


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_is_named_exists(page: pathlib.Path) -> None:
    text = page.read_text()
    for name in re.findall(r"`((?:gin|tools|tf_l2t)/[\w./]+)`", text):
        assert (ROOT / name).exists(), name
    for name, heading in re.findall(r"\]\((?!http)([\w./]*)(#[\w-]+)?\)", text):
        other = page.parent / name if name else page
        assert other.exists(), name
        assert not heading or heading in anchors(other.read_text()), heading


@pytest.mark.parametrize(
    "tool",
    [path for path in sorted((ROOT / "tools").iterdir()) if path.is_file()],
    ids=lambda path: path.name,
)
def test_what_can_be_called_by_its_name_is_executable(tool: pathlib.Path) -> None:
    assert os.access(tool, os.X_OK) == tool.read_bytes().startswith(b"#!")


def anchors(text: str) -> set[str]:
    """Returns what the headings of a page are linked by."""
    headings = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    return {"#" + re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize(
    "name", ["lenet_mnist", "mlp_mnist", "lenet_noisy_mnist", "lstm1_multi30k"]
)
def test_the_tables_are_those_of_the_results(name: str) -> None:
    directory = ROOT / "results" / name
    results = json.loads((directory / "results.json").read_text())
    assert results["status"] == "complete"
    assert results["name"] == name
    assert any(results["table"] in page.read_text() for page in PAGES)


@pytest.mark.parametrize(
    "name", ["table1", "table2", "table3", "table_long", "table_noisy", "table_transfer"]
)
def test_what_is_said_of_a_table_is_that_of_the_results(name: str) -> None:
    table = (ROOT / "results" / f"{name}.md").read_text().strip()
    assert table in (ROOT / "docs" / "results.md").read_text()
    shown = {"table1": table, "table2": table, "table_noisy": table.split("\n\n")[0]}.get(name, "")
    assert shown in README
    runs = json.loads((ROOT / "results" / f"{name}.json").read_text())["runs"]
    assert {run["status"] for run in runs.values()} == {"complete"}


KEPT = sorted(path.parent for path in (ROOT / "results" / "teachers").rglob("teacher.json"))


@pytest.mark.parametrize("directory", KEPT, ids=lambda path: path.name)
def test_every_kept_teacher_loads(directory: pathlib.Path) -> None:
    classes = 100 if "cifar100" in directory.name else 10
    teacher = tf_l2t.load_teacher(directory, num_classes=classes)
    coefficients = teacher(tf.zeros([1, len(teacher.feature_names)]))
    assert all(tf.reduce_all(tf.math.is_finite(value)) for value in coefficients.values())


def test_there_are_kept_teachers() -> None:
    names = {path.name for path in KEPT}
    assert names >= {"lenet_mnist", "mlp_mnist", "mlp-taught", "noise45-dev5000"}


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("lenet_mnist", "lenet_mnist"),
        ("mlp_mnist", "mlp_mnist"),
        ("lenet_noisy_mnist", "lenet_noisy_mnist"),
        ("paper/lenet_mnist", "paper_lenet_mnist"),
        ("paper/mlp_mnist", "paper_mlp_mnist"),
        ("tables/mlp", "table1_mlp"),
        ("tables/mlp_margin", "table1_mlp_margin"),
        ("tables/lenet", "table1_lenet"),
        ("tables/noisy", "table_noisy"),
        ("tables/noisy_bilinear", "table_noisy_bilinear"),
        ("tables/noisy_sparse", "table_noisy_sparse"),
        ("tables/transfer_clean", "transfer_clean"),
        ("tables/transfer_mlp", "transfer_mlp"),
        ("tables/transfer_noisy", "transfer_noisy"),
    ],
)
def test_every_configuration_builds(file: str, name: str) -> None:
    register_gin_files()
    gin.clear_config()
    gin.parse_config_file(f"gin/{file}.gin")
    assert experiment.Experiment().name == name
    gin.clear_config()
