import pytest
from ftfy import badness
from hypothesis import example, given, settings
from hypothesis import strategies as st

from udfs.cleaning.encoding_faults import is_bad

# What ftfy's pattern asks for, and what stands around it.
CHARS = (
    "".join(chars for chars in badness.MOJIBAKE_CATEGORIES.values())
    + "azAZ09 .,?!\n\t×²³à¹√±≈°‚Äìó ‚вЂВГРСўβ€™āЖжא中ÙØ·ÂÃÎÐŒœ"
)


@given(st.text(st.sampled_from(sorted(set(CHARS))), max_size=12))
@settings(max_examples=3000, deadline=None)
@example("ГўВЂВ a")
@example("Ù·Ù·")
@example("В°Г")
@example("a Ã ")
@example("Ã b")
@example("œ ")
def test_a_text_is_bad_where_ftfy_says_so(text):
    assert is_bad(text) == badness.is_bad(text)


@pytest.mark.parametrize("around", ["ä", "äö ", "zwölf „Wörter“ über Öl ", "слово «да» "])
def test_a_fault_is_found_in_a_long_text(around):
    text = around * 200 + "schÃ¶n" + around * 200
    assert is_bad(text)
    assert is_bad(around * 400) == badness.is_bad(around * 400)
