"""A task that trains in milliseconds: 3 classes of 4×4 images, not quite separable."""

import functools
from collections.abc import Callable

import numpy as np
import pytest

from tf_l2t.data import Source, arrays
from tf_l2t.differentiation import SGD
from tf_l2t.differentiation.replicas import Replicas
from tf_l2t.losses import DynamicBilinear
from tf_l2t.measures import ExpectedAccuracy
from tf_l2t.students import logistic_regression
from tf_l2t.tasks import Classification
from tf_l2t.teachers import attention_teacher
from tf_l2t.training.budget import Budget
from tf_l2t.training.comparison import Comparison
from tf_l2t.training.recipe import Recipe, cosine
from tf_l2t.training.rollout import Teaching
from tf_l2t.training.rows import Row
from tf_l2t.training.warm_start import WarmStart


def tiny_source() -> Source:
    random = np.random.default_rng(0)
    means = random.normal(size=(3, 4, 4, 1))

    def examples(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = random.integers(0, 3, count)
        return (means[labels] + random.normal(size=(count, 4, 4, 1))).astype("float32"), labels

    return arrays(*examples(200), *examples(60), name="tiny")


@pytest.fixture(scope="session")
def source() -> Source:
    return tiny_source()


@pytest.fixture(scope="session")
def task(source: Source) -> Classification:
    return Classification(
        source,
        logistic_regression,
        ExpectedAccuracy(),
        batch_size=8,
        dev_size=50,
        chunk_size=20,
    )


@pytest.fixture(scope="session")
def compare(task: Classification) -> Callable[..., Comparison]:
    def make(
        rows: list[Row],
        task: Classification = task,
        *,
        num_steps: int = 20,
        observe_every: int = 10,
        warm_start: int = 0,
        test_seeds: int = 2,
        baseline: str | None = "cross entropy",
        taught_again: int = 0,
        warm_start_batch_size: int | None = None,
    ) -> Comparison:
        return Comparison(
            task,
            rows,
            Budget(
                num_steps,
                warm_start,
                observe_every=observe_every,
                warm_start_batch_size=warm_start_batch_size,
            ),
            Recipe(SGD, cosine),
            search_seeds=1,
            test_seeds=test_seeds,
            run_seed=0,
            baseline=baseline,
            taught_again=taught_again,
            replicas=Replicas(),
            engine={},
        )

    return make


@pytest.fixture(scope="session")
def make_teaching(task: Classification) -> Callable[..., Teaching]:
    # A Teaching holds no state but its traced loops, so that tests may share it.
    @functools.cache
    def make(num_steps: int = 20, learning_rate: float = 0.5, warm_start: int = 0) -> Teaching:
        loss, start = DynamicBilinear(), None
        if warm_start:
            rule = SGD(learning_rate=0.1, momentum=0.9)
            start = WarmStart(
                Teaching(task, task.likelihood, rule, Budget(warm_start, observe_every=7))
            )
        return Teaching(
            task,
            loss,
            SGD(learning_rate=learning_rate, momentum=0.9),
            Budget(num_steps, observe_every=7, warm_start_steps=warm_start),
            attention_teacher(task.coefficient_shapes(loss), len(task.feature_names)),
            warm_start=start,
        )

    return make
