"""A trained student that reads and writes text, as it is exported."""

from __future__ import annotations

import tensorflow as tf

from tf_l2t.data.parallel_text import TextForm
from tf_l2t.data.text_encoders import TextEncoder
from tf_l2t.decoding.writer import Writer
from tf_l2t.students.translator import Translator
from tf_l2t.types import Sentences


class TextTranslator(tf.Module):
    """Text to text, in a graph: what a SavedModel of a student that translates holds.

    Args:
        model: the student.
        source_encoder, target_encoder: of the text that it reads and writes.
        form: how that text is written.
        factor, extra: see `Writer`.
        beam_size, length_penalty: of the beam search.
    """

    def __init__(
        self,
        model: Translator,
        source_encoder: TextEncoder,
        target_encoder: TextEncoder,
        form: TextForm,
        *,
        factor: float = 1.5,
        extra: int = 10,
        beam_size: int = 5,
        length_penalty: float = 1.0,
    ) -> None:
        super().__init__(name="text_translator")
        self.model = model
        self.form = form
        self.source_encoder, self.target_encoder = source_encoder, target_encoder
        self._writer = Writer(model.begin, model.step, factor, extra)
        self._beam = beam_size, length_penalty

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="sentences")])
    def translate(self, sentences: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns {"translations": tf.string [n]} of sentences in UTF-8, tf.string [n]."""
        ids = self.source_encoder.encode(sentences)
        padded = ids.to_tensor()
        # Of no sentences there is no word either, which recurrent layers do not take.
        padded = tf.pad(padded, [[0, 0], [0, tf.cast(tf.shape(padded)[1] == 0, tf.int32)]])
        source = Sentences(padded, tf.cast(ids.row_lengths(), tf.int32))
        found = self._writer.best(source, *self._beam)
        return {"translations": self.target_encoder.decode(found.ids[:, 0])}
