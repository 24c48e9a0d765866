"""BLEU of a corpus of translations: the score that is reported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sacrebleu.metrics.bleu import BLEU

TOKENIZERS = tuple(BLEU.TOKENIZERS)
"""What sacreBLEU can take text apart with."""


class CorpusBleu(NamedTuple):
    """A BLEU, and what is to stand beside it."""

    score: float
    """In [0, 100], as it is published."""
    signature: str
    """sacreBLEU's: the tokeniser, the case, the smoothing and the version."""


def corpus_bleu(
    hypotheses: Sequence[str],
    references: Sequence[str],
    *,
    tokenize: str = "13a",
    lowercase: bool = False,
) -> CorpusBleu:
    """Returns the BLEU of a corpus, as sacreBLEU computes it.

    Args:
        hypotheses: the translations, one a line.
        references: one for each of them.
        tokenize: "13a", the standard one, for text as people write it; "none" for text that is
            tokenised already, words with spaces between them, as BLEU of IWSLT-14 is computed in
            most papers. Scores of different tokenisers must not be compared.
        lowercase: whether case counts for nothing.

    Raises:
        ValueError: if there are none, or not as many references as hypotheses.

    Example:
        >>> corpus_bleu(["the cat sat on the mat"], ["the cat sat on the mat"]).score  # 100.0

    Papineni et al. (ACL 2002), section 2.3; Post (WMT 2018), "A Call for Clarity in Reporting
    BLEU Scores".
    """
    if isinstance(hypotheses, str) or isinstance(references, str):
        raise ValueError("corpus_bleu: hypotheses and references must be lists, got a str.")
    if len(hypotheses) != len(references) or not hypotheses:
        raise ValueError(
            f"corpus_bleu: references must be as many as hypotheses and at least 1, got "
            f"{len(references)} for {len(hypotheses)}; give one reference a sentence."
        )
    # `force` spares a warning that tokenised text is tokenised.
    bleu = BLEU(tokenize=tokenize, lowercase=lowercase, force=tokenize == "none")
    score = bleu.corpus_score(list(hypotheses), [list(references)])
    return CorpusBleu(float(score.score), str(bleu.get_signature()))
