"""Pieces of words as indices: SentencePiece."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from tf_l2t.checks import one_of, whole_number
from tf_l2t.data.text_encoders import TextEncoder, lower, lowered, with_end, without_special
from tf_l2t.data.vocabulary import BOS, EOS, PAD, SPECIAL, UNK

_LONGEST = 1 << 20
"""Bytes of a sentence; SentencePiece silently leaves out longer ones."""


class Subwords(TextEncoder):
    """The pieces of a SentencePiece model; make one of text with `train_subwords`.

    A SavedModel that holds it is loaded after `import tensorflow_text`, which brings the ops.
    """

    def __init__(self, model: bytes, lowercase: bool = False) -> None:
        """Takes a trained model.

        Args:
            model: the SentencePiece model, serialised, as a .model file holds it.
            lowercase: whether to read text in lower case.

        Raises:
            ValueError: it is no such model, or its special pieces are not those of
                `data.vocabulary`.

        Example:
            >>> encoder = Subwords(pathlib.Path("german.model").read_bytes())
        """
        super().__init__()
        import sentencepiece
        import tensorflow_text

        processor = sentencepiece.SentencePieceProcessor()
        try:
            processor.LoadFromSerializedProto(model)
        except (RuntimeError, TypeError) as error:
            raise ValueError(
                f"model is no serialised SentencePiece model ({error}): give the bytes of a .model "
                "file, or train one with train_subwords"
            ) from error
        special = (processor.pad_id(), processor.unk_id(), processor.bos_id(), processor.eos_id())
        if special != (PAD, UNK, BOS, EOS):
            raise ValueError(
                f"model has {special} as the indices of {' '.join(SPECIAL)}, not "
                f"{(PAD, UNK, BOS, EOS)}: train it with --pad_id=0 --unk_id=1 --bos_id=2 "
                "--eos_id=3, or with train_subwords"
            )
        self.model = model
        self.lowercase = lowercase
        self._words = tuple(map(processor.id_to_piece, range(processor.get_piece_size())))
        self._tokenizer = tensorflow_text.SentencepieceTokenizer(model)

    @property
    def size(self) -> int:
        """Number of pieces, the special ones among them."""
        return len(self._words)

    @property
    def words(self) -> list[str]:
        """Every piece, in the order of the indices; ▁ stands for a space."""
        return list(self._words)

    def encode(self, strings: tf.Tensor) -> tf.RaggedTensor:
        """Returns the indices of each sentence, int32 [sentences, None], `EOS` at its end."""
        if self.lowercase:
            strings = lower(strings)
        return with_end(self._tokenizer.tokenize(strings))

    def decode(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns the text of each sentence up to its first `EOS`, tf.string [sentences]."""
        return self._tokenizer.detokenize(without_special(ids))

    def describe(self) -> dict[str, Any]:
        """Returns the kind, size and SHA-256 of the model, for a report in JSON."""
        return {
            "kind": "subwords",
            "size": self.size,
            "lowercase": self.lowercase,
            "sha256": hashlib.sha256(self.model).hexdigest(),
        }


def train_subwords(
    sentences: Iterable[str],
    vocabulary_size: int,
    kind: str = "unigram",
    lowercase: bool = False,
) -> Subwords:
    """Trains a SentencePiece model; the same sentences in the same order give the same model.

    Every character of the text becomes a piece, and NFKC is applied to text that is encoded.

    Args:
        sentences: the text, of one language, or of both for a vocabulary that they share.
        vocabulary_size: number of pieces, those of `data.vocabulary` among them.
        kind: "unigram" or "bpe".
        lowercase: whether to read text in lower case.

    Returns:
        The encoder.

    Raises:
        ValueError: another kind, no text, or a size that does not suit the text.

    Example:
        >>> encoder = train_subwords(source.train.source + source.train.target, 8000)
    """
    one_of("train_subwords", "kind", kind, ("unigram", "bpe"))
    whole_number("train_subwords", "vocabulary_size", vocabulary_size, len(SPECIAL) + 1)
    import sentencepiece

    text = lowered(sentences) if lowercase else list(sentences)
    if not any(map(str.strip, text)):
        raise ValueError("sentences holds no text: give one sentence at least")
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(text),
            model_writer=model,
            vocab_size=vocabulary_size,
            model_type=kind,
            character_coverage=1.0,
            max_sentence_length=_LONGEST,
            pad_id=PAD,
            unk_id=UNK,
            bos_id=BOS,
            eos_id=EOS,
            num_threads=1,  # more of them sum in another order
            minloglevel=2,
        )
    except RuntimeError as error:
        raise ValueError(
            f"vocabulary_size is {vocabulary_size}, which does not suit the text: "
            f"{_remedy(str(error))}"
        ) from error
    return Subwords(model.getvalue(), lowercase)


def _remedy(problem: str) -> str:
    """Returns what to do about a size of the vocabulary that SentencePiece refuses."""
    at_least = re.search(r"required_chars\. \d+ vs (\d+)", problem)
    at_most = re.search(r"value <= (\d+)", problem)
    if at_least:
        return f"give {at_least[1]} or more, so that each of its characters has a piece"
    if at_most:
        return f"give {at_most[1]} or less"
    return problem.rpartition("] ")[2]
