"""The configurations on CIFAR, on a few images in the format of TFDS."""

import pathlib

import gin
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from tf_l2t import experiment
from tf_l2t.gin_files import register_gin_files

GIN = pathlib.Path(__file__).parent.parent / "gin"
NAMES = sorted(
    str(path.relative_to(GIN).with_suffix(""))
    for path in GIN.rglob("*cifar*.gin")
    if "base" not in path.parts
)
SMALL = """
Classification.dev_size = 20
Classification.batch_size = 4
Classification.observed_examples = 4
Experiment.test_seeds = 1
resnet.depth = 8
resnet.channels = 2
wide_resnet.depth = 10
wide_resnet.width = 1
wide_resnet.channels = 2
densenet.depth = 10
densenet.growth_rate = 2
"""
# Depth, T, batch size and L2 penalty of a fixed loss.
PUBLISHED = {
    "resnet8": ("resnet.depth", 8, 1000, 128, 1e-4),
    "resnet20": ("resnet.depth", 20, 64_000, 128, 1e-4),
    "resnet32": ("resnet.depth", 32, 64_000, 128, 1e-4),
    "wide_resnet": ("wide_resnet.depth", 40, 70_313, 128, 5e-4),
    "densenet": ("densenet.depth", 190, 210_938, 64, 1e-4),
}


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
    assert {name.partition("/")[2] or name for name in NAMES} == {
        f"{student}_{data}" for student in PUBLISHED for data in ("cifar10", "cifar100")
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_configuration_builds(name, build) -> None:
    built = build(name)
    assert built.name == name.replace("/", "_")
    said = built._task.describe()
    classes = 100 if name.endswith("cifar100") else 10
    assert said["class_names"] == [f"label {k}" for k in range(classes)]
    assert said["augmentation"]["padding"] == 4
    assert len(said["mean"]) == len(said["std"]) == 3


@pytest.mark.parametrize("name", NAMES)
def test_it_is_what_was_published(name, build) -> None:
    student = name.rpartition("/")[2].rpartition("_")[0]
    register_gin_files()
    gin.clear_config()
    gin.parse_config_file(f"gin/{name}.gin")
    argument, depth, num_steps, batch_size, l2_penalty = PUBLISHED[student]
    assert gin.query_parameter(argument) == depth
    assert gin.query_parameter("Classification.batch_size") == batch_size
    built = build(name)
    assert built._budget.num_steps == num_steps
    rows = {row.name: row for row in built._rows}
    rule = rows["cross entropy"].recipe(0.1, num_steps)
    assert (rule.momentum, rule.l2_penalty) == (0.9, l2_penalty)
    # In proportion to the loss, whose gradients are a twentieth of those of cross entropy.
    assert built._recipe(2.0, num_steps).l2_penalty == pytest.approx(l2_penalty / 20)
    drops = {
        "resnet20": {0.499: 1, 0.5: 0.1, 0.75: 0.01},
        "wide_resnet": {0.299: 1, 0.3: 0.2, 0.6: 0.04, 0.8: 0.008},
        "densenet": {0.499: 1, 0.5: 0.1, 0.75: 0.01},
    }
    for share, factor in drops.get(student, {}).items():
        rate = rule.learning_rate(tf.constant(round(share * num_steps)))
        assert float(rate) == pytest.approx(0.1 * factor)
    assert rule.nesterov == (student in ("wide_resnet", "densenet"))
