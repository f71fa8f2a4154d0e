"""The root verb of an English instruction and its direct noun object: "Write a short story." gives write, story.

How varied such pairs are is what the papers show of their instructions (Indurthi et al., figure 4; X-Instruction,
figure 3), after Self-Instruct (Wang et al. 2023, section 3): of the first sentence, the verb at its root and the noun
that is the verb's direct object. A sentence without such an object has none and is left out of the picture.

Two measures, side by side:

- ``by_rules``: no model. Word forms come from the dictionary of ``lemminflect`` (NIH's SPECIALIST Lexicon), the rest
  are rules for sentences that ask for something. AGREEMENT says how often it is right.
- ``by_parser``: any spaCy pipeline with a parser. Of what the papers used, benepar's model needs a download, and so do
  spaCy's; the dependency reading of spaCy's trained English pipelines is the one that Self-Instruct's code walks too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

from udfs.engines import EngineUnavailable


class VerbNoun(NamedTuple):
    """Dictionary forms, lower case."""

    verb: str
    noun: str


@dataclass(frozen=True, slots=True)
class Agreement:
    """How ``by_rules`` does on instructions that were marked by hand."""

    instructions: int
    same: float
    """Share with the marked answer, be it a pair or none."""
    precision: float
    """Share of the pairs found that were marked so."""
    recall: float
    """Share of the pairs marked that were found."""
    held_out: float
    """Precision of the rules that were made before these instructions were looked at."""


AGREEMENT: Final = Agreement(instructions=120, same=0.933, precision=1.0, recall=0.905, held_out=0.987)
"""Of tests/data/verb_noun/instructions.tsv, marked by one person; a test measures it again, but for ``held_out``: the
last rule, on proper nouns, was added afterwards."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TOKEN: Final = re.compile(r"[^\W\d_]+(?:\+\+|#)?(?:['’-][^\W_]+)*|\d[\d.,/-]*\d|\d|[^\w\s]")
_SENTENCE_ENDS: Final = frozenset(".?!;:\n")

_POLITE: Final = _words("please kindly now then next first also just simply try and so carefully briefly")
_QUESTION: Final = _words("what who whom whose which when where why how")
_AUXILIARIES: Final = _words(
    "can could would will shall should may might must do does did is are was were am be been being has have had"
)
_BE: Final = _words("is are was were am be been being 's 're 'm")
_SUBJECTS: Final = _words("i you we they he she it one someone people somebody anyone")
_OBJECT_PRONOUNS: Final = _words("me us him her them you it")
_PRONOUNS: Final = _words(
    "something anything everything nothing someone anyone everyone yourself itself themselves myself ourselves mine "
    "yours"
) | (_OBJECT_PRONOUNS - {"her"})
_DETERMINERS: Final = _words(
    "a an the some any this that these those my your his her its their our all each every both several many few most "
    "another other no more enough such one two three four five six seven eight nine ten twenty half"
)
_PREPOSITIONS: Final = _words(
    "about above across after against along among around as at before behind below beneath beside between beyond by "
    "despite during except for from in inside into like near of off on onto out over per regarding since than "
    "through throughout to toward towards under until up upon using via with within without based given"
)
_CONNECTORS: Final = _words(
    "and or but nor if whether that because while although though unless so then when where why how what who whom "
    "whose which is are was were be can could will would should may might must do does did has have had not"
)
_PARTICLES: Final = _words("up down out off over away back")
# Words that the dictionary also knows as nouns or adjectives, and that begin an instruction as verbs.
_REQUESTS: Final = _words(
    "give list name design answer plan report draft outline tell make describe help show set put change sort rank link "
    "fill structure present cover review study transform format model test state detail rate act find match reply "
    "return complete order compare contrast estimate guess research request need want read look take use turn"
)


def by_rules(text: str) -> VerbNoun | None:
    """Return the root verb and direct noun object of an English instruction's first sentence, or None.

    >>> by_rules("Write a short story about a dog.")
    VerbNoun(verb='write', noun='story')
    >>> by_rules("How can I improve my writing skills?")
    VerbNoun(verb='improve', noun='skill')
    >>> by_rules("Explain how rain forms.") is None
    True
    """
    sentence = _first_sentence(text)
    found = _root(sentence)
    if found is None:
        return None
    verb, rest = found
    noun = _object(sentence[rest:])
    return VerbNoun(verb, noun) if noun else None


def _first_sentence(text: str) -> list[str]:
    tokens: list[str] = []
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token not in _SENTENCE_ENDS:
            tokens.append(token)
        elif tokens:
            break
    return tokens


def _root(tokens: list[str]) -> tuple[str, int] | None:
    """Return the root verb of a sentence that asks for something, and the place behind it."""
    words = [token.lower() for token in tokens]
    at = 0
    while at < len(words) and (words[at] in _POLITE or words[at] in "\"'“”«»(["):
        at += 1
    if at == len(words):
        return None
    if (words[at] in _PREPOSITIONS or words[at] in ("if", "when", "imagine")) and "," in words[at:]:
        # "In three sentences, describe ...": the clause behind the adverbial.
        at = words.index(",", at) + 1
        while at < len(words) and words[at] in _POLITE:
            at += 1
        if at == len(words):
            return None
    if words[at] in _QUESTION or words[at] in _AUXILIARIES:
        return _root_of_question(words, at)
    if words[at] in _SUBJECTS:
        return _root_of_statement(words, at + 1)
    if _is_imperative(words, at):
        return words[at], at + 1
    if words[at].endswith("ing") and at + 1 < len(words) and words[at + 1] in _DETERMINERS:
        lemma = _verb(words[at])  # "Solving the problem", for a title of a task
        return (lemma, at + 1) if lemma else None
    return None


def _is_imperative(words: list[str], at: int) -> bool:
    """Say whether a sentence's first word is a verb's base form that asks."""
    word = words[at]
    forms = _forms(word)
    if word not in forms.get("VERB", ()):
        return False
    if word in _REQUESTS or forms.keys() == {"VERB"}:
        return True
    # "Water boils at ...", "Short summary of ...": a noun or adjective, unless what follows begins a new phrase.
    following = words[at + 1] if at + 1 < len(words) else ""
    return following in _DETERMINERS or following in _OBJECT_PRONOUNS or following.isdigit() or following in _QUESTION


def _root_of_question(words: list[str], at: int) -> tuple[str, int] | None:
    """``Can you give``, ``How do I make``, ``Who wrote``, ``How can a school save``: the verb behind its subject."""
    start = at
    while at < len(words) and words[at] in _QUESTION:
        at += 1
    if at == len(words):
        return None
    if words[at] not in _AUXILIARIES:
        # "Who wrote the book", but not "Which book won": there the subject comes first.
        lemma = _verb(words[at]) if words[start] in ("who", "what") and at == start + 1 else None
        return (lemma, at + 1) if lemma else None
    if words[at] in _BE or words[at] in ("has", "have", "had"):
        return None
    at += 1
    if at < len(words) and words[at] in _SUBJECTS:
        return _base_verb(words, at + 1)
    # A subject of several words: the first base form behind its head that is a verb and nothing else, or that a
    # determiner follows.
    for place in range(at + 1, min(at + 8, len(words))):
        if words[place] in _PREPOSITIONS or words[place] == ",":
            return None
        if words[place] not in _forms(words[place]).get("VERB", ()):
            continue
        following = words[place + 1] if place + 1 < len(words) else ""
        if _forms(words[place]).keys() == {"VERB"} or following in _DETERMINERS:
            return words[place], place + 1
    return None


def _root_of_statement(words: list[str], at: int) -> tuple[str, int] | None:
    """``I need``, ``You have to write``, ``I would like to read``: the sentence's own verb, not the one it leads to."""
    while at < len(words) and (words[at] in _AUXILIARIES - {"have", "has", "had"} or words[at] in ("'d", "'ll")):
        if words[at] in _BE:
            return None
        at += 1
    if at == len(words):
        return None
    lemma = _verb(words[at])
    return (lemma, at + 1) if lemma else None


def _base_verb(words: list[str], at: int) -> tuple[str, int] | None:
    while at < len(words) and words[at] in _POLITE:
        at += 1
    if at < len(words) and words[at] in _forms(words[at]).get("VERB", ()):
        return words[at], at + 1
    return None


def _object(tokens: list[str]) -> str | None:
    """Return the head of the noun phrase that follows a verb, or None."""
    words = [token.lower() for token in tokens]
    at = 0
    if at + 1 < len(words) and words[at] in _PARTICLES and words[at + 1] in _DETERMINERS:
        at += 1  # "write down the steps"
    if at + 1 < len(words) and words[at] in _OBJECT_PRONOUNS and _begins_phrase(words[at + 1]):
        at += 1  # "give me a list"
    head: str | None = None
    for place in range(at, len(words)):
        word = words[place]
        previous = words[place - 1] if place > at else ""
        if word in _DETERMINERS or word[0].isdigit():
            if head is not None:
                break
            continue
        if (word == "," and "ADJ" in _forms(previous)) or (word in ("and", "or") and _is_modifier(previous)):
            head = None  # "a short, simple story"
            continue
        if word in "\"'“”«»<>()[]":
            continue
        if word == "given" and previous in _DETERMINERS:
            continue
        if not word[0].isalpha() or word in _PREPOSITIONS or word in _CONNECTORS or word in _SUBJECTS:
            break
        if word in _PRONOUNS:
            return None
        if word.endswith(("'s", "’s")) or (place + 1 < len(words) and words[place + 1] in ("'", "’") and head):
            head = None  # "Einstein's theory"
            continue
        forms = _forms(word)
        if word.endswith("ly") and "NOUN" not in forms:
            if head is not None:
                break
            continue
        is_noun = "NOUN" in forms or not forms  # names of things are missing from any dictionary
        following = words[place + 1] if place + 1 < len(words) else ""
        if head is not None and _is_participle(word) and not (is_noun and "NOUN" in _forms(following)):
            break  # "an article explaining", but "critical thinking skills"
        if head is not None and not is_noun:
            break  # behind the head: "a story short enough"
        head = word if is_noun else None
    if head is None or any(token.lower() == head and token[0].isupper() for token in tokens[at:]):
        return None  # a proper noun, as in "Describe Berlin"
    return _forms(head).get("NOUN", (head,))[0]


def _begins_phrase(word: str) -> bool:
    forms = _forms(word)
    return word in _DETERMINERS or word.isdigit() or "NOUN" in forms or "ADJ" in forms


def _is_modifier(word: str) -> bool:
    return "NOUN" not in _forms(word) and ("ADJ" in _forms(word) or word.endswith(("ed", "ing")))


def _is_participle(word: str) -> bool:
    forms = _forms(word)
    verb = forms.get("VERB", ())
    return word.endswith(("ing", "ed")) and bool(verb) and word not in verb


def _verb(word: str) -> str | None:
    if word in _PREPOSITIONS or word in _DETERMINERS:
        return None
    return next(iter(_forms(word).get("VERB", ())), None)


@lru_cache(maxsize=50_000)
def _forms(word: str) -> dict[str, tuple[str, ...]]:
    """Return a word's dictionary forms by part of speech: NOUN, VERB, ADJ, ADV; empty for words it does not know."""
    found: dict[str, tuple[str, ...]] = _lemminflect().getAllLemmas(word)
    return found


@lru_cache(maxsize=1)
def _lemminflect() -> Any:
    try:
        import lemminflect
    except ImportError as error:
        raise EngineUnavailable(
            "Verbs and nouns of instructions need the package lemminflect: pip install 'backprompt[report]'"
        ) from error
    return lemminflect


# A parser ---------------------------------------------------------------------------------------------------------


def open_parser(name: str) -> Any:
    """Load a spaCy pipeline by its package's name, such as en_core_web_sm, or its folder.

    Raises:
        EngineUnavailable: if spaCy or the pipeline is missing, or the pipeline has no parser.
    """
    try:
        import spacy
    except ImportError as error:
        raise EngineUnavailable(f"The parser {name} needs spaCy: pip install 'backprompt[parser]'") from error
    try:
        pipeline = spacy.load(name, exclude=["ner", "textcat"])
    except OSError as error:
        raise EngineUnavailable(
            f"spaCy finds no pipeline {name}: 'python -m spacy download {name}' where there is internet, or the folder "
            "of a pipeline that was copied here"
        ) from error
    if "parser" not in pipeline.pipe_names:
        raise EngineUnavailable(f"spaCy's pipeline {name} has no parser: take one such as en_core_web_sm")
    return pipeline


def by_parser(pipeline: Any, texts: Iterable[str]) -> Iterator[VerbNoun | None]:
    """Yield the root verb and direct noun object of each text's first sentence, or None.

    Args:
        pipeline: as ``open_parser`` gives it.
        texts: English instructions.
    """
    for document in pipeline.pipe(texts):
        yield of_sentence(next(iter(document.sents), None))


def of_sentence(sentence: Any) -> VerbNoun | None:
    """Return the root verb and direct noun object of a parsed sentence (a spaCy Span), or None.

    Where the root is no verb, the first verb below it counts, as in Self-Instruct's code.
    """
    root = sentence.root if sentence is not None and len(sentence) else None
    while root is not None and root.pos_ != "VERB":
        root = next(iter(root.children), None)
    if root is None:
        return None
    # Older pipelines say dobj, those of Universal Dependencies obj.
    nouns = (child for child in root.children if child.dep_ in ("dobj", "obj") and child.pos_ == "NOUN")
    noun = next(nouns, None)
    return VerbNoun(_lemma(root), _lemma(noun)) if noun is not None else None


def _lemma(token: Any) -> str:
    return str(token.lemma_ or token.text).lower()
