from collections import Counter

import pytest

from udfs.cleaning.measures import han_variant, measure, repeated_ngram_share, symbol_share


def test_repeated_ngram_share():
    assert repeated_ngram_share(" ".join(f"word{number}" for number in range(60))) == 0
    assert repeated_ngram_share("buy now cheap pills " * 15) == pytest.approx(1.0)
    assert repeated_ngram_share("buy now cheap pills " * 2) == 0  # too short to tell
    assert repeated_ngram_share("买现在便宜的药片吧真好呀" * 15, is_unspaced=True) == pytest.approx(1.0)
    assert repeated_ngram_share("".join(map(chr, range(0x4E00, 0x4F00))), is_unspaced=True) == 0


def test_symbol_share_counts_no_vowel_signs():
    assert symbol_share(Counter("हिन्दी की किताब")) == 0
    assert symbol_share(Counter("{}[]|")) == 1
    assert symbol_share(Counter()) == 0


@pytest.mark.parametrize(
    ("text", "variant"),
    [
        ("图书馆每天早上九点开门", "Hans"),
        ("圖書館每天早上九點開門", "Hant"),
        ("图书馆每天早上，圖書館九點開門", "mixed"),
        ("上下大小人口", None),  # written alike in both
        ("no Chinese", None),
    ],
)
def test_han_variant(text, variant):
    assert han_variant(Counter(text)) == variant
    assert measure(text, "zho_Hans").han_variant == variant
    assert measure(text, "jpn_Jpan").han_variant is None


def test_scripts():
    half = measure("слово слово\nword word", "rus_Cyrl")
    assert half.script_share == pytest.approx(10 / 18)
    assert half.foreign_script_line_share == pytest.approx(8 / 18)
    # A name in a sentence is no line of another script.
    assert measure("слово слово Word слово", "rus_Cyrl").foreign_script_line_share == 0
    assert measure("слово", "xxx_Zyyy").script_share is None
    assert measure("12 34", "rus_Cyrl").script_share is None


def test_mean_word_chars():
    assert measure("ab cdef", "eng_Latn").mean_word_chars == 3
    assert measure("图书馆", "zho_Hans").mean_word_chars is None
    assert measure("", "eng_Latn").mean_word_chars is None
