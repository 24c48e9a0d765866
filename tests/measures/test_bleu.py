import numpy as np
import pytest
import sacrebleu
import tensorflow as tf
from sacrebleu.metrics.bleu import BLEU

from tf_l2t.data.vocabulary import EOS, PAD
from tf_l2t.measures import corpus_bleu, prefix_bleu, sentence_bleu
from tf_l2t.types import Sentences

A, B, C, D, E, F = range(4, 10)
HARD = [
    ([], [A, B]),
    ([A], []),
    ([], []),
    ([A], [A]),
    ([A], [B]),
    ([A], [A, B, C, D, E]),
    ([A, A, A, A, A, A], [A, B]),
    ([A, A, A, A, A, A], [A, A, B, A, A]),
    ([A, B, A, B, A, B], [A, B, C, A, B]),
    ([A, B], [A, B]),
    ([A, B, C], [A, B, C]),
    ([A, B, C], [C, B, A]),
    ([A, B, C, D], [A, B, C, D]),
    ([A, B, C, D, E, F, A, B], [A, B, C, D]),
    ([A, B, C, D], [A, B, C, D, E, F, A, B]),
    ([A, B, C, D, E], [D, E, A, B, C]),
    ([F, F, F, F, F], [A, B, C, D, E]),
    ([1, 1, A], [1, A, 1]),
]


def random_pairs() -> list:
    rng = np.random.default_rng(0)
    words = lambda: rng.integers(4, 8, rng.integers(0, 12)).tolist()
    return [(words(), words()) for _ in range(60)]


PAIRS = HARD + random_pairs()


def sentences(lists: list, length: int, fill: int = PAD) -> Sentences:
    rows = [[*words, EOS] for words in lists]
    ids = [row + [fill] * (length - len(row)) for row in rows]
    return Sentences(tf.constant(ids, tf.int32), tf.constant([len(row) for row in rows]))


def oracle(hypothesis: list, reference: list, order=4, **settings) -> float:
    metric = BLEU(tokenize="none", max_ngram_order=order, force=True, **settings)
    texts = [" ".join(map(str, words)) for words in (hypothesis, reference)]
    return metric.sentence_score(texts[0], [texts[1]]).score / 100


@pytest.mark.parametrize("effective_order", [True, False])
@pytest.mark.parametrize(
    ("smoothing", "value"),
    [("exp", None), ("floor", None), ("floor", 0.3), ("add-k", None), ("add-k", 2), ("none", None)],
)
def test_it_is_that_of_sacrebleu(smoothing, value, effective_order):
    got = sentence_bleu(
        sentences([h for h, _ in PAIRS], 14),
        sentences([r for _, r in PAIRS], 13),
        smoothing=smoothing,
        smoothing_value=value,
        effective_order=effective_order,
    )
    assert got.dtype == tf.float32
    want = [
        oracle(*pair, smooth_method=smoothing, smooth_value=value, effective_order=effective_order)
        for pair in PAIRS
    ]
    assert 0.0 in want
    assert max(want) == pytest.approx(1.0)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-6)


def test_sacrebleus_own_function_has_the_same_defaults():
    hypothesis, reference = [A, B, C, D, E, E], [A, B, C, E, D, F, F]
    text = [" ".join(map(str, words)) for words in (hypothesis, reference)]
    want = sacrebleu.sentence_bleu(text[0], [text[1]], tokenize="none").score / 100
    got = sentence_bleu(sentences([hypothesis], 9), sentences([reference], 9))
    np.testing.assert_allclose(got, [want], atol=1e-6)


def test_golden():
    # 5 of 6 words, 3 of 5, 2 of 4 and 1 of 3 n-grams; the brevity penalty is exp(1 - 7/6).
    got = sentence_bleu(sentences([[A, B, C, D, E, E]], 9), sentences([[A, B, C, D, F, F, E]], 8))
    want = np.exp(1 - 7 / 6) * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25
    np.testing.assert_allclose(got, [want], rtol=1e-6)


@pytest.mark.parametrize("order", [1, 2, 6])
def test_other_orders(order):
    got = sentence_bleu(
        sentences([h for h, _ in PAIRS], 13), sentences([r for _, r in PAIRS], 13), max_order=order
    )
    want = [oracle(*pair, order=order, effective_order=True) for pair in PAIRS]
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-6)


def test_padding_changes_nothing_whatever_it_holds():
    hypotheses, references = ([side[k] for side in PAIRS] for k in (0, 1))
    want = sentence_bleu(sentences(hypotheses, 13), sentences(references, 13))
    got = sentence_bleu(sentences(hypotheses, 20, fill=A), sentences(references, 16, fill=A))
    np.testing.assert_array_equal(got, want)


def test_a_sentence_that_was_cut_off_has_all_its_words():
    cut = Sentences(tf.constant([[A, B, C, D, E]]), tf.constant([5]))
    np.testing.assert_allclose(sentence_bleu(cut, sentences([[A, B, C, D, E]], 6)), [1.0])


def test_a_row_that_is_no_sentence_has_none():
    nothing = Sentences(tf.constant([[A, B], [A, B]]), tf.constant([0, 0]))
    np.testing.assert_array_equal(sentence_bleu(nothing, sentences([[A, B]] * 2, 3)), [0.0, 0.0])
    np.testing.assert_array_equal(sentence_bleu(nothing, nothing), [0.0, 0.0])


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"smoothing": "add-k", "max_order": 2},
        {"smoothing": "floor", "smoothing_value": 0.3, "effective_order": False},
    ],
    ids=str,
)
def test_that_of_a_prefix_is_that_of_the_sentence_that_it_is(settings):
    references = sentences([r for _, r in PAIRS], 13)
    found = prefix_bleu(sentences([h for h, _ in PAIRS], 14), references, **settings).numpy()
    assert found.shape == (len(PAIRS), 14)
    for r in range(14):
        cut = sentences([h[: r + 1] for h, _ in PAIRS], 15)
        want = sentence_bleu(cut, references, **settings)
        np.testing.assert_allclose(found[:, r], want, rtol=1e-6)


def test_prefixes_of_candidates_share_a_reference_whatever_the_padding_holds():
    references = sentences([[A, B, C, D], [B, C, C]], 6)
    proposed = [[A, B, C, D], [B, C, C], [A, D, C, B, B]]
    flat = sentences(proposed * 2, 8, fill=A)
    candidates = Sentences(tf.reshape(flat.ids, [2, 3, 8]), tf.reshape(flat.lengths, [2, 3]))
    found = tf.function(prefix_bleu)(candidates, references).numpy()
    for i, reference in enumerate(([A, B, C, D], [B, C, C])):
        for k, words in enumerate(proposed):
            want = [oracle(words[: r + 1], reference, effective_order=True) for r in range(8)]
            np.testing.assert_allclose(found[i, k], want, atol=1e-6)


def test_one_reference_for_the_candidates_of_an_example(float64):
    references = sentences([[A, B, C, D], [B, C, C]], 6)
    proposed = [[A, B, C, D], [B, C, C], [A, D, C, B, B]]
    flat = sentences(proposed * 2, 8)
    candidates = Sentences(tf.reshape(flat.ids, [2, 3, 8]), tf.reshape(flat.lengths, [2, 3]))
    got = tf.function(sentence_bleu)(candidates, references)
    want = [
        [oracle(h, r, effective_order=True) for h in proposed] for r in ([A, B, C, D], [B, C, C])
    ]
    assert got.dtype == tf.float64
    np.testing.assert_allclose(got, want, rtol=1e-9)


def test_shapes_that_are_not_known_beforehand():
    spec = lambda rank: Sentences(
        tf.TensorSpec([None] * rank, tf.int32), tf.TensorSpec([None] * (rank - 1), tf.int32)
    )
    bleu = tf.function(sentence_bleu, input_signature=[spec(2), spec(2)])
    for count, length in ((3, 13), (40, 15)):
        hypotheses, references = ([side[k] for side in PAIRS[-count:]] for k in (0, 1))
        got = bleu(sentences(hypotheses, length), sentences(references, 14))
        want = [oracle(*pair, effective_order=True) for pair in PAIRS[-count:]]
        np.testing.assert_allclose(got, want, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_order": 0}, "sentence_bleu: max_order must be at least 1, got 0"),
        ({"smoothing": "exq"}, "sentence_bleu: smoothing must be one of exp, add-k, .* got 'exq'"),
    ],
)
def test_arguments_that_make_no_sense(settings, message):
    with pytest.raises(ValueError, match=message):
        sentence_bleu(sentences([[A]], 3), sentences([[A]], 3), **settings)
    with pytest.raises(ValueError, match=message.replace("sentence_bleu", "prefix_bleu")):
        prefix_bleu(sentences([[A]], 3), sentences([[A]], 3), **settings)


def test_more_references_than_hypotheses_are_refused():
    many = Sentences(tf.ones([2, 3, 4], tf.int32), tf.ones([2, 3], tf.int32))
    with pytest.raises(ValueError, match="references must not have more dimensions"):
        sentence_bleu(sentences([[A]], 3), many)


def test_bleu_of_a_corpus():
    hypotheses = ["The cat sat on the mat.", "It is raining , they say ."]
    references = ["The cat sat on the red mat.", "it is raining, they say."]
    got = corpus_bleu(hypotheses, references)
    assert got.score == sacrebleu.corpus_bleu(hypotheses, [references]).score
    assert 0 < got.score < 100
    assert "tok:13a" in got.signature
    assert "case:mixed" in got.signature
    assert f"version:{sacrebleu.__version__}" in got.signature
    lower = corpus_bleu(hypotheses, references, lowercase=True)
    assert lower.score > got.score
    tokenised = corpus_bleu(hypotheses, references, tokenize="none")
    assert tokenised.score < got.score
    assert "tok:none" in tokenised.signature
    assert corpus_bleu(references, references).score == pytest.approx(100)


@pytest.mark.parametrize(
    ("hypotheses", "references", "message"),
    [
        (["a"], ["a", "b"], "references must be as many as hypotheses .* got 2 for 1"),
        ([], [], "at least 1, got 0 for 0"),
        ("a", ["a"], "must be lists"),
        ([""], "a", "must be lists"),
    ],
)
def test_a_corpus_that_does_not_fit(hypotheses, references, message):
    with pytest.raises(ValueError, match=message):
        corpus_bleu(hypotheses, references)
