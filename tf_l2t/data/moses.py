"""Moses tokenisation, as papers on translation between European languages use it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

import gin

from tf_l2t.data.parallel_text import Pairs, ParallelText

_CODE = re.compile("[a-z]{2,3}")
_LAST_STOP = re.compile(r"(?<=[^\s.])\.$")


def moses_tokenized(sentences: Iterable[str], language: str, lowercase: bool = True) -> list[str]:
    """Takes sentences apart into words and marks, with one space between them.

    It does what Moses' tokenizer.perl does with its default options, and lowercase.perl after it:
    marks such as & and " are written as &amp; and &quot;.

    Args:
        sentences: raw text.
        language: two-letter code of its language, which decides about full stops and apostrophes.
            As in the script, one that it has no rules for is taken apart like English.
        lowercase: whether to write all in lower case.

    Returns:
        A sentence for each.

    Raises:
        ValueError: `language` is not such a code.

    Example:
        >>> moses_tokenized(["It's five o'clock."], "en")
        ['it &apos;s five o &apos;clock .']
    """
    import sacremoses

    _check_language("language", language)
    tokenizer = sacremoses.MosesTokenizer(language)
    words = (tokenizer.tokenize(sentence, return_str=True) for sentence in sentences)
    # The script parts the last word from its full stop whatever it is; sacremoses does not.
    tokenized = (_LAST_STOP.sub(" .", sentence) for sentence in words)
    return [sentence.lower() if lowercase else sentence for sentence in tokenized]


def moses_detokenized(sentences: Iterable[str], language: str) -> list[str]:
    """Puts sentences together again that `moses_tokenized` took apart; lower case stays.

    Args:
        sentences: words and marks with spaces between them.
        language: two-letter code of their language.

    Returns:
        A sentence for each.

    Raises:
        ValueError: `language` is not such a code.

    Example:
        >>> moses_detokenized(["it &apos;s five o &apos;clock ."], "en")
        ["it's five o'clock."]
    """
    import sacremoses

    _check_language("language", language)
    detokenizer = sacremoses.MosesDetokenizer(language)
    return [detokenizer.detokenize(sentence.split()) for sentence in sentences]


@gin.register(module="tf_l2t")
def moses(text: ParallelText, lowercase: bool = True) -> ParallelText:
    """Takes all sentences apart with `moses_tokenized`, in the language of each side.

    Args:
        text: raw sentence pairs.
        lowercase: whether to write all in lower case.

    Returns:
        The same pairs, tokenised. Students of them translate raw text nevertheless, once they are
        exported: `tf_l2t.translate` takes it apart, and puts the translations together.

    Raises:
        ValueError: the text is tokenised already, or the code of a language is not one.

    Example:
        >>> text = moses(multi30k())
    """

    if text.tokenized:
        raise ValueError(f"moses: text, {text.name}, is tokenised already; give it once.")
    for name in ("source_language", "target_language"):
        _check_language(f"moses: {name} of text, {text.name},", getattr(text, name))

    def tokenized(pairs: Pairs) -> Pairs:
        return Pairs(
            tuple(moses_tokenized(pairs.source, text.source_language, lowercase)),
            tuple(moses_tokenized(pairs.target, text.target_language, lowercase)),
        )

    return dataclasses.replace(
        text,
        train=tokenized(text.train),
        dev=tokenized(text.dev),
        test={name: tokenized(pairs) for name, pairs in text.test.items()},
        tokenized=True,
        lowercase=lowercase,
        raw_targets={name: pairs.target for name, pairs in [("dev", text.dev), *text.test.items()]},
    )


def _check_language(name: str, language: str) -> None:
    """Raises ValueError for what is no code; sacremoses would read it by the rules of English."""
    if not isinstance(language, str) or not _CODE.fullmatch(language):
        raise ValueError(f"{name} is {language!r}: give a code of two letters, such as 'de'")
