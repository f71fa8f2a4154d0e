from __future__ import annotations

import pytest

from udfs.wikitext_kinds import is_disambiguation, is_stub


@pytest.mark.parametrize(
    "template",
    [
        "Disambiguation",
        "disambig",
        "Human name disambiguation",
        "Disambiguation cleanup",
        "Begriffsklärung",
        "homonymie",
        "Desambiguación",
        "неоднозначность",
        "曖昧さ回避",
        "Aimai",
        "消歧义",
        "동음이의",
        "توضيح",
        "פירושונים",
        "बहुविकल्पी शब्द",
        "rozcestník",
        "zeimeibu_škiršona",
    ],
)
def test_disambiguation_templates(template):
    assert is_disambiguation(["Infobox", template], [], [])


@pytest.mark.parametrize(
    "template",
    ["Disambiguation needed", "Begriffsklärungshinweis", "Nota disambigua", "other uses", "Homonymie de", "dp", "db"],
)
def test_notes_about_other_pages_are_not_taken_for_disambiguation(template):
    assert not is_disambiguation([template], ["Towns"], ["NOTOC"], "en")


def test_other_marks_of_disambiguation():
    assert is_disambiguation([], [], ["DISAMBIG"])
    assert is_disambiguation([], ["Wikipedia:Desambiguación"], [])
    assert is_disambiguation([], ["Страницы_значений"], [])
    assert is_disambiguation(["Dp"], [], [], "nl")


@pytest.mark.parametrize(
    ("template", "edition", "expected"),
    [
        ("Stub", "", True),
        ("Europe-geo-stub", "en", True),
        ("stub-bio", "", True),
        ("Ébauche|", "fr", False),
        ("ébauche géographie", "fr", True),
        ("esboço-geo-br", "pt", True),
        ("Beginnetje", "nl", True),
        ("بذرة مدينة", "ar", True),
        ("S", "it", True),
        ("S", "en", False),
        ("Stubborn", "", False),
        ("Infobox", "", False),
    ],
)
def test_stub_templates(template, edition, expected):
    assert is_stub([template], edition) is expected
