"""What the opening of an English text says of its subject: that it is a person, or what kind of thing it is.

The text mostly comes from a machine, so the rules look for few words, and in any doubt say nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

# Info boxes, coordinates and notes to editors may come before the sentence that defines the subject: short lines.
_LINES: Final = 40
_PROSE_CHARS: Final = 120
_LINE_CHARS: Final = 600
_NAME_CHARS: Final = 200
_HEAD_CHARS: Final = 100
# Words and marks between the subject and its verb, brackets taken out.
_MAX_SUBJECT_CHARS: Final = 120
# Share of the title's words that a sentence must hold to be about it: one of two where an occupation and a year tell
# of a person too (nicknames, second names), both of two where nothing else does.
_PERSON_SHARE: Final = 0.5
_SUBJECT_SHARE: Final = 0.6
# Words are compared by their first letters: engines give "electronic" for one "electrónica", "electronics" for another.
_STEM_CHARS: Final = 6

_MONTH: Final = "(?:January|February|March|April|May|June|July|August|September|October|November|December)"
_DATE: Final = (
    rf"(?:\d{{1,2}} (?:of )?{_MONTH}(?: of(?: the)?)?,? \d{{3,4}}|{_MONTH} \d{{1,2}},? \d{{3,4}}|\b\d{{4}}\b)"
)
_FROM_TO: Final = re.compile(rf"{_DATE}[^()]{{0,60}}?[-–—−‐][^()]{{0,60}}?{_DATE}")
_YEAR: Final = re.compile(r"\b\d{4}\b")
_BORN: Final = re.compile(r"\bborn\b")
_DIED: Final = re.compile(r"\b(?:died|was killed|was murdered|was assassinated|passed away)\b")
_BRACKETS: Final = re.compile(r"\((?:[^()]|\([^()]*\))*\)")
_VERB: Final = re.compile(r"\b(?:is|was|are|were)\s+(?:also\s+)?(?:the|an?|one)\s+\w", re.IGNORECASE)
# "Went" is how Apertium mostly renders the Portuguese "foi", "being" the Catalan "fou".
_PERSON_VERB: Final = re.compile(r"\b(is|was|went|being)\s+(?:the |an? |one )?(?=\w)", re.IGNORECASE)
_END_OF_NOUN: Final = re.compile(
    r"[.;:,]\s|\b(?:of|that|which|who|whose|by|from|for|in|at|on|with|known|met|born|whereas|when|to)\b"
)
# "In geometry, a line is ...": the subject follows; "The most popular sport in Brazil is ...": it is not Brazil.
_SETTING: Final = re.compile(r"^(?:in|at|on|for|of) [^,]{1,60}, ", re.IGNORECASE)
_ASIDE: Final = re.compile(r"(?<=\w) (?:in|with|among|by|for|on) ", re.IGNORECASE)
_SUBJECT_WORDS: Final = 6
_CLAUSE_END: Final = re.compile(r"[;:?!]|\w{4,}\.\s")
_INVENTED: Final = re.compile(r"\b(?:fictional|fictitious|fiction|personages?|characters?|mythological|legendary)\b")
# Nouns that only people are called by. Those of the last lines Apertium leaves as it finds them. Left out are nouns of
# programs and firms (editor, manager, publisher, broadcaster) and of things (model, composite).
_OCCUPATION: Final = re.compile(
    r"\b(?:ex-?)?(?:"
    r"abbot|academic|activist|actor|actress|admiral|anthropologist|archaeologist|archbishop|architect|aristocrat|artist|"
    r"astronaut|astronomer|athlete|author|aviator|banker|baroness|biochemist|biologist|biophysicist|bishop|botanist|"
    r"boxer|businessman|businesswoman|cardinal|cartoonist|chemist|choreographer|cinematographer|coach|columnist|"
    r"comedian|composer|conductor|critic|cyclist|dancer|designer|diplomat|director|doctor|dramatist|duchess|duke|"
    r"economist|emperor|empress|engineer|engraver|entertainer|entrepreneur|essayist|ethnologist|explorer|farmer|"
    r"feminist|filmmaker|footballer|geneticist|geographer|geologist|golfer|governor|guitarist|gymnast|historian|"
    r"humorist|illustrator|inventor|journalist|judge|jurist|king|lawyer|librarian|linguist|lyricist|magistrate|man|"
    r"martyr|mathematician|minister|missionary|monk|musician|musicologist|naturalist|naturist|novelist|nurse|officer|"
    r"painter|palaeontologist|pedagogue|philanthropist|philologist|philosopher|photographer|physician|physicist|pianist|"
    r"pilot|playwright|player|poet|poetess|politician|pope|president|presenter|priest|prince|princess|producer|"
    r"professor|psychiatrist|psychoanalyst|psychologist|queen|rapper|researcher|runner|sailor|scholar|scientist|"
    r"screenwriter|sculptor|secretary|singer|skater|skier|sociologist|soldier|songwriter|soprano|sportsman|sportsperson|"
    r"sportswoman|statesman|surgeon|swimmer|teacher|tenor|theologian|trainer|violinist|woman|wrestler|writer|zoologist|"
    r"anarchist|chef|fighter|industrialist|militant|ornithologist|programmer|statistician|youtuber|"
    r"cantautor|fotoperiodista|decatleta|pol[ií]tico|"
    r"\w*(?:futbolista|futebolista|basquetebolista|handebolista|velocista|golfista|tenista|baterista|nadadora?)"
    r")\b",
    re.IGNORECASE,
)
_TITLE_WORD: Final = re.compile(r"\w+")
_SMALL_WORDS: Final = frozenset(
    ("the", "a", "an", "of", "and", "in", "for", "at", "by", "to", "from", "on", "with", "de", "la")
)


@dataclass(frozen=True, slots=True)
class Person:
    """Someone a text is about; ``verb`` is what fits "Who ... X?", or None where the text leaves it open."""

    verb: Literal["is", "was"] | None


def person(title: str, title_en: str, text_en: str) -> Person | None:
    """Return what the opening says of the person it is about, or None if it does not show one.

    A person is shown by a sentence that names the title's subject, gives a year in brackets or the word "born", and
    calls the subject by an occupation: "Ana Aslan (1897 - 1988) was a physician", "... (1911 - 2002), composer".
    """
    for line in _openings(text_en):
        opening = line[:_NAME_CHARS]
        brackets = " ".join(_BRACKETS.findall(line[: _LINE_CHARS // 2]))
        has_year = _YEAR.search(brackets) or _BORN.search(line)
        if not has_year or not any(_shares(each, opening, _PERSON_SHARE) for each in (title, title_en)):
            continue
        verb = _verb_of_occupation(line)
        if verb is not None:
            is_dead = bool(_FROM_TO.search(brackets) or _DIED.search(line))
            return Person("was" if is_dead and verb == "was" else "is" if verb == "is" and not is_dead else None)
    return None


def is_defined(title_en: str, text_en: str) -> bool:
    """Say whether the text opens by saying what its subject is: "The shamisen is a Japanese instrument ...".

    A sentence that calls its subject by an occupation does not count: a person is not described but has a life.
    """
    for line in _openings(text_en):
        plain = _BRACKETS.sub(" ", line)
        verb = _VERB.search(plain)
        if verb and verb.start() <= _MAX_SUBJECT_CHARS and _verb_of_occupation(line) is None:
            bracket = _BRACKETS.search(line)
            subject = _SETTING.sub("", plain[: verb.start()])
            if _CLAUSE_END.search(subject):
                continue
            words = " ".join(_TITLE_WORD.findall(_ASIDE.split(subject, maxsplit=1)[0])[:_SUBJECT_WORDS])
            named = (words, bracket.group() if bracket else "")
            if any(_shares(title_en, each, _SUBJECT_SHARE) for each in named):
                return True
    return False


def _openings(text_en: str) -> list[str]:
    """Return the lines in which the subject may be defined: the first line of prose and the short ones before it."""
    found = []
    for line in text_en.split("\n", _LINES)[:_LINES]:
        if " " in line:
            found.append(line[:_LINE_CHARS])
        if len(line) >= _PROSE_CHARS:
            break
    return found


def _verb_of_occupation(line: str) -> str | None:
    """Return the verb by which a sentence calls its subject by an occupation: "is", "was", "" for none.

    None says that it does not call it so.
    """
    plain = _BRACKETS.sub(" ", line)
    verb = _PERSON_VERB.search(plain)
    if verb and _names_occupation(plain[verb.end() :]):
        return "is" if verb.group(1).lower() == "is" else "was"
    dated = next((bracket for bracket in _BRACKETS.finditer(line) if _YEAR.search(bracket.group())), None)
    return "" if dated and _names_occupation(line[dated.end() :].lstrip(" ,.;:")) else None


def _names_occupation(words: str) -> bool:
    head = _END_OF_NOUN.split(words[:_HEAD_CHARS], maxsplit=1)[0]
    return bool(_OCCUPATION.search(head)) and not _INVENTED.search(head)


def _shares(title: str, words: str, share: float) -> bool:
    """Say whether ``words`` hold this share of the title's words, its part in brackets left out."""
    wanted = _stems(_BRACKETS.sub(" ", title)) - _SMALL_WORDS
    return bool(wanted) and len(wanted & _stems(words)) >= share * len(wanted)


def _stems(words: str) -> set[str]:
    return {word.casefold()[:_STEM_CHARS] for word in _TITLE_WORD.findall(words)}
