"""E-mail addresses, IP addresses, telephone numbers and IBANs in a text: counted, and masked where asked.

Precision comes first: dates, versions, ISBNs and prices are no telephone numbers and no addresses. IBANs and telephone
numbers are checked by python-stdnum and phonenumbers (Google's libphonenumber).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

Kind = Literal["email", "ip", "phone", "iban"]
Action = Literal["mask", "flag", "ignore"]
KINDS: Final[tuple[Kind, ...]] = ("iban", "email", "ip", "phone")
"""In the order they are looked for: what is masked as one is not found as another."""

_EMAIL: Final = re.compile(
    r"(?<![\w.+%-])[\w][\w.+%-]{0,63}@(?:[\w-]{1,63}\.){1,8}(?!(?:png|jpe?g|gif|svg|webp|css|js|php|html)\b)[^\W\d_]{2,24}(?![\w@])"
)
_OCTET: Final = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4: Final = re.compile(rf"(?<![\w.:/§-])(?:{_OCTET}\.){{3}}{_OCTET}(?![\w/]|[.,-]\d)")
_IPV6: Final = re.compile(
    r"(?<![\w:.])(?:[0-9A-Fa-f]{1,4}:){2,7}(?:[0-9A-Fa-f]{1,4}|(?::[0-9A-Fa-f]{1,4}){0,6}:?)(?![\w:])"
)
# What an address has in any case, and little else.
_MAYBE_IPV4: Final = re.compile(r"\.\d{1,3}\.\d{1,3}\.\d")
_MAYBE_IPV6: Final = re.compile(r":[0-9A-Fa-f]{1,4}:")
_GLOBAL_V6: Final = ipaddress.ip_network("2000::/3")
_VERSION: Final = re.compile(
    r"(?:\bv|vers\w*|ver|rev|release|build|kernel|firmware|driver|версия|версії|版本|バージョン|section|chapter|kapitel|§)[.:]?\s*$",
    re.IGNORECASE,
)
_IBAN: Final = re.compile(r"[A-Z](?<![A-Za-z0-9].)[A-Z]\d{2}(?: ?[A-Z0-9]){11,30}(?![A-Za-z0-9])")
_MIN_IBAN_CHARS: Final = 15
# So many digits with the marks between them that numbers have.
_NUMBER: Final = re.compile(r"\d(?:[\d()/.\-– ]{5,22})\d")
_BEFORE_NUMBER: Final = "+＋("
_NUMBER_MARKS: Final = "+＋()/.-– "
_NO_PHONE: Final = re.compile(r"(?:isbn|issn|doi|isni|issue|pmid|oclc|nr\.?|no\.?|№|id|art\.?)[\s:#-]*$", re.IGNORECASE)
_DATE: Final = re.compile(
    r"(?:19|20)\d\d[-./ ]\d{1,2}[-./ ]\d{1,2}|\d{1,2}[-./ ]\d{1,2}[-./ ](?:19|20)\d\d"
    r"|(?:1\d|20)\d\d ?[-–/] ?(?:1\d|20)\d\d"
)
_MIN_PHONE_DIGITS: Final = 7
_WORD_WITHIN: Final = 24
_CONTEXT: Final = 40
MASKS: Final[dict[Kind, str]] = {"email": "[email]", "ip": "[ip]", "phone": "[phone]", "iban": "[iban]"}


@dataclass(frozen=True, slots=True)
class PersonalDataPlan:
    """What is looked for and what happens to it."""

    actions: tuple[tuple[Kind, Action], ...]
    phone_words: tuple[str, ...] = ()
    regions: tuple[tuple[str, str], ...] = ()
    """ISO 3166 code by language, whose telephone numbers need no leading +."""


def treat(text: str, plan: PersonalDataPlan, language: str) -> tuple[str, dict[Kind, int]]:
    """Count personal data and mask what the plan says.

    Args:
        text: any text.
        plan: what is looked for.
        language: GlotLID code; decides which country's telephone numbers are known without a leading +.

    Returns:
        The text, and how often each kind was found; kinds that were not are absent. Masking twice is masking once.
    """
    actions = dict(plan.actions)
    counts: dict[Kind, int] = {}
    for kind in KINDS:
        action = actions.get(kind, "ignore")
        if action == "ignore":
            continue
        spans = list(_find(kind, text, plan, language))
        if spans:
            counts[kind] = len(spans)
        if action == "mask" and spans:
            starts = [0, *(end for _, end in spans)]
            ends = [*(start for start, _ in spans), len(text)]
            text = MASKS[kind].join(text[start:end] for start, end in zip(starts, ends, strict=True))
    return text, counts


def _find(kind: Kind, text: str, plan: PersonalDataPlan, language: str) -> Iterable[tuple[int, int]]:
    if kind == "email":
        return _emails(text)
    if kind == "phone":
        return _phones(text, plan, dict(plan.regions).get(language))
    finder: Callable[[str], Iterable[tuple[int, int]]] = _ibans if kind == "iban" else _addresses
    return finder(text)


def _emails(text: str) -> Iterable[tuple[int, int]]:
    at = text.find("@")
    while at >= 0:
        start, end = text.rfind("\n", 0, at) + 1, text.find("\n", at)
        end = len(text) if end < 0 else end
        for found in _EMAIL.finditer(text, start, end):
            yield found.span()
        at = text.find("@", end)


def _addresses(text: str) -> Iterable[tuple[int, int]]:
    found = []
    if _MAYBE_IPV4.search(text):
        found += [each.span() for each in _IPV4.finditer(text) if _is_address(text, each)]
    if ("::" in text or text.count(":") >= len("a:b:c:d:e:f:g:h") // 2) and _MAYBE_IPV6.search(text):
        found += [each.span() for each in _IPV6.finditer(text) if _is_v6(each[0])]
    return sorted(found)


def _is_address(text: str, found: re.Match[str]) -> bool:
    if _VERSION.search(text, max(0, found.start() - _CONTEXT), found.start()):
        return False
    # Numbers of sections, and of versions nobody calls by that name, are small.
    octets = [int(part) for part in found[0].split(".")]
    return max(octets) > 9 and octets[0] > 0 and ipaddress.ip_address(found[0]).is_global


def _is_v6(value: str) -> bool:
    try:
        address = ipaddress.IPv6Address(value)
        return address in _GLOBAL_V6 and address.is_global
    except ValueError:
        return False


def _ibans(text: str) -> Iterable[tuple[int, int]]:
    from stdnum import iban

    for found in _IBAN.finditer(text):
        value = found[0]
        # The next word in capitals, such as "BIC", looks like the number's next group.
        while len(value) >= _MIN_IBAN_CHARS and not iban.is_valid(value):
            value = value.rpartition(" ")[0]
        if len(value) >= _MIN_IBAN_CHARS:
            yield found.start(), found.start() + len(value)


def _phones(text: str, plan: PersonalDataPlan, region: str | None) -> Iterable[tuple[int, int]]:
    if region is None and "+" not in text and "＋" not in text:
        return
    end = 0
    for found in _NUMBER.finditer(text):
        begin = found.start()
        begin -= begin > end and text[begin - 1] in _BEFORE_NUMBER
        value, end = text[begin : found.end()], found.end()
        if len(value) - sum(map(value.count, _NUMBER_MARKS)) < _MIN_PHONE_DIGITS:
            continue
        before = text[max(0, begin - _WORD_WITHIN) : begin]
        is_international = value[0] in "+＋" or before.endswith(("+", "＋"))
        has_word = region is not None and bool(_words(plan.phone_words).search(before))
        is_likely = is_international or (has_word and not _DATE.match(value))
        if not is_likely or _NO_PHONE.search(before):
            continue
        start = max(0, begin - 1)
        for number in _matches(text[start : found.end() + 1], region if has_word else None):
            yield start + number.start, start + number.end


def _matches(text: str, region: str | None) -> Iterable[Any]:
    import phonenumbers

    return phonenumbers.PhoneNumberMatcher(text, region, leniency=phonenumbers.Leniency.VALID)


@lru_cache(maxsize=4)
def _words(words: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words)) or '(?!)'})\W", re.IGNORECASE)
