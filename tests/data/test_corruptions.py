import numpy as np
import pytest

from tf_l2t.data import (
    CIFAR10_PAIRS,
    MNIST_PAIRS,
    LongTail,
    PairFlips,
    UniformFlips,
    corruptions,
)
from tf_l2t.data.permutations import uniform

LABELS = np.arange(20_000, dtype=np.int32) % 10


def applied(corruption, labels: np.ndarray = LABELS) -> np.ndarray:
    rows, flipped = corruption(labels, 10)
    counts = np.zeros((10, 10))
    np.add.at(counts, (labels[rows], flipped), 1)
    return counts / counts.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("corruption", [PairFlips(), PairFlips(rate=0.2), UniformFlips(0.3)])
def test_labels_go_through_the_transition_matrix(corruption) -> None:
    matrix = corruption.transition_matrix(10)
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    # Four standard errors of 2,000 draws.
    np.testing.assert_allclose(applied(corruption), matrix, atol=4 * 0.5 / 2000**0.5)
    assert (applied(corruption)[matrix == 0] == 0).all()


def test_the_pairs_of_mnist_are_flipped() -> None:
    matrix = PairFlips(rate=0.45).transition_matrix(10)
    for i, j in MNIST_PAIRS:
        assert matrix[i, j] == 0.45
        assert matrix[i, i] == 0.55
    assert matrix[0, 0] == 1


def test_pairs_have_names() -> None:
    assert PairFlips("mnist").pairs == PairFlips().pairs == [list(pair) for pair in MNIST_PAIRS]
    assert PairFlips("cifar10").pairs == [list(pair) for pair in CIFAR10_PAIRS]


@pytest.mark.parametrize("make", [PairFlips, UniformFlips, LongTail])
def test_a_seed_gives_the_same_damage_and_another_seed_another(make) -> None:
    one, again, other = make()(LABELS, 10), make()(LABELS, 10), make(seed=1)(LABELS, 10)
    for first, second in zip(one, again, strict=True):
        np.testing.assert_array_equal(first, second)
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("corruption", [PairFlips(rate=0.0), UniformFlips(0.0), LongTail(1.0)])
def test_nothing_is_nothing(corruption) -> None:
    rows, labels = corruption(LABELS, 10)
    np.testing.assert_array_equal(rows, np.arange(len(LABELS)))
    np.testing.assert_array_equal(labels, LABELS)


def test_a_label_is_where_its_draw_lies_in_its_row_of_the_matrix() -> None:
    corruption = UniformFlips(0.4, seed=3)
    limits = np.cumsum(corruption.transition_matrix(10), axis=1)[LABELS, :-1]
    draws = uniform(len(LABELS), 3, corruptions._FLIPS)
    _, labels = corruption(LABELS, 10)
    np.testing.assert_array_equal(labels, (draws[:, None] >= limits).sum(axis=1))


@pytest.mark.parametrize("pairs", [(2, 7), ((2, 7, 1),)])
def test_pairs_that_are_none(pairs) -> None:
    with pytest.raises(ValueError, match="PairFlips: pairs must hold pairs of classes, got"):
        PairFlips(pairs)


def test_everything_is_everything() -> None:
    _, labels = PairFlips(((0, 1),), rate=1.0)(LABELS, 10)
    assert not (labels == 0).any()
    _, labels = UniformFlips(1.0)(LABELS, 10)
    assert (labels != LABELS).all()


def test_the_tail_is_long() -> None:
    rows, labels = LongTail(imbalance=100)(LABELS, 10)
    np.testing.assert_array_equal(labels, LABELS[rows])
    counts = np.bincount(labels)
    expected = 2000 * 100 ** (-np.arange(10) / 9)
    np.testing.assert_allclose(counts, expected, atol=0.5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PairFlips(rate=1.5), "rate must be in .0, 1., got 1.5"),
        (lambda: PairFlips(((3, 3),)), "of two classes"),
        (lambda: PairFlips("svhn"), "pairs must be one of mnist, cifar10, got 'svhn'"),
        (lambda: PairFlips(((0, 10),))(LABELS, 10), "names a class that is not there"),
        (lambda: PairFlips(((0, 1), (0, 2)), 0.6)(LABELS, 10), "flips more of a class"),
        (lambda: UniformFlips(float("nan")), "rate must be"),
        (lambda: UniformFlips(seed=-1), "seed"),
        (lambda: LongTail(0.5), "imbalance must be at least 1"),
        (lambda: LongTail(1e6)(LABELS, 10), "leaves nothing of class"),
    ],
)
def test_what_cannot_be_is_refused(make, message) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_draws_are_uniform_and_never_one() -> None:
    draws = uniform(100_000, 3, 1)
    assert 0 <= draws.min() < draws.max() < 1
    np.testing.assert_allclose(np.quantile(draws, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.01)
