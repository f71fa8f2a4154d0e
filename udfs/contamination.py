"""Items of evaluation sets that stand in texts: n-grams, and the share of an item that is found in one place.

What the field does: GPT-3 (Brown et al. 2020, appendix C) removes what shares one 13-gram with a test set, after
folding case and punctuation, and leaves out n-grams that many documents have. One n-gram is a quotation or a phrase as
often as an item; Llama 2 (Touvron et al. 2023, A.6) and Tülu 3 (Lambert et al. 2024, section 3.2) ask what share of an
item's tokens lies in n-grams that are found, and Tülu 3 removes what has more than half of an item in 8-grams.

So do we, and: what is found must lie in one stretch of the text, at most twice as long as the item, not anywhere in a
long document; it must be worth 13 words, or the whole of an item that is shorter; n-grams that many items share, such
as the wording of a task, count for nothing. A text that equals an item is found whatever its n-grams, from three words
on. Punctuation inside words may have become a space or nothing. In translations an item's words are looked for in any
order as well (``udfs.translated_items``).

Words are those of ``udfs.folding``: case, accents, punctuation, white space and compatibility forms do not count. In
scripts without spaces a token is a character, and n-grams are longer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from udfs import folding
from udfs.key_filter import KeyFilter
from udfs.minhash import compiled
from udfs.translated_items import STEM_LETTERS, TranslatedItems

Words = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]

# Stored in fingerprints; raised when the same texts would match otherwise.
VERSION: Final = 1
MIN_EQUAL_WORDS: Final = 3
"""Shorter items, such as "yes", are looked for nowhere."""
MAX_SPAN_CHARS: Final = 1_000
_STRETCH: Final = 2
_NEARLY: Final = 1e-9

_EXPANDED = np.uint32(folding.EXPANDED)
_LENGTH_BITS, _LENGTH_MASK = np.uint32(folding.LENGTH_BITS), np.uint32((1 << folding.LENGTH_BITS) - 1)
_CODE_MASK, _CLASS_SHIFT = np.uint32(folding.CODE_MASK), np.uint32(folding.CLASS_SHIFT)
_CLASS_MASK = np.uint32(7)
_GAP = np.uint32(folding.GAP)
_PRIME, _MIX, _SEED = np.uint64(0x100000001B3), np.uint64(0xD6E8FEB86659FD93), np.uint64(0xCBF29CE484222325)
_S32 = np.uint64(32)
_IS_CHARACTER: Final = np.array([False, True, True, False, True])  # by class: a token of its own


@dataclass(frozen=True, slots=True)
class Plan:
    """What counts as found."""

    words: int = 8
    """Tokens of an n-gram whose last one is a word."""
    characters: int = 12
    """Tokens of an n-gram whose last one is a Chinese or Japanese character."""
    unspaced: int = 24
    """Tokens of an n-gram whose last one is a character of Thai, Khmer, Myanmar or another script without spaces."""
    min_share: float = 0.5
    min_found_words: int = 13
    min_words: int = 5
    """Of an item that may stand in a longer text; characters count as the part of a word that n-grams make of them."""
    max_items: int = 10
    """More items than that with an n-gram, and it counts for nothing."""

    def sizes(self) -> Places:
        """Return tokens of an n-gram by the class of its last one, int64, shape (5,)."""
        return np.array([self.words, self.characters, self.characters, self.words, self.unspaced], np.int64)


@dataclass(frozen=True, slots=True)
class Item:
    """A text of an evaluation set."""

    place: str
    """Where it is from: "test.jsonl, line 17"."""
    text: str


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """A named list of items."""

    name: str
    language: str | None
    """GlotLID code; None: items may be of any language."""
    items: Iterable[Item]


@dataclass(frozen=True, slots=True)
class Match:
    """An item that was found."""

    set_name: str
    item: str
    share: float
    """Of the item's tokens, 0 to 1."""
    start: int
    end: int
    """Of the stretch in the text, Unicode code points."""


@dataclass(slots=True)
class ShortItems:
    """How many texts a set has, and how many of them are short."""

    set_name: str
    texts: int = 0
    left_out: int = 0
    """Looked for nowhere."""
    only_whole: int = 0
    """Looked for as a whole text only."""


@dataclass(frozen=True)
class Index:
    """Evaluation sets, packed: some 30 bytes an n-gram, and the items' places.

    Attributes:
        plan: how it was made.
        sets: name and language of each set.
        set_of: int32, shape (items,), each item's set.
        places: each item's place.
        tokens: int32, shape (items,), each item's tokens.
        countable: int32, shape (items,), those of them that lie in an n-gram that counts.
        words: float64, shape (items,), the item's tokens in words.
        needed: float64, shape (items,), words that must be found at least.
        grams: uint64, sorted; item, last and size (int32, same shape): whose it is, its last token there, its tokens.
        held: the same n-grams, to ask which a text has.
        short_sizes: sizes of n-grams that are whole items.
        equal: uint64, sorted, hashes of whole items; equal_item (int32, same shape): whose.
        translated: the items that are looked for in translations; None: none are.
        short: of each set, which texts are too short to look for, and which are looked for as a whole text only.
    """

    plan: Plan
    sets: tuple[tuple[str, str | None], ...]
    set_of: npt.NDArray[np.int32]
    places: tuple[str, ...]
    tokens: npt.NDArray[np.int32]
    countable: npt.NDArray[np.int32]
    words: npt.NDArray[np.float64]
    needed: npt.NDArray[np.float64]
    grams: Words
    item: npt.NDArray[np.int32]
    last: npt.NDArray[np.int32]
    size: npt.NDArray[np.int32]
    held: KeyFilter
    short_sizes: tuple[int, ...]
    equal: Words
    equal_item: npt.NDArray[np.int32]
    translated: TranslatedItems | None
    short: tuple[ShortItems, ...]

    def find(self, text: str | None, language: str | None, is_translation: bool = False) -> Match | None:
        """Return the item of which the greatest share is found in a text; None if none is.

        Args:
            text: any text.
            language: its GlotLID code; items of sets of other languages are not looked for. None: of any set.
            is_translation: whether the text is a machine's, so that items may be in it in other words.
        """
        if not text:
            return None
        found = tokenize(text)
        if not len(found.hashes):
            return None
        whole = self._equal(found, language)
        if whole is not None:
            return whole
        best: Match | None = None
        for item, hits in self._hits(found, language):
            match = self._best_stretch(found, item, hits)
            if match is not None and (best is None or match.share > best.share):
                best = match
        if is_translation and self.translated is not None:
            match = self._translated(self.translated, found, language)
            if match is not None and (best is None or match.share > best.share):
                best = match
        return best

    def _translated(self, items: TranslatedItems, found: Tokens, language: str | None) -> Match | None:
        is_wanted = np.array([name is None or language is None or name == language for _, name in self.sets])
        told = items.find(found.stems, self.set_of, is_wanted)
        if told is None:
            return None
        item, share, first, last = told
        name, _ = self.sets[self.set_of[item]]
        return Match(name, self.places[item], share, int(found.starts[first]), int(found.ends[last]))

    def _equal(self, found: Tokens, language: str | None) -> Match | None:
        key = np.array([_window(found.hashes, 0, len(found.hashes))], np.uint64)
        first, end = np.searchsorted(self.equal, key, "left"), np.searchsorted(self.equal, key, "right")
        for item in self.equal_item[first[0] : end[0]].tolist():
            if self._is_of(item, language):
                name, _ = self.sets[self.set_of[item]]
                return Match(name, self.places[item], 1.0, int(found.starts[0]), int(found.ends[-1]))
        return None

    def _is_of(self, item: int, language: str | None) -> bool:
        wanted = self.sets[self.set_of[item]][1]
        return wanted is None or language is None or wanted == language

    def _hits(self, found: Tokens, language: str | None) -> Iterable[tuple[int, npt.NDArray[Any]]]:
        """Yield, by item, the n-grams found: rows of last token in the text, last token in the item, tokens."""
        keys, lasts = grams_of(found, self.plan.sizes(), self.short_sizes)
        met = self.held.found(keys)
        if not len(met):
            return
        first, end = (np.searchsorted(self.grams, keys[met], side) for side in ("left", "right"))
        spans = np.concatenate([np.arange(a, b) for a, b in zip(first, end, strict=True)])
        rows = np.stack([np.repeat(lasts[met], end - first), self.last[spans], self.size[spans]], axis=1)
        items = self.item[spans]
        order = np.lexsort((rows[:, 0], items))
        items, rows = items[order], rows[order]
        starts = np.flatnonzero(np.diff(items, prepend=-1))
        for item, hits in zip(items[starts].tolist(), np.split(rows, starts[1:]), strict=True):
            if self._is_of(item, language):
                yield item, hits

    def _best_stretch(self, found: Tokens, item: int, hits: npt.NDArray[Any]) -> Match | None:
        covered, first, end = _stretch(hits, int(self.tokens[item]))
        if covered * self.words[item] / self.tokens[item] < self.needed[item] - _NEARLY:
            return None
        # Words that n-grams of many items hold are neither found nor missed.
        share = covered / int(self.countable[item])
        name, _ = self.sets[self.set_of[item]]
        return Match(name, self.places[item], share, int(found.starts[first]), int(found.ends[end]))


class TooManyNgramsError(ValueError):
    """Evaluation sets hold more n-grams than a process is to hold."""


@dataclass(slots=True)
class _Items:
    """Items by number; one with punctuation inside words has two, ``first`` being the lesser of them."""

    set_of: list[int] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    first: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    worth: list[float] = field(default_factory=list)


def build(sets: Sequence[EvaluationSet], plan: Plan, max_ngrams: int, pivot: str | None = None) -> Index:
    """Pack evaluation sets. Items of a set that are equal but for case and the like are one.

    Args:
        sets: their items are read once.
        plan: what counts as found.
        max_ngrams: most that may be held.
        pivot: the language of translations; None: items are not looked for in any.

    Raises:
        TooManyNgramsError: if they hold more than ``max_ngrams``; as soon as that is known.
    """
    items, held = _Items(), 0
    short_items = tuple(ShortItems(each.name) for each in sets)
    sizes = plan.sizes()
    worths = plan.words / sizes
    keys, owners, lasts, lengths = [], [], [], []
    equal: dict[tuple[int, int], int] = {}
    short: set[int] = set()
    words_of: list[tuple[int, Words]] = []
    for number, each in enumerate(sets):
        is_translated = pivot is not None and each.language in (None, pivot)
        for item in each.items:
            spaced = tokenize(item.text)
            in_words = float(worths[spaced.kinds].sum())
            short_items[number].texts += 1
            if in_words < MIN_EQUAL_WORDS - _NEARLY:
                short_items[number].left_out += 1
                continue
            short_items[number].only_whole += in_words < plan.min_words - _NEARLY
            first = len(items.places)
            for found in (spaced, tokenize(item.text, is_joined=True)):
                count, worth = len(found.hashes), float(worths[found.kinds].sum())
                whole = (number, int(_window(found.hashes, 0, count)))
                if whole in equal:
                    continue
                equal[whole] = owner = len(items.places)
                items.set_of.append(number)
                items.places.append(item.place)
                items.first.append(first)
                items.tokens.append(count)
                items.worth.append(worth)
                if worth < plan.min_words - _NEARLY:
                    continue
                if is_translated and found is spaced and worth >= plan.min_found_words - _NEARLY:
                    words_of.append((owner, found.stems))
                own, last = grams_of(found, sizes, ())
                size = sizes[found.kinds[last]]
                if not len(own):  # shorter than an n-gram: it is one
                    own, last, size = np.array([whole[1]], np.uint64), np.array([count - 1]), np.array([count])
                    short.add(count)
                held += len(own)
                if held > max_ngrams:
                    raise TooManyNgramsError(f"more than {max_ngrams:,} n-grams by {each.name}, {item.place}")
                keys.append(own)
                owners.append(np.full(len(own), owner, np.int32))
                lasts.append(np.asarray(last, np.int32))
                lengths.append(np.asarray(size, np.int32))
    grams = np.concatenate([np.zeros(0, np.uint64), *keys])
    item_of, last_of, size_of = (
        np.concatenate([np.zeros(0, np.int32), *column]) for column in (owners, lasts, lengths)
    )
    order = np.lexsort((last_of, item_of, grams))
    grams, item_of, last_of, size_of = grams[order], item_of[order], last_of[order], size_of[order]
    tokens, words = np.array(items.tokens, np.int32), np.array(items.worth, np.float64)
    # In texts of several scripts, of which the shorter n-grams begin later, a token may lie in none.
    whole_words = words * _covered_by(item_of, last_of, size_of, len(tokens)) / np.maximum(tokens, 1)
    counts = _counts(grams, np.array(items.first, np.int32)[item_of], plan.max_items)
    grams, item_of, last_of, size_of = grams[counts], item_of[counts], last_of[counts], size_of[counts]
    wholes = sorted((key, owner) for (_, key), owner in equal.items())
    return Index(
        plan,
        tuple((each.name, each.language) for each in sets),
        np.array(items.set_of, np.int32),
        tuple(items.places),
        tokens,
        _covered_by(item_of, last_of, size_of, len(tokens)),
        words,
        np.minimum(plan.min_found_words, whole_words),
        grams,
        item_of,
        last_of,
        size_of,
        KeyFilter.of(grams),
        tuple(sorted(short)),
        np.array([key for key, _ in wholes], np.uint64),
        np.array([owner for _, owner in wholes], np.int32),
        TranslatedItems.of(words_of, tokens) if words_of else None,
        short_items,
    )


def _counts(grams: Words, items: npt.NDArray[np.int32], max_items: int) -> npt.NDArray[np.bool_]:
    """Say which of sorted n-grams no more than ``max_items`` items hold."""
    is_first = np.ones(len(grams), np.bool_)
    is_first[1:] = grams[1:] != grams[:-1]
    is_other = is_first.copy()
    is_other[1:] |= items[1:] != items[:-1]
    number = np.cumsum(is_first) - 1
    holders = np.bincount(number, weights=is_other) if len(grams) else np.zeros(0)
    return np.asarray(holders[number] <= max_items)


def _covered_by(items: npt.NDArray[np.int32], lasts: Any, sizes: Any, count: int) -> npt.NDArray[np.int32]:
    """Count, for each of ``count`` items, the tokens that lie in one of its n-grams."""
    return np.asarray(_covered(items, lasts, sizes, np.lexsort((lasts, items)), count))


@compiled
def _covered(items: Any, lasts: Any, sizes: Any, order: Any, count: Any) -> Any:
    result = np.zeros(count, np.int32)
    before, upto = -1, -1
    for at in order:
        if items[at] != before:
            before, upto = items[at], -1
        result[before] += lasts[at] - max(upto, lasts[at] - sizes[at])
        upto = max(upto, lasts[at])
    return result


# Tokens and n-grams ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of a text.

    Hashes (uint64), first and end in code points (int64), script class (uint8), and hashes of a word's first letters
    (uint64; 0: it is shorter, or a character).
    """

    hashes: Words
    starts: Places
    ends: Places
    kinds: npt.NDArray[np.uint8]
    stems: Words


def tokenize(text: str, is_joined: bool = False) -> Tokens:
    """Cut a text into folded words and, of scripts without spaces, characters.

    Args:
        text: any text.
        is_joined: whether punctuation inside a word is nothing and not a space, as where it has been deleted: "WiFi".
    """
    codes = np.frombuffer(text.encode("utf-32-le", errors="surrogatepass"), np.uint32)
    table, expansions = folding.load()
    return Tokens(*_tokens(codes, table, expansions, _IS_CHARACTER, is_joined))


def grams_of(found: Tokens, sizes: Places, short_sizes: Sequence[int]) -> tuple[Words, Places]:
    """Return the n-grams of a text, and the place of each one's last token.

    Args:
        found: its tokens.
        sizes: tokens of an n-gram by the class of the last.
        short_sizes: further sizes, of n-grams that end with any token.
    """
    keys, lasts = _grams(found.hashes, sizes[found.kinds])
    more = [_grams(found.hashes, np.full(len(found.hashes), size, np.int64)) for size in short_sizes]
    return np.concatenate([keys, *(each for each, _ in more)]), np.concatenate([lasts, *(each for _, each in more)])


@compiled
def _is_space(code: Any) -> Any:
    # White_Space of Unicode's PropList.
    return (
        code == 32 or 9 <= code <= 13 or code in (0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000)
        or 0x2000 <= code <= 0x200A
    )  # fmt: skip


@compiled
def _tokens(codes: Any, table: Any, expansions: Any, is_character: Any, is_joined: Any) -> Any:
    size = 16
    hashes, starts, ends = np.empty(size, np.uint64), np.empty(size, np.int64), np.empty(size, np.int64)
    kinds, stems = np.empty(size, np.uint8), np.empty(size, np.uint64)
    count, current, start, end, kind = 0, _SEED, -1, 0, np.uint8(0)
    stem, letters = np.uint64(0), 0
    for i in range(len(codes) + 1):
        entry = _GAP
        if i < len(codes):
            entry = table[codes[i]] if codes[i] < len(table) else _GAP
        many: Any = 1
        place: Any = 0
        if entry & _EXPANDED:
            many = np.int64(entry & _LENGTH_MASK)
            place = np.int64((entry & ~_EXPANDED) >> _LENGTH_BITS)
        elif entry == 0:
            many = 0
        for j in range(many):
            one = expansions[place + j] if entry & _EXPANDED else entry
            of = np.uint8((one >> _CLASS_SHIFT) & _CLASS_MASK)
            is_gap = one == _GAP
            if is_gap and is_joined and i < len(codes) and not _is_space(codes[i]):
                continue
            if start >= 0 and (is_gap or is_character[of]):
                if count == len(hashes):
                    hashes, starts, ends = _longer(hashes), _longer(starts), _longer(ends)
                    kinds, stems = _longer(kinds), _longer(stems)
                hashes[count], starts[count], ends[count], kinds[count] = current, start, end, kind
                stems[count] = stem
                count, start, current = count + 1, -1, _SEED
                stem, letters = np.uint64(0), 0
            if is_gap:
                continue
            if start < 0:
                start, kind = i, of
            current = (current ^ np.uint64(one & _CODE_MASK)) * _PRIME
            letters += 1
            if letters == STEM_LETTERS:
                stem = current
            end = i + 1
            if is_character[of]:
                if count == len(hashes):
                    hashes, starts, ends = _longer(hashes), _longer(starts), _longer(ends)
                    kinds, stems = _longer(kinds), _longer(stems)
                hashes[count], starts[count], ends[count], kinds[count] = current, start, end, kind
                stems[count] = np.uint64(0)
                count, start, current = count + 1, -1, _SEED
                stem, letters = np.uint64(0), 0
    return hashes[:count], starts[:count], ends[:count], kinds[:count], stems[:count]


@compiled
def _longer(values: Any) -> Any:
    result = np.empty(2 * len(values), values.dtype)
    result[: len(values)] = values
    return result


@compiled
def _window(hashes: Any, start: Any, end: Any) -> Any:
    key = np.uint64(end - start) * _MIX
    for i in range(start, end):
        key = (key ^ hashes[i]) * _MIX
        key ^= key >> _S32
    return key


@compiled
def _grams(hashes: Any, sizes: Any) -> Any:
    keys, lasts = np.empty(len(hashes), np.uint64), np.empty(len(hashes), np.int64)
    count = 0
    for last in range(len(hashes)):
        if last + 1 >= sizes[last]:
            keys[count], lasts[count] = _window(hashes, last + 1 - sizes[last], last + 1), last
            count += 1
    return keys[:count], lasts[:count]


@compiled
def _stretch(hits: Any, tokens: Any) -> Any:
    """Find the stretch of a text, at most twice as long as an item, that holds most of its tokens.

    Args:
        hits: int, rows of last token in the text (ascending), last token in the item, tokens.
        tokens: of the item.

    Returns:
        How many of the item's tokens, and the first and last token of the stretch in the text.
    """
    times = np.zeros(tokens, np.int64)
    covered, first = 0, 0
    best, best_first, best_last = 0, 0, 0
    for i in range(len(hits)):
        for t in range(hits[i, 1] - hits[i, 2] + 1, hits[i, 1] + 1):
            covered += times[t] == 0
            times[t] += 1
        while hits[i, 0] - (hits[first, 0] - hits[first, 2] + 1) + 1 > _STRETCH * tokens and first < i:
            for t in range(hits[first, 1] - hits[first, 2] + 1, hits[first, 1] + 1):
                times[t] -= 1
                covered -= times[t] == 0
            first += 1
        if covered > best:
            best, best_first, best_last = covered, hits[first, 0] - hits[first, 2] + 1, hits[i, 0]
    return best, best_first, best_last
