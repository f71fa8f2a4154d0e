from __future__ import annotations

import pytest

from udfs.generators.leads import Person, is_defined, person

# Openings as Apertium translates those of Wikipedia's pages.
BODY = "\nIt was born at the city and studied at its university, where it met the people with whom it would work later."


@pytest.mark.parametrize(
    ("title", "title_en", "opening", "verb"),
    [
        pytest.param(
            "Jacques Maritain",
            "Jacques Maritain",
            "Jacques Maritain (París, November 18, 1882 – Tolosa, April 28, 1973) was a French Catholic philosopher.",
            "was",
            id="dead",
        ),
        pytest.param(
            "Trevor Story",
            "Trevor Story",
            "Trevor John Story (Irving (Knit), 15 November 1992) is a professional player of baseball, at present.",
            "is",
            id="alive",
        ),
        pytest.param(
            "Willie Mays",
            "Willie Mays",
            'Willie Howard Mays, Jr. (6 May 1931 – 18 June 2024), apelidado "Kid", went an American player of the MLB.',
            "was",
            id="went for was",
        ),
        pytest.param(
            "Francis Gourvil",
            "Francis Gourvil",
            "Francis Gourvil (or Barr-Ilio) is a writer Breton, been born the July 5, 1889, and died 1984.",
            None,
            id="is, and dead",
        ),
        pytest.param(
            "Abelardo Colomé",
            "Abelardo Colomé",
            "Abelardo Colomé (been born in 1939) was a general and politician of Cuba.",
            None,
            id="was, and not known to be dead",
        ),
        pytest.param(
            "Dita Parlo",
            "Said Talk",
            "Grethe Kornstädt, met as a Said Talk, (Stettin, September 4, 1906 - París, 1971), German actress.",
            None,
            id="no verb; name translated",
        ),
        pytest.param(
            "Stanislav Lem",
            "Stanislav Lem",
            "Stanisław Lem (September 12, 1921 - March 27, 2006). Polish writer of science-fiction.",
            None,
            id="a sentence without a verb",
        ),
    ],
)
def test_people(title: str, title_en: str, opening: str, verb: str | None) -> None:
    assert person(title, title_en, opening + BODY) == Person(verb)  # type: ignore[arg-type]
    assert not is_defined(title_en, opening + BODY)


@pytest.mark.parametrize(
    ("title", "opening"),
    [
        ("Battle of Verdun", "The Battle of Verdun (21 February 1916 - 18 December 1916) was a battle of the war."),
        ("Weimar Republic", "The Weimar Republic (1919-1933) was the state of Germany between the wars."),
        ("James Bond", "James Bond (been born 1920) is a fictional officer of the navy."),
        ("The Composer", "The Composer (2012) is a film of a writer and of a composer."),
        ("Poet", "A poet is a writer that composes poems."),
        ("Oslo", "Alf Prøysen (Ringsaker, 1914 - Oslo, 1970) was a Norwegian writer. It moved to Oslo."),
        ("Mary Shelley", "It was born in London (1797) and died there."),
    ],
    ids=["battle", "state", "invented", "film", "no year", "somebody else", "no occupation"],
)
def test_what_is_no_person(title: str, opening: str) -> None:
    named = {"Oslo": "Bergen"}.get(title, title)
    assert person(named, named, opening + BODY) is None


@pytest.mark.parametrize(
    ("title_en", "text"),
    [
        ("Japanese mythology", "The Japanese mythology is a system of beliefs extremely complex."),
        ("Marshall Islands", "!--TABLE--\nThe Republic of the Marshall Islands is an insular state in the ocean."),
        ("Module (computer)", "In programming, a module is a portion of a program of computer."),
        ("Tree", "In the theory of the graphs and of nets, a tree is a connected graph without cycles."),
        ("Illes Cocos", "The Illes Cocos or Illes Keeling (in English: Cocos Islands) are an archipelago."),
        ("Electronics", "The electronic is a branch of the physics applied."),
        ("International Standard Serial Number", "The ISSN (International Standard Serial Number) is a code."),
        ("Google", "37°25′19″N 122°05′04″Or\nwww.google.com\nGoogle, LLC is a subsidiary company of Alphabet."),
    ],
)
def test_definitions(title_en: str, text: str) -> None:
    assert is_defined(title_en, text + BODY)


@pytest.mark.parametrize(
    ("title_en", "text"),
    [
        ("Brazil", "The most popular sport in Brazil is the soccer."),
        (
            "David Lynch",
            "Among the numerous personalities with which Lynch has been, David Lynch is one of the notable.",
        ),
        ("Coup of 2019", "The coup of 2019 occurred in the night of 10 April, when the president was removed."),
        ("Seydi Ali Reis", "Seydi Ali Reis wrote towards 1557 the Mirror; it is one of the first accounts of voyage."),
        (
            "Fjord",
            "The sea is an expanse of water that covers most of the planet, and it was always so for sailors. "
            "It is cold and deep in most of its parts.\nThe fjord is an arm of the sea.",
        ),
        ("Fjord", "Fjord\nIt depends."),
        ("Political mandate", "The representative mandate is a power that electors give."),
        ("", "It is a test."),
    ],
    ids=[
        "part of a place",
        "one of many",
        "event",
        "later clause",
        "not the opening",
        "nothing",
        "half the title",
        "no title",
    ],
)
def test_what_defines_nothing(title_en: str, text: str) -> None:
    assert not is_defined(title_en, text + BODY)
