"""A language of three numbers, and its translation."""

import functools

import numpy as np
import pytest

from tf_l2t.data import Pairs, ParallelText
from tf_l2t.data.vocabularies import word_vocabularies
from tf_l2t.measures import ExpectedBleu
from tf_l2t.students import lstm_translator
from tf_l2t.tasks import Translation

GERMAN, ENGLISH = ("eins", "zwei", "drei"), ("one", "two", "three")


def pairs(count: int, seed: int) -> Pairs:
    random = np.random.default_rng(seed)
    numbers = [random.integers(0, 3, random.integers(1, 7)) for _ in range(count)]
    sides = [[" ".join(words[k] for k in each) for each in numbers] for words in (GERMAN, ENGLISH)]
    return Pairs(*map(tuple, sides))


@pytest.fixture(scope="session")
def parallel_text() -> ParallelText:
    tests = {"one": pairs(9, 2), "other": pairs(5, 3)}
    return ParallelText(pairs(50, 0), pairs(11, 1), tests, "de", "en", "numbers")


@pytest.fixture
def make_translation(parallel_text):
    """Makes a task with a tiny student."""

    def make(measure=None, text=parallel_text, **settings) -> Translation:
        settings = {
            "batch_size": 7,
            "chunk_size": 4,
            "observed_examples": 6,
            "beam_size": 2,
            "longest_extra": 3,
            **settings,
        }
        student = functools.partial(lstm_translator, embedding=4, units=5, dropout=0.3)
        measure = measure or ExpectedBleu(num_candidates=3)
        return Translation(text, word_vocabularies, student, measure, **settings)

    return make
