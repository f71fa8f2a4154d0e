"""Kinds of Wikipedia pages that are no articles in full: disambiguation pages and stubs, told by what editors marked.

Names of templates and categories, in lower case, as the Wikipedias link them to each other (interlanguage links of
Template:Disambiguation, Category:Disambiguation pages and Template:Stub), gathered by wtf_wikipedia (MIT) and
wikipedia-data; ``nl:dp`` is a name of the Dutch edition alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final


def _names(joined: str) -> frozenset[str]:
    return frozenset(joined.split("|"))


_DISAMBIGUATION_TEMPLATES: Final = _names(
    "dab|disamb|disambig|disambiguation|disambiguation page|dmbox|geodis|hndis|hndis-cleanup|mathdab|mil-unit-dis|"
    "numberdis|roaddis|schooldis|letter-numbercombdisambig|"
    "aðgreining|aimai|ałtsʼáʼáztiin|anlam ayrımı|apartigilo|argipen|begriepskloorenge|begriffsklärung|begriffsklearung|"
    "bisongidila|bokokani|caddayn|clerheans|cudakirin|čvor|višeznačna odrednica|desambig|desambigación|desambiguação|"
    "desambiguació|desambiguación|desambiguáncia|desambiguasion|desambiguassiù|desambigui|dezambiguizare|"
    "dəqiqləşdirmə|disambigua|disambìgua|disambiguasi|discretiva|disheñvelout|disingkek|dixanbigua|dixebra|"
    "diżambigwazzjoni|doorverwijspagina|nl:dp|nl:dpintro|zea:dp|nds-nl:dv|vls:db|pfl:bkl|de:bks|dubbelsinnig|dudalipen|"
    "egyért|egyértelműsítő|fleiri týdningar|fleirtyding|flertydig|förgrening|gren|grensida|gì-ngiê|giklaro|pagklaro|"
    "gwahaniaethu|homonimo|homónimos|homonymie|homonymes|paronymie|patronymie|toponymie|"
    "huaʻōlelo puana like|idirdhealú|khu-pia̍t|khu-pia̍t-ia̍h|kthjellim|kujekesa|maana|maneo bin|mehrdüdig begreep|"
    "menm non|muardüüdag artiikel|neibetsjuttings|nozīmju atdalīšana|nuorodinis|nuorodinis straipsnis|nyahkekaburan|"
    "omonimeye|omonimia|page dé frouque|paglilinaw|panangilawlawag|pansayod|pejy mitovy anarana|peker|razdvojba|"
    "razločitev|razvrstavanje|reddaghey|rozcestník|rozlišovacia stránka|sclerir noziun|selvendyssivu|soilleireachadh|"
    "suzmunski|täpsustuslehekülg|täpsustus|täsmennyssivu|telplänov|tlahtolmelahuacatlaliztli|trang định hướng|"
    "định hướng|ujednoznacznienie|verdudeliking|wěcejwóznamowosć|wjacezmyslnosć|zambiguaçon|zeimeibu škiršona|"
    "αποσαφήνιση|айрық|айрық бет|аҵакырацәа|вишезначна одредница|ибҳомзудоӣ|кёб магъаналы|күп мәгънәләр|"
    "күп мәғәнәлелек|мъногосъмꙑслиѥ|неадназначнасць|неадназначнасьць|неоднозначность|многозначность|"
    "багатозначність|неоднозначність|олон удхатай|појаснување|пояснение|са шумуд манавал|салаа утгатай|суолталар|"
    "текмаанисиздик|көп маанилүү|цо магіна гуреб|чеперушка|чолхалла|шуко ончыктымаш-влак|მრავალმნიშვნელოვანი|"
    "բազմիմաստութիւն|բազմիմաստություն|באדייטן|פירושונים|ابهام‌زدایی|ابهامزدایی|توضيح|دقیقلشدیرمه|ڕوونکردنەوە|سلجهائپ|"
    "ضد ابہام|گجگجی بیری|نامبهمېدنه|መንታ|अस्पष्टता|बहुअर्थी|बहुविकल्पी शब्द|निःसंदिग्धीकरण|দ্ব্যর্থতা নিরসন|ਗੁੰਝਲ-ਖੋਲ੍ਹ|"
    "સંદિગ્ધ શીર્ષક|பக்கவழி நெறிப்படுத்தல்|అయోమయ నివృత్తి|ದ್ವಂದ್ವ ನಿವಾರಣೆ|വിവക്ഷകൾ|വക്രോക്തി|වක්රෝත්ති|"
    "แก้กำกวม|แก้ความกำกวม|သံတူကြောင်းကွဲ|ណែនាំ|동음이의|동음이의어 문서|扤清楚|搞清楚|曖昧さ回避|人名の曖昧さ回避|"
    "地名の曖昧さ回避|消歧义|消歧義|消歧义页|釋義|gestion dj'omònim|sut'ichana qillqa"
)
_DISAMBIGUATION_CATEGORIES: Final = _names(
    "disambiguation pages|disambiguation|all disambiguation pages|all article disambiguation pages|"
    "human name disambiguation pages|place name disambiguation pages|dubbelsinnig|begriffsklärung|መንታ መንገዶች|scīrung|"
    "صفحات توضيح|desambigación|wikipedia:dixebra|wikipedia:desambiguación|desambiguación|"
    "vikipediya:dəqiqləşdirmə|দ্ব্যর্থতা নিরসন পাতা|disambiguasi|күп мәғәнәле төшөнсәләр|неадназначнасці|"
    "вікіпэдыя:неадназначнасьці|пояснителни страници|čvor članci|heñvelstummoù|pàgines de desambiguació|pagklaro|"
    "wikipedie:rozcestníky|gwahaniaethu|flertydig|wěcejwóznamowosći|täpsustusleheküljed|αποσαφήνιση|disambigua|"
    "apartigiloj|wikipediako argipen orriak|صفحه‌های ابهام‌زدایی|fleiri týdningar|homonymie|homonymes|trochferwiisside|"
    "idirdhealáin|soilleireachadh|homónimos|동음이의어 문서|բազմիմաստության փարատման էջեր|बहुविकल्पी शब्द|wjacezmyslnosć|"
    "razdvojba|homonimi|aðgreiningarsíður|pagine di disambiguazione|פירושונים|kaca dhisambiguasi|ದ್ವಂದ್ವ ನಿವಾರಣೆ|"
    "მრავალმნიშვნელოვანი|айрық беттер|folennow klerheans|makala zinazotofautisha maana|rûpelên cudakirinê|"
    "көпмаанилүү аталмалар|ໜ້າແກ້ຄວາມກຳກວມ|zeimeibu škiršona|discretiva|nozīmju atdalīšana|nuorodiniai straipsniai|"
    "verdudelikingspazjena|egyértelműsítő lapok|појаснителни страници|pejy mitovy anarana|വിവക്ഷകൾ|"
    "diżambigwazzjoni|laman nyahkekaburan|салаа утгатай үгс|သံတူကြောင်းကွဲ|wikipedia:doorverwijspagina|曖昧さ回避|"
    "маьӏнийн агӏонаш|pekere|fleirtydingssider|omonimia|ଦ୍ୱନ୍ଦ୍ୱ ନିବାରଣ|koʻp maʼnoli atamalar|ਸਪੱਸ਼ਟਤਾ ਸਫ਼ੇ|"
    "نامبهمه مخونه|mehrdüdig begreep|strony ujednoznaczniające|desambiguação|dezambiguizare|страницы значений|"
    "страницы значений по алфавиту|rozlišovacie stránky|razločitve|پەڕەکانی ڕوونکردنەوە|вишезначна одредница|"
    "razvrstavanje|täsmennyssivut|förgreningssidor|paglilinaw|பக்கவழி நெறிப்படுத்தல்|күп мәгънәле мәкаләләр|"
    "అయోమయ నివృత్తి|การแก้ความกำกวม|ибҳомзудоӣ|anlam ayrımı sayfaları|dürli manylar|багатозначні терміни|"
    "ضد ابہام صفحات|dixanbigue|trang định hướng|telplänovapads|omonimeye|釋義|pansayod|消歧义|消歧义页|"
    "באדייטן|搞清楚版|全部消歧義頁面"
)
# The switch of the extension Disambiguator, in its languages.
_DISAMBIGUATION_SWITCHES: Final = _names("DISAMBIG|DISAMBIGUACION|BEGRIFFSKLÄRUNG|曖昧さ回避|消歧义|消歧義|ОДРЕДНИЦА")
# Not pages, but links or notes about them, by how their names end.
_NOTES: Final = (" needed", "-inline", " link", " cleanup link")

_STUB_TEMPLATES: Final = _names(
    "stub|aizmetnis|nadabeigts rakstīņs|avixo de spigaso|beginnetje|bibarilo|borrador|buntato|bosquexo|csonk|"
    "danvez pennad|djermon|ébauche|ébeuche|eginyn|entamu|en progreso|esboço|mínimo|esborrany|esbòs|esbozo|ĝermo|it:s|"
    "fr:ébauche|junj|maramara|mbegu|mrva|klica|pahýl|pondok|por mejoral|qaralama|rabisco|rancangan|rintisan|saadjie|"
    "síol|şitil|skizze|škrbina|sơ khai|stobbe|stompje|stubben|stubbi|stubbur|stubbe|stumpen|spire|taslak|tynkä|výhonok|"
    "vernuşte|ciot|zarodk|zirriborro|zirriborroa|u začetku|επέκταση|әҙерләмә|заготовка|незавершена стаття|доробити|"
    "клица|къæртт|мәкалә төпчеге|мъниче|накід|никулец|стыржень|хурд|ესკიზი|անավարտ|שטומף|קצרמר|بذرة|نامکمل|خرد|"
    "کۆلکە|تقاوى|መዋቅር|आधार|ठुटो|विस्तार|অসম্পূর্ণ|পোখালি|ਅਧਾਰ|સ્ટબ|ଅଧାଗଢ଼ା|குறுங்கட்டுரை|మొలక|ಚುಟುಕು|"
    "അപൂർണ്ണം|අංකුරය|โครง|အတိုချုံး|អត្ថបទខ្លីមិនពេញលេញ|토막글|小作品|楔"
)
_WORDS: Final = re.compile(r"[\s/:-]+")


def is_disambiguation(
    templates: Iterable[str], categories: Iterable[str], magic_words: Iterable[str], edition: str = ""
) -> bool:
    """Return whether a page only says which articles a name may mean.

    >>> is_disambiguation(["Begriffsklärung"], [], [])
    True
    >>> is_disambiguation(["Disambiguation needed"], [], [])
    False

    Args:
        templates: names of the page's templates, as written.
        categories: names of its categories, without the namespace.
        magic_words: its switches, without underscores.
        edition: code of the Wikipedia, for the names that mean this in one alone.
    """
    if any(word in _DISAMBIGUATION_SWITCHES for word in magic_words):
        return True
    if any(_plain(name) in _DISAMBIGUATION_CATEGORIES for name in categories):
        return True
    return any(_is_disambiguation_template(_plain(name), edition) for name in templates)


def is_stub(templates: Iterable[str], edition: str = "") -> bool:
    """Return whether editors marked a page as the mere beginning of an article.

    >>> is_stub(["Europe-geo-stub"]), is_stub(["بذرة مدينة"]), is_stub(["Infobox"])
    (True, True, False)

    Args:
        templates: names of the page's templates, as written.
        edition: code of the Wikipedia.
    """
    for name in map(_plain, templates):
        if name in _STUB_TEMPLATES or f"{edition}:{name}" in _STUB_TEMPLATES:
            return True
        words = _WORDS.split(name)
        if len(words) > 1 and not _STUB_TEMPLATES.isdisjoint((words[0], words[-1])):
            return True
    return False


def _is_disambiguation_template(name: str, edition: str) -> bool:
    if name in _DISAMBIGUATION_TEMPLATES or f"{edition}:{name}" in _DISAMBIGUATION_TEMPLATES:
        return True
    return name.endswith((" disambiguation", "-disambig", " disambig")) or (
        name.startswith(("disambiguation ", "disambig-")) and not name.endswith(_NOTES)
    )


def _plain(name: str) -> str:
    return name.replace("_", " ").strip().lower()
