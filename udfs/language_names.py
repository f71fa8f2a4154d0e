"""Languages by the English names that corpora write: ``English``, ``chinese``, ``Panjabi``."""

from __future__ import annotations

from typing import Final

from udfs.languages import LanguageTable

# Names that the table writes otherwise, or that corpora use for the standard variety of several. Names that could mean
# two written languages, such as Kurdish, are left out on purpose.
ALIASES: Final = {
    "arabic": "arb_Arab",
    "bangla": "ben_Beng",
    "central khmer": "khm_Khmr",
    "chinese": "zho_Hans",
    "farsi": "pes_Arab",
    "filipino": "tgl_Latn",
    "haitian": "hat_Latn",
    "malagasy": "plt_Latn",
    "malay": "zsm_Latn",
    "norwegian": "nob_Latn",
    "oriya": "ory_Orya",
    "panjabi": "pan_Guru",
    "pashto": "pbt_Arab",
    "persian": "pes_Arab",
    "punjabi": "pan_Guru",
    "pushto": "pbt_Arab",
    "simplified chinese": "zho_Hans",
    "traditional chinese": "zho_Hant",
}


def by_names(table: LanguageTable) -> dict[str, str]:
    """Return the table's codes by English name in lower case; names of several rows are left out."""
    names: dict[str, list[str]] = {}
    for code in table:
        names.setdefault(table.get(code).name.lower(), []).append(code)
    own = {name: codes[0] for name, codes in names.items() if len(codes) == 1}
    return {name: code for name, code in ALIASES.items() if code in table} | own
