"""Templates that only dress up the text they are given, and that text.

What other templates show is written elsewhere in the wiki, so they leave nothing. Without those here sentences would
lose words: the title of a Japanese article is often an argument of ``読み仮名``. Names are those of the templates and
their usual redirects in the larger Wikipedias, in lower case.
"""

from __future__ import annotations

from typing import Final

# The argument that is shown, counted from 1.
_FIRST: Final = (
    "abbr|abbrv|abréviation|angbr|bigger|big|blockquote|center|citat|cita|citation bloc|em|keypress|kbd|larger|lang-en|"
    "mention|mono|nobr|nobreak|no wrap|nowrap|noitalic|nsmllr|quote|ruby|ruby-ja|rubi|sc|script|sic|small|small caps|"
    "smallcaps|smaller|strong|sub|sup|tooltip|unicode|polytonic|val|vr|zitat|цитата|начало цитаты|нп1|нп2|нп3|нп4|нп5|"
    "не переведено|не переведено 5|仮リンク|ill|ill2|illm|interlanguage link|interlanguage link multi|lien|"
    "link-interwiki|en|fr|de|la|el|es|it|ru|ルビ|fett|kursiv|comillas|versalita|incise|fmtn|formatnum|nombre|number|romain|smallsup"
)
_SECOND: Final = (
    "lang|langue|lengua|lingua|język|язык|lang2|rtl-lang|ltr-lang|isolang|sprache|idioma|لغة|言語|text-lang"
)
_LAST: Final = "transl|transliteration|translit|translitteration|hebrew|script/arabic"
_TWO: Final = "convert|cvt|unité|unite|unit|unidad|unità|conversie|einheit|date|date-|tmp|km"
_ARGUMENT: Final = {
    **dict.fromkeys(_FIRST.split("|"), 1),
    **dict.fromkeys(_SECOND.split("|"), 2),
    **dict.fromkeys(_LAST.split("|"), -1),
}
_TWO_ARGUMENTS: Final = frozenset(_TWO.split("|"))
# A word and its reading, as readers see them: word (reading).
_READINGS: Final = frozenset(["nihongo", "読み仮名", "よみがな", "ふりがな", "読み仮名 ruby不使用", "読み"])
_PAGE_NAMES: Final = frozenset(["pagename", "fullpagename", "basepagename", "subpagename", "subjectpagename"])


def text_of_template(content: str, title: str = "") -> str:
    """Return what a template shows of its own arguments, or "".

    >>> text_of_template("lang|fr|mot")
    'mot'
    >>> text_of_template("convert|5|km|0|abbr=on")
    '5 km'
    >>> text_of_template("cite web|url=https://example.org|title=x")
    ''

    Args:
        content: what stands between the braces, with the templates and links in it replaced by their texts.
        title: title of the page.
    """
    head, bar, rest = content.partition("|")
    name = head.strip().lower().replace("_", " ")
    if not bar:
        if name.startswith("formatnum:"):
            return head.partition(":")[2].strip()
        return title if name in _PAGE_NAMES else ""
    wanted = _ARGUMENT.get(name) or (1 if name.startswith("lang-") else 0)
    if wanted == 0 and name not in _TWO_ARGUMENTS and name not in _READINGS:
        return _as_of(rest) if name == "as of" else ""
    arguments = _positional(rest)
    if not arguments:
        return ""
    if wanted:
        # Without the argument that is asked for, the last one there is.
        return arguments[wanted - 1] if 0 < wanted <= len(arguments) else arguments[-1]
    if name in _TWO_ARGUMENTS:
        return " ".join(arguments[:2])
    # English puts the translation first, and the word behind it.
    others = ", ".join(argument for argument in arguments[1:3] if argument)
    return f"{arguments[0]} ({others})" if others else arguments[0]


def _as_of(rest: str) -> str:
    return f"As of {' '.join(_positional(rest)[:1])}"


def _positional(rest: str) -> list[str]:
    """Return the arguments without a name, and those named by their number."""
    found: dict[int, str] = {}
    count = 0
    for argument in rest.split("|"):
        name, equals, value = argument.partition("=")
        if not equals:
            count += 1
            found[count] = argument.strip()
        elif (number := name.strip()).isascii() and number.isdigit() and len(number) < 3:
            found[int(number)] = value.strip()
    return [found[number] for number in sorted(found)]
