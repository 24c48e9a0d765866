"""Recurrent translation with attention (Bahdanau et al. 2015), by LSTMs."""

from __future__ import annotations

from typing import Any, NamedTuple

import gin
import keras
import tensorflow as tf

from tf_l2t.checks import one_of, part, whole_number
from tf_l2t.students.translator import Translator, shifted_right
from tf_l2t.types import Nest, Sentences

_MASKED = -1e9
"""A score that the softmax turns into 0 exactly, beside any other."""


class _Encoded(NamedTuple):
    """What the decoder attends to."""

    values: tf.Tensor  # [batch, length, 2 * units]
    keys: tf.Tensor  # [batch, length, units]
    mask: tf.Tensor  # bool [batch, length]
    last: list[tf.Tensor]  # of each decoder layer, [batch, units]


@keras.saving.register_keras_serializable(package="tf_l2t")
class LSTMTranslator(Translator):
    """The model of `lstm_translator`, with the same arguments."""

    def __init__(
        self,
        source_size: int,
        target_size: int,
        layers: int = 1,
        embedding: int = 256,
        units: int = 256,
        dropout: float = 0.2,
        attention: str = "before",
        input_feeding: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.settings = {
            "source_size": source_size,
            "target_size": target_size,
            "layers": layers,
            "embedding": embedding,
            "units": units,
            "dropout": dropout,
            "attention": attention,
            "input_feeding": input_feeding,
        }
        self.units = units
        self.attends_before = attention == "before"
        self.input_feeding = input_feeding
        of = keras.layers
        width = 2 * units
        self.source_embedding = _embedding(source_size, embedding)
        self.target_embedding = _embedding(target_size, embedding)
        # Not Bidirectional: it makes its layers anew from a config that lacks use_cudnn, and the
        # LSTM of cuDNN has no second derivative.
        self.encoders = []
        for k in range(layers):
            self.encoders.append(
                [_lstm(units, embedding if k == 0 else width, backwards=b) for b in (False, True)]
            )
        self.bridges = [_dense(units, units, activation="tanh") for _ in range(layers)]
        self.attention_key = _dense(units, width, use_bias=False)
        self.attention_query = _dense(units, units)
        self.attention_score = _dense(1, units, use_bias=False)
        first = embedding + width * self.attends_before + units * input_feeding
        self.cells = [_built(of.LSTMCell(units), first if k == 0 else units) for k in range(layers)]
        self.readout = _dense(units, units + width + embedding, activation="tanh")
        self.logits = _dense(target_size, units)
        self.embedding_dropout = of.Dropout(dropout)
        self.between_dropout = of.Dropout(dropout)
        self.readout_dropout = of.Dropout(dropout)
        self.built = True

    def encode(self, source: Sentences, training: bool = False) -> Nest:
        """Returns the annotations of the source's words, their keys and the first state."""
        ids, lengths = source
        mask = tf.sequence_mask(lengths, tf.shape(ids)[1])
        x = self.embedding_dropout(self.source_embedding(ids), training=training)
        last = []
        for k, (forwards, backwards) in enumerate(self.encoders):
            if k:
                x = self.between_dropout(x, training=training)
            ahead, _, _ = forwards(x, mask=mask, training=training)
            back, state, _ = backwards(x, mask=mask, training=training)
            x = tf.concat([ahead, tf.reverse(back, [1])], -1)
            last.append(self.bridges[k](state))
        return _Encoded(x, self.attention_key(x), mask, last)

    def decode(self, encoded: Nest, target: Sentences, training: bool = False) -> tf.Tensor:
        """Returns the logits of the target's words, [batch, target length, words]."""
        embedded = self.target_embedding(shifted_right(target))
        embedded = self.embedding_dropout(embedded, training=training)
        shape = tf.concat([tf.shape(embedded)[:2], [self.units]], 0)
        kept = [
            self.between_dropout(tf.ones(shape, embedded.dtype), training=training)
            for _ in self.cells[1:]
            if training
        ]
        state = self._first_state(encoded)
        states = tf.scan(
            lambda state, inputs: self._advance(state, inputs[0], inputs[1:], encoded),
            [tf.transpose(each, [1, 0, 2]) for each in [embedded, *kept]],
            state,
        )
        states = tf.nest.map_structure(lambda each: tf.transpose(each, [1, 0, 2]), states)
        return self._logits(states, embedded, encoded, training)

    def begin(self, source: Sentences, max_length: Any) -> tuple[Nest, Nest]:
        """Returns the encoded source, and the decoder's state before the first word."""
        del max_length
        encoded = self.encode(source)
        return encoded, self._first_state(encoded)

    def step(
        self, ids: tf.Tensor, state: Nest, memory: Nest, position: tf.Tensor
    ) -> tuple[tf.Tensor, Nest]:
        """Returns the logits of the next word, [batch, words], and the state after it."""
        del position
        embedded = self.target_embedding(ids)
        state = self._advance(state, embedded, [], memory)
        return self._logits(state, embedded, memory, training=False), state

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments, which is all that a saved model needs to be built again."""
        return {**super().get_config(), **self.settings}

    def _first_state(self, encoded: _Encoded) -> dict[str, Any]:
        batch, dtype = tf.shape(encoded.values)[0], encoded.values.dtype
        state = {
            "hidden": list(encoded.last),
            "carry": [tf.zeros_like(each) for each in encoded.last],
        }
        if self.attends_before or self.input_feeding:
            state["context"] = tf.zeros([batch, 2 * self.units], dtype)
        if self.input_feeding:
            state["readout"] = tf.zeros([batch, self.units], dtype)
        return state

    def _advance(
        self, state: dict[str, Any], embedded: tf.Tensor, kept: list[tf.Tensor], encoded: _Encoded
    ) -> dict[str, Any]:
        """Returns the state after one more word; `kept` is dropout's mask between the layers."""
        new: dict[str, Any] = {"hidden": [], "carry": []}
        inputs = [embedded]
        if self.attends_before:
            new["context"] = self._attend(state["hidden"][-1], encoded)
            inputs.append(new["context"])
        if self.input_feeding:
            inputs.append(state["readout"])
        x = tf.concat(inputs, -1)
        for k, cell in enumerate(self.cells):
            if k and kept:
                x = x * kept[k - 1]
            x, (hidden, carry) = cell(x, [state["hidden"][k], state["carry"][k]])
            new["hidden"].append(hidden)
            new["carry"].append(carry)
        if self.input_feeding:
            if not self.attends_before:
                new["context"] = self._attend(x, encoded)
            new["readout"] = self.readout(tf.concat([x, new["context"], embedded], -1))
        return new

    def _attend(self, query: tf.Tensor, encoded: _Encoded) -> tf.Tensor:
        """Returns Σ_j α_j h_j, [batch, (positions,) 2 * units], for [batch, (positions,) units]."""
        if len(query.shape) == 2:
            return self._attend(query[:, tf.newaxis], encoded)[:, 0]
        queries = self.attention_query(query)[:, :, tf.newaxis]
        together = tf.tanh(encoded.keys[:, tf.newaxis] + queries)
        scores = self.attention_score(together)[..., 0]
        scores = tf.where(encoded.mask[:, tf.newaxis], scores, tf.constant(_MASKED, scores.dtype))
        # Not an einsum, which oneDNN makes far slower.
        return tf.matmul(tf.nn.softmax(scores), encoded.values)

    def _logits(
        self, state: dict[str, Any], embedded: tf.Tensor, encoded: _Encoded, training: bool
    ) -> tf.Tensor:
        """Returns the logits after one state, or after those of all positions at once."""
        readout = state.get("readout")
        if readout is None:
            context = state.get("context")
            if context is None:
                context = self._attend(state["hidden"][-1], encoded)
            readout = self.readout(tf.concat([state["hidden"][-1], context, embedded], -1))
        return self.logits(self.readout_dropout(readout, training=training))


@gin.register(module="tf_l2t")
def lstm_translator(
    source_size: int,
    target_size: int,
    layers: int = 1,
    embedding: int = 256,
    units: int = 256,
    dropout: float = 0.2,
    attention: str = "before",
    input_feeding: bool = False,
) -> keras.Model:
    """Builds an encoder of bidirectional LSTMs and a decoder of LSTMs that attends to it.

        e_ij = vᵀ tanh(W s_{i-1} + U h_j)    α_i = softmax e_i    c_i = Σ_j α_ij h_j
        s_i = LSTM(s_{i-1}, [y_{i-1}, c_i])    p_i = softmax(O tanh(R [s_i, c_i, y_{i-1}]))

    h_j is what both directions of the encoder say at word j; the decoder's first state is tanh of
    a map of the backward direction's last one. Embeddings begin with a deviation of 0.3.

    Args:
        source_size: words of the source vocabulary.
        target_size: words of the target vocabulary.
        layers: of the encoder and of the decoder; LSTM-1 has 1 and LSTM-2 has 2.
        embedding: width of the embeddings.
        units: width of an LSTM, of the attention and of the readout.
        dropout: part of the embeddings, of what goes from layer to layer, and of the readout that
            is dropped, in [0, 1).
        attention: "before" a step of the decoder, from the state before it, as above; or "after"
            it, from s_i, with c_i entering the readout alone (Luong et al. 2015), where all words
            of a given sentence attend at once.
        input_feeding: whether the readout of a word is also fed to the decoder at the next
            (Luong et al. 2015, section 3.3).

    Raises:
        ValueError: for a number below 1, a dropout that is not a part, or another attention.

    Bahdanau, Cho & Bengio, "Neural Machine Translation by Jointly Learning to Align and Translate"
    (ICLR 2015), section 3 and appendix A, with LSTMs in the place of its GRUs and tanh in the
    place of maxout; L2T-DLF, section 4.2.
    """
    owner = "lstm_translator"
    whole_number(owner, "layers", layers, 1)
    whole_number(owner, "embedding", embedding, 1)
    whole_number(owner, "units", units, 1)
    part(owner, "dropout", dropout)
    one_of(owner, "attention", attention, ("before", "after"))
    return LSTMTranslator(
        source_size, target_size, layers, embedding, units, dropout, attention, input_feeding
    )


def _built(layer: keras.Layer, width: int | None) -> keras.Layer:
    layer.build((None, width))
    return layer


def _embedding(size: int, width: int) -> keras.layers.Embedding:
    # From the small ones that Keras begins with, the annotations of all words are alike, and a
    # student may learn for thousands of steps before it attends to anything. From larger ones than
    # these it translated worse (results/LOG.md).
    normal = keras.initializers.RandomNormal(stddev=0.3)
    return _built(keras.layers.Embedding(size, width, embeddings_initializer=normal), None)


def _dense(units: int, width: int, **kwargs: Any) -> keras.layers.Dense:
    return _built(keras.layers.Dense(units, **kwargs), width)


def _lstm(units: int, width: int, backwards: bool) -> keras.layers.LSTM:
    layer = keras.layers.LSTM(
        units,
        return_sequences=True,
        return_state=True,
        go_backwards=backwards,
        use_cudnn=False,
    )
    layer.build((None, None, width))
    return layer
