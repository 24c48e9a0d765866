"""A task of translation."""

import pytest
from numbers_in_words import BagTranslator, pairs

from tf_l2t.data import ParallelText
from tf_l2t.data.vocabularies import word_vocabularies
from tf_l2t.measures import ExpectedBleu
from tf_l2t.tasks import Translation


@pytest.fixture(scope="session")
def parallel_text() -> ParallelText:
    tests = {"one": pairs(9, 2), "other": pairs(5, 3)}
    return ParallelText(pairs(50, 0), pairs(11, 1), tests, "de", "en", "numbers")


@pytest.fixture
def make_translation(parallel_text):
    """Makes a task with a tiny student."""

    def make(
        measure=None,
        text=parallel_text,
        vocabularies=word_vocabularies,
        student=BagTranslator,
        **settings,
    ) -> Translation:
        settings = {
            "batch_size": 7,
            "chunk_size": 4,
            "observed_examples": 6,
            "beam_size": 2,
            "longest_extra": 3,
            **settings,
        }
        measure = measure or ExpectedBleu(num_candidates=3)
        return Translation(text, vocabularies, student, measure, **settings)

    return make
