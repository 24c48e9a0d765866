"""Sentences are taken apart as tokenizer.perl does it, and put together again."""

import pytest

from tf_l2t.data import Pairs, ParallelText, moses, moses_detokenized, moses_tokenized

# Outputs of tokenizer.perl -l LANGUAGE | lowercase.perl.
GOLDEN = [
    ("en", "It's the 1990's, isn't it?", "it &apos;s the 1990 &apos;s , isn &apos;t it ?"),
    ("en", 'A "3,000 [sic] & more..."', "a &quot; 3,000 &#91; sic &#93; &amp; more ... &quot;"),
    ("en", "It opens at 8 p.m.", "it opens at 8 p.m ."),
    ("en", "And so on ...", "and so on ..."),
    ("en", "Mr. Smith left. He ran, e.g. home.", "mr. smith left . he ran , e.g. home ."),
    ("de", "Geht's dir gut, z.B. heute?", "geht &apos; s dir gut , z.b. heute ?"),
    ("de", "Am 3. Mai kam Dr. Müller.", "am 3. mai kam dr. müller ."),
    ("de", "Schulen, Büros usw.", "schulen , büros usw ."),
    ("de", "ÄPFEL|Birnen <so-genannt>", "äpfel &#124; birnen &lt; so-genannt &gt;"),
]


@pytest.mark.parametrize(("language", "raw", "tokenised"), GOLDEN)
def test_as_the_perl_scripts(language, raw, tokenised):
    assert moses_tokenized([raw], language) == [tokenised]


def test_case_may_stay():
    assert moses_tokenized(["Ein Haus."], "de", lowercase=False) == ["Ein Haus ."]


@pytest.mark.parametrize(
    ("language", "sentence"),
    [("en", "It's \"good\", isn't it?"), ("de", "Äpfel & Birnen (drei), bitte!")],
)
def test_comes_back(language, sentence):
    tokenised = moses_tokenized([sentence], language, lowercase=False)
    assert tokenised != [sentence]
    assert moses_detokenized(tokenised, language) == [sentence]


def test_both_sides_of_all_splits():
    pairs = Pairs(("Geht's?", "Ja."), ("It's fine.", "Yes."))
    text = moses(ParallelText(pairs, pairs, {"a": pairs, "b": pairs}, "de", "en", "x"))
    tokenised = Pairs(("geht &apos; s ?", "ja ."), ("it &apos;s fine .", "yes ."))
    assert [pairs for _, pairs in text.splits()] == [tokenised] * 4
    assert list(text.test) == ["a", "b"]
    assert (text.source_language, text.target_language, text.name) == ("de", "en", "x")


@pytest.mark.parametrize("language", ["german", "DE", "", None])
def test_a_language_that_is_no_code(language):
    for function in (moses_tokenized, moses_detokenized):
        with pytest.raises(ValueError, match="language is .*: give a code of two letters"):
            function(["Ein Haus ."], language)
    pairs = Pairs(("Ja.",), ("Yes.",))
    text = ParallelText(pairs, pairs, {"a": pairs}, "de", language, "x")
    with pytest.raises(ValueError, match="moses: target_language of text, x, is .*: give"):
        moses(text)
