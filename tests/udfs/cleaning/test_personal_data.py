import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.runtime.conf import cleaning_lists
from udfs.cleaning.personal_data import KINDS, PersonalDataPlan, treat

LISTS = cleaning_lists()
MASKING = PersonalDataPlan(tuple((kind, "mask") for kind in KINDS), LISTS.phone_words, LISTS.regions)


@pytest.mark.parametrize(
    ("text", "language", "masked"),
    [
        ("Write to anna.b+c@mail.example.org.", "eng_Latn", "Write to [email]."),
        ("почта: иван@пример.рф!", "rus_Cyrl", "почта: [email]!"),
        ("from 88.12.34.56, and 2a00:1450:4001:81b::200e", "eng_Latn", "from [ip], and [ip]"),
        ("IBAN DE89 3704 0044 0532 0130 00 BIC COBADEFF", "deu_Latn", "IBAN [iban] BIC COBADEFF"),
        ("GB82WEST12345698765432", "eng_Latn", "[iban]"),
        ("Tel. 030 123 4567 oder +49 30 1234567", "deu_Latn", "Tel. [phone] oder [phone]"),
        ("电话：010-63072648", "zho_Hans", "电话：[phone]"),
        ("Appelez le +33 1 42 68 53 00.", "yor_Latn", "Appelez le [phone]."),
    ],
)
def test_personal_data_is_masked(text, language, masked):
    assert treat(text, MASKING, language)[0] == masked


@pytest.mark.parametrize(
    "text",
    [
        "on 12.03.2019, 2019-03-12 and 1914-1918, from 10:30 to 12.45",
        "Telefon: 2019-03-12",
        "ISBN 978-3-16-148410-0, ISSN 2049-3630, doi 10.1000/182",
        "version 88.12.34.56, v88.12.34.56, Chrome 96.0.4664.45.1, section 1.2.3.4",
        "paragraphs 1.2.3.4 and 5.6.7.8",
        "the router at 192.168.178.20, 127.0.0.1 or 203.0.113.9",
        "GB82WEST12345698765433 and AB12CDEFGHIJKLMNOP",
        "logo@2x.png, @anna, a@b, std::vector, at 12:30:45",
        "1 234 567 890 people, 14.372,4 million, 3.14159265358979",
        "call 1 2 3 4 5 6 7 8",
        "030 123 4567",  # nothing says that it is a telephone's
        "[email] [ip] [phone] [iban]",
    ],
)
@pytest.mark.parametrize("language", ["eng_Latn", "deu_Latn"])
def test_dates_versions_and_numbers_are_left_alone(text, language):
    assert treat(text, MASKING, language) == (text, {})


def test_each_kind_has_its_own_action():
    text = "anna@example.org, 88.12.34.56, +49 30 1234567, GB82WEST12345698765432"
    plan = PersonalDataPlan((("email", "flag"), ("ip", "mask"), ("phone", "ignore"), ("iban", "flag")))
    assert treat(text, plan, "eng_Latn") == (text.replace("88.12.34.56", "[ip]"), {"iban": 1, "email": 1, "ip": 1})


PARTS = st.sampled_from(
    ["anna@example.org", "88.12.34.56", "+49 30 1234567", "GB82WEST12345698765432", "tel ", ".", " "]
)


@given(st.lists(st.one_of(PARTS, st.text(max_size=5)), max_size=12).map("".join))
@settings(deadline=None)
def test_masking_twice_is_masking_once(text):
    once, _ = treat(text, MASKING, "deu_Latn")
    assert treat(once, MASKING, "deu_Latn") == (once, {})
