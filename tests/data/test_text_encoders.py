"""Text comes back from its indices, in eager mode, in graphs and out of a SavedModel."""

import json

import numpy as np
import pytest
import sentencepiece
import tensorflow as tf

from tf_l2t.data import Subwords, Words, count_words, train_subwords
from tf_l2t.data.vocabulary import BOS, EOS, PAD, SPECIAL, UNK

TEXT = (
    "Ein kleines Haus steht am Fluss .",
    "Zwei kleine Hunde laufen über die Wiese .",
    "Ein Mann mit Hut isst süße Äpfel .",
    "Die Häuser am Fluss sind groß und klein .",
    "Ein Hund und ein Mann laufen am Fluss .",
)
ENCODERS = {
    "words": count_words,
    "unigram": lambda text, **options: train_subwords(text, 45, **options),
    "bpe": lambda text, **options: train_subwords(text, 45, kind="bpe", **options),
}


@pytest.fixture(params=ENCODERS, scope="module")
def make(request):
    return ENCODERS[request.param]


@pytest.fixture(scope="module")
def encoder(make):
    return make(TEXT)


def test_text_comes_back(encoder):
    ids = encoder.encode(tf.constant(TEXT))
    assert isinstance(ids, tf.RaggedTensor)
    assert ids.dtype == tf.int32
    for row in ids.to_list():
        assert row[-1] == EOS
        assert min(row[:-1]) > EOS
        assert max(row) < encoder.size
    texts = encoder.decode(ids.to_tensor(PAD)).numpy()
    assert tuple(text.decode() for text in texts) == TEXT


def test_stops_at_the_first_end_and_hides_padding(encoder):
    first, second = encoder.encode(tf.constant(TEXT[:2])).to_list()
    rows = [
        [BOS, *first, *second],
        [PAD, *second[:-1], PAD],
        [EOS, *first],
        [PAD],
        [],
    ]
    texts = encoder.decode(tf.ragged.constant(rows, dtype=tf.int32).to_tensor(PAD)).numpy()
    assert [text.decode() for text in texts] == [TEXT[0], TEXT[1], "", "", ""]


def test_no_sentence_and_no_words(encoder):
    assert encoder.encode(tf.constant([], tf.string)).shape[0] == 0
    assert encoder.encode(tf.constant(["", "  "])).to_list() == [[EOS], [EOS]]
    assert encoder.decode(tf.zeros([0, 3], tf.int32)).shape == [0]
    assert encoder.decode(tf.zeros([2, 0], tf.int32)).numpy().tolist() == [b"", b""]


def test_unknown(encoder):
    (row,) = encoder.encode(tf.constant(["Ein 犬 steht"])).to_list()
    assert UNK in row
    (text,) = encoder.decode(tf.constant([row])).numpy()
    assert text.decode().startswith("Ein ")
    assert text.decode().endswith(" steht")


def test_lower_case(make):
    upper = [line.upper() for line in TEXT[:2]]
    encoder = make(TEXT, lowercase=True)
    texts = encoder.decode(encoder.encode(tf.constant(upper)).to_tensor(PAD)).numpy()
    assert [text.decode() for text in texts] == [line.lower() for line in upper]


def test_same_text_same_encoder(make):
    description = make(TEXT).describe()
    assert description == make(iter(TEXT)).describe()
    assert description == json.loads(json.dumps(description))
    assert description["size"] == make(TEXT).size
    assert description["sha256"] != make([*TEXT, "Noch ein Satz ."]).describe()["sha256"]


class Echo(tf.Module):
    """Text in, text out."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def translate(self, strings):
        return self.encoder.decode(self.encoder.encode(strings).to_tensor(PAD))


def test_saved_model(encoder, tmp_path):
    tf.saved_model.save(Echo(encoder), str(tmp_path))
    del encoder
    loaded = tf.saved_model.load(str(tmp_path))
    assert tuple(text.decode() for text in loaded.translate(list(TEXT)).numpy()) == TEXT


def test_in_a_loop(encoder):
    @tf.function
    def longest(strings):
        return tf.while_loop(
            lambda k, most: k < len(TEXT),
            lambda k, most: (
                k + 1,
                tf.maximum(most, tf.shape(encoder.encode(strings[: k + 1]).to_tensor())[1]),
            ),
            (0, 0),
        )[1]

    lengths = encoder.encode(tf.constant(TEXT)).row_lengths()
    assert longest(tf.constant(TEXT)) == tf.reduce_max(lengths).numpy()


def test_words_by_frequency():
    encoder = count_words(["b a b", "c a b", "d <unk> </s>"], min_count=1)
    assert encoder.words == [*SPECIAL, "b", "a", "c", "d"]
    assert count_words(["b a b", "c a b"], min_count=2).words[4:] == ["b", "a"]
    assert count_words(["b a b", "c a b"], max_size=5).words[4:] == ["b"]
    ids = encoder.encode(tf.constant(["b  e\ta", "d <unk> </s>"])).to_list()
    assert ids == [[4, UNK, 5, EOS], [7, UNK, UNK, EOS]]
    assert encoder.decode(tf.constant([[4, UNK, 5]])).numpy() == [b"b <unk> a"]


def test_words_are_split_alike_when_counted_and_when_encoded():
    """A no-break space parts words for Python, and does not for TensorFlow."""
    text = ["zehn\u00a0Prozent\u2028mehr", "\u3000 zehn"]
    encoder = count_words(text)
    assert UNK not in encoder.encode(tf.constant(text)).flat_values.numpy()


def test_size_of_the_vocabulary():
    encoder = train_subwords(TEXT, 47)
    assert encoder.size == 47
    pieces = sentencepiece.SentencePieceProcessor(model_proto=encoder.model)
    assert tuple(pieces.id_to_piece([PAD, UNK, BOS, EOS])) == SPECIAL
    assert Subwords(encoder.model).describe() == encoder.describe()


def test_a_long_sentence_is_not_left_out():
    encoder = train_subwords([*TEXT, "xyz " * 5000], 46)
    assert UNK not in np.unique(encoder.encode(tf.constant(["xyz"])).flat_values)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: train_subwords(TEXT, 60, kind="word"), "kind must be one of unigram, bpe, got"),
        (lambda: train_subwords(TEXT, 4), "vocabulary_size must be at least 5, got 4"),
        (
            lambda: train_subwords(TEXT, 10**4),
            r"vocabulary_size is 10000, .* suit the text: give \d+ or less",
        ),
        (
            lambda: train_subwords(TEXT, 9),
            r"vocabulary_size is 9, .* suit the text: give \d+ or more",
        ),
        (lambda: train_subwords(["", " "], 60), "sentences holds no text"),
        (lambda: Subwords(b"nothing"), "model is no serialised SentencePiece model"),
        (lambda: count_words(TEXT, min_count=0), "min_count must be at least 1, got 0"),
        (lambda: count_words(TEXT, max_size=4), "max_size must be at least 5, got 4"),
        (lambda: count_words(TEXT, min_count=99), "min_count is 99, but no word .* more than 5 t"),
        (lambda: count_words([]), "no word of the sentences comes more than 0 times"),
        (lambda: Words([]), "words is empty"),
        (lambda: Words(["a", "b", "a"]), "words holds 'a' 2 times"),
        (lambda: Words(["a", "<s>"]), "words holds '<s>': give words without spaces, other than"),
        (lambda: Words(["a b"]), "words holds 'a b'"),
        (lambda: Words([""]), "words holds ''"),
    ],
)
def test_refuses(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_refuses_other_special_pieces(tmp_path):
    prefix = tmp_path / "other"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT), model_prefix=str(prefix), vocab_size=45, minloglevel=2
    )
    with pytest.raises(ValueError, match=r"model has \(-1, 0, 1, 2\) as .*--pad_id=0"):
        Subwords(prefix.with_suffix(".model").read_bytes())
