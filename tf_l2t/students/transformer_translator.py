"""The Transformer (Vaswani et al. 2017), from the layers of keras-hub."""

from __future__ import annotations

from typing import Any, NamedTuple

import gin
import keras
import tensorflow as tf

from tf_l2t.checks import part, whole_number
from tf_l2t.students.translator import Translator, shifted_right
from tf_l2t.types import Nest, Sentences


class _Encoded(NamedTuple):
    """What the decoder attends to."""

    values: tf.Tensor  # [batch, length, width]
    mask: tf.Tensor  # bool [batch, length]


class _Memory(NamedTuple):
    """The same for decoding step by step, with each layer's keys and values of the source."""

    encoded: _Encoded
    caches: list[tf.Tensor]  # of each layer, [batch, 2, length, heads, width / heads]


@keras.saving.register_keras_serializable(package="tf_l2t")
class TransformerTranslator(Translator):
    """The model of `transformer_translator`, with the same arguments."""

    def __init__(
        self,
        source_size: int,
        target_size: int,
        layers: int = 6,
        width: int = 512,
        hidden: int = 1024,
        heads: int = 4,
        dropout: float = 0.1,
        tied_embeddings: bool = True,
        normalize_first: bool = False,
        **kwargs: Any,
    ) -> None:
        # Its import takes a second or two, which only those who build a Transformer shall wait.
        from keras_hub import layers as of

        super().__init__(**kwargs)
        self.settings = {
            "source_size": source_size,
            "target_size": target_size,
            "layers": layers,
            "width": width,
            "hidden": hidden,
            "heads": heads,
            "dropout": dropout,
            "tied_embeddings": tied_embeddings,
            "normalize_first": normalize_first,
        }
        self.width, self.heads = width, heads
        self.source_embedding = keras.layers.Embedding(
            source_size, width, embeddings_initializer=_normal(width)
        )
        self.target_embedding = of.ReversibleEmbedding(
            target_size,
            width,
            tie_weights=tied_embeddings,
            embeddings_initializer=_normal(width),
        )
        self.positions = of.SinePositionEncoding()
        block = {
            "intermediate_dim": hidden,
            "num_heads": heads,
            "dropout": dropout,
            "normalize_first": normalize_first,
        }
        self.encoders = [of.TransformerEncoder(**block) for _ in range(layers)]
        self.decoders = [of.TransformerDecoder(**block) for _ in range(layers)]
        shape = (None, None, width)
        norms = [keras.layers.LayerNormalization(epsilon=1e-5) for _ in range(2 * normalize_first)]
        self.encoder_norm: keras.layers.Layer | None
        self.decoder_norm: keras.layers.Layer | None
        self.encoder_norm, self.decoder_norm = norms or (None, None)
        self.dropout = keras.layers.Dropout(dropout)
        self.source_embedding.build((None, None))
        self.target_embedding.build((None, None))
        for layer in [*self.encoders, *norms]:
            layer.build(shape)
        for layer in self.decoders:
            layer.build(shape, shape)
        self.built = True

    def encode(self, source: Sentences, training: bool = False) -> Nest:
        """Returns what the last layer of the encoder says at each word of the source."""
        ids, lengths = source
        mask = tf.sequence_mask(lengths, tf.shape(ids)[1])
        x = self._embedded(self.source_embedding, ids, training=training)
        for layer in self.encoders:
            x = layer(x, padding_mask=mask, training=training)
        return _Encoded(_normed(self.encoder_norm, x), mask)

    def decode(self, encoded: Nest, target: Sentences, training: bool = False) -> tf.Tensor:
        """Returns the logits of the target's words, [batch, target length, words]."""
        x = self._embedded(self.target_embedding, shifted_right(target), training=training)
        for layer in self.decoders:
            x = layer(x, encoded.values, encoder_padding_mask=encoded.mask, training=training)
        return self._logits(x)

    def begin(self, source: Sentences, max_length: Any) -> tuple[Nest, Nest]:
        """Returns the encoded source, and caches of a translation that has no words yet."""
        del max_length
        encoded = self.encode(source)
        batch, length = tf.unstack(tf.shape(encoded.mask))
        size = [self.heads, self.width // self.heads]
        empty = tf.zeros(tf.stack([batch, 2, length, *size]), encoded.values.dtype)
        # The layer fills its cache of the source, which no word of the target enters.
        word = tf.zeros(tf.stack([batch, 1, self.width]), encoded.values.dtype)
        caches = [
            self._cached(layer, word, encoded, empty, tf.constant(0), empty, 0)[2]
            for layer in self.decoders
        ]
        # A graph that does not know how long it is lets it grow in its loops.
        first = tf.compat.v1.placeholder_with_default(empty[:, :, :1], [None, 2, None, *size])
        return _Memory(encoded, caches), [first] * len(self.decoders)

    def step(
        self, ids: tf.Tensor, state: Nest, memory: Nest, position: tf.Tensor
    ) -> tuple[tf.Tensor, Nest]:
        """Returns the logits of the next word, [batch, words], and the caches after it."""
        x = self._embedded(self.target_embedding, ids[:, tf.newaxis], position)
        caches = []
        for layer, own, across in zip(self.decoders, state, memory.caches, strict=True):
            # As long as so far, since all of a cache is read at each word, and one more, which the
            # mask hides: Keras warns of a softmax of one.
            own = tf.pad(own, [[0, 0], [0, 0], [0, 1], [0, 0], [0, 0]])
            x, own, _ = self._cached(layer, x, memory.encoded, own, position, across, None)
            caches.append(own)
        return self._logits(x)[:, 0], caches

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments, which is all that a saved model needs to be built again."""
        return {**super().get_config(), **self.settings}

    def _embedded(
        self, layer: keras.layers.Layer, ids: tf.Tensor, first: Any = 0, training: bool = False
    ) -> tf.Tensor:
        x = layer(ids)
        x = x * tf.cast(self.width**0.5, x.dtype)
        # Not start_index, which keras-hub adds to indices of another type in float64.
        positions = tf.cast(first + tf.range(tf.shape(ids)[1]), x.dtype)
        return self.dropout(x + self.positions(x, positions=positions), training=training)

    def _cached(
        self,
        layer: keras.layers.Layer,
        x: tf.Tensor,
        encoded: _Encoded,
        own: tf.Tensor,
        position: tf.Tensor,
        across: tf.Tensor,
        write_across: int | None,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        return layer(
            x,
            encoded.values,
            encoder_padding_mask=encoded.mask,
            self_attention_cache=own,
            self_attention_cache_update_index=position,
            cross_attention_cache=across,
            cross_attention_cache_update_index=write_across,
            training=False,
        )

    def _logits(self, x: tf.Tensor) -> tf.Tensor:
        return self.target_embedding(_normed(self.decoder_norm, x), reverse=True)


@gin.register(module="tf_l2t")
def transformer_translator(
    source_size: int,
    target_size: int,
    layers: int = 6,
    width: int = 512,
    hidden: int = 1024,
    heads: int = 4,
    dropout: float = 0.1,
    tied_embeddings: bool = True,
    normalize_first: bool = False,
) -> keras.Model:
    """Builds a Transformer with sinusoidal positions, by default as large as for IWSLT-14.

    Args:
        source_size: words of the source vocabulary.
        target_size: words of the target vocabulary.
        layers: of the encoder and of the decoder.
        width: of the embeddings and of what goes from layer to layer, a multiple of heads.
        hidden: width of the feed-forward networks.
        heads: of each attention.
        dropout: part of the embeddings, of the attention's weights and of what each part of a
            layer adds that is dropped, in [0, 1).
        tied_embeddings: whether the kernel of the logits is that of the target's embeddings.
        normalize_first: whether layers are normalised before each part instead of after it, and
            once more at the end.

    Raises:
        ValueError: for a number below 1, a width that the heads do not divide, or a dropout that
            is not a part.

    Vaswani et al., "Attention Is All You Need" (NeurIPS 2017), section 3; L2T-DLF, section 4.2.
    """
    owner = "transformer_translator"
    for name, value in (("layers", layers), ("hidden", hidden), ("heads", heads)):
        whole_number(owner, name, value, 1)
    if whole_number(owner, "width", width, 1) % heads:
        raise ValueError(
            f"{owner}: width must be a multiple of heads, got {width} and {heads}; try "
            f"{max(1, width // heads) * heads}."
        )
    part(owner, "dropout", dropout)
    return TransformerTranslator(
        source_size,
        target_size,
        layers,
        width,
        hidden,
        heads,
        dropout,
        tied_embeddings,
        normalize_first,
    )


def _normal(width: int) -> keras.initializers.Initializer:
    """Starts embeddings so small that tied logits are of order 1."""
    return keras.initializers.RandomNormal(stddev=width**-0.5)


def _normed(layer: keras.layers.Layer | None, x: tf.Tensor) -> tf.Tensor:
    return x if layer is None else layer(x)
