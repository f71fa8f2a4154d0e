"""The data set's card: metadata that the Hugging Face Hub reads, and a page that a person does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

from jobs.export.forms import DEFAULT, Form, Layout, Size, patterns
from jobs.export.licenses import License, LicenseBook
from jobs.export.names import ExportLanguage, dataset_name
from jobs.export.selection import Group
from jobs.export.storage import LICENSE, TAG
from jobs.export.writer import Written
from jobs.runtime.errors import BackpromptError
from jobs.runtime.reasons import meaning
from jobs.runtime.recipe import LAST
from jobs.runtime.schema import GIVEN
from udfs.generators.template import is_stand_in

SPLITS: Final = ("train", "validation", "test")
TASK: Final = "text-generation"
TAGS: Final = (TAG, "instruction-tuning", "reverse-instructions")
OTHER: Final = "other"
# Upper ends of the Hub's categories.
_SIZES: Final = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
    (10**9, "100M<n<1B"),
    (10**10, "1B<n<10B"),
    (10**11, "10B<n<100B"),
    (10**12, "100B<n<1T"),
)
_LARGEST: Final = "n>1T"
_REQUIRED: Final = (
    "pretty_name", "language", "license", "size_categories", "task_categories", "tags", "configs", "dataset_info",
)  # fmt: skip
_HUB_LANGUAGE: Final = re.compile(r"[a-z]{2,3}")
_HUB_LICENSE: Final = re.compile(r"[a-z0-9][a-z0-9.+-]*")
_REASONS_SHOWN: Final = 5
_ENGINES_SHOWN: Final = 6


@dataclass(frozen=True, slots=True)
class CardFacts:
    """All that a card tells."""

    title: str
    form: Form
    layout: Layout
    features: Sequence[Mapping[str, Any]]
    groups: Sequence[Group]
    """Those that the export has, and those that it leaves out."""
    kinds: Mapping[str, str]
    """Kind of every source."""
    languages: Mapping[str, ExportLanguage]
    """By the lake's code."""
    sizes: Mapping[tuple[str, str], Size]
    """Rows and bytes as Arrow, by config and split."""
    written: Mapping[tuple[str, str], Written]
    """The files, by config and split."""
    book: LicenseBook
    stages: Sequence[Mapping[str, Any]]
    """The funnel, as ``jobs.commands.funnel`` gives it; empty where the lake has no `runs`."""
    recipe: str
    fingerprints: Mapping[str, str]
    """Of every stage's table, by stage."""
    recipe_hashes: Mapping[str, str]
    """sha256 of the recipe's file, of those that it extends and of its prompts, by name; none if they are not there."""
    are_pairs_mended: bool
    """Whether clean worked on pairs whose source holds the instruction."""
    table_version: int
    versions: Mapping[str, str]

    @property
    def kept(self) -> list[Group]:
        """Return the groups that the export has."""
        return [each for each in self.groups if each.left_out is None]

    @property
    def suffix(self) -> str:
        """Return what names of files end with."""
        return "jsonl" if self.form == "chat" else "parquet"


def card(facts: CardFacts) -> str:
    """Return the text of README.md.

    Raises:
        BackpromptError: naming the fields that are missing or not as the Hub takes them.
    """
    values = metadata(facts)
    check_metadata(values)
    # No aliases: the Hub's reader takes none. No width: a long line is one value.
    head = yaml.dump(values, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=10_000)
    return f"---\n{head}---\n\n{body(facts)}"


def license_page(facts: CardFacts) -> str | None:
    """Return the text of LICENSE.md, which a card links whose licences the Hub does not all know; else None."""
    known = all(facts.book.licenses[key].hub for key in license_ids(facts))
    return None if known else _licenses(facts).removeprefix("#") + "\n"


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def metadata(facts: CardFacts) -> dict[str, Any]:
    """Return the card's metadata, as plain values."""
    rows = sum(each.pairs for each in facts.kept)
    hub = sorted({each.hub for each in facts.languages.values()})
    ids = license_ids(facts)
    licenses = sorted({facts.book.licenses[key].hub or OTHER for key in ids})
    values: dict[str, Any] = {
        "pretty_name": facts.title,
        "language": hub,
        "license": licenses[0] if len(licenses) == 1 else licenses,
    }
    others = [key for key in ids if facts.book.licenses[key].hub is None]
    if others:
        values["license_name"] = "-".join(re.sub(r"[^a-z0-9.]+", "-", key.lower()).strip("-") for key in others)
        values["license_link"] = LICENSE
    creators = {GIVEN: "found"}
    values |= {
        "annotations_creators": sorted({creators.get(each.generator, "machine-generated") for each in facts.kept}),
        "language_creators": ["found"],
        "multilinguality": ["multilingual" if len(hub) > 1 else "monolingual"],
        "size_categories": [size_category(rows)],
        "task_categories": [TASK],
        "tags": list(TAGS),
        "configs": _configs(facts),
        "dataset_info": _dataset_info(facts),
    }
    return values


def size_category(rows: int) -> str:
    """Return the Hub's category for a number of rows.

    >>> size_category(999), size_category(1_000), size_category(2_228_499)
    ('n<1K', '1K<n<10K', '1M<n<10M')
    """
    return next((name for end, name in _SIZES if rows < end), _LARGEST)


def check_metadata(values: Mapping[str, Any]) -> None:
    """Check a card's metadata as far as that is possible without the Hub.

    Raises:
        BackpromptError: with all that is missing or not in the Hub's form.
    """
    problems = [f"{name} is missing" for name in _REQUIRED if not values.get(name)]
    for code in values.get("language") or ():
        if not _HUB_LANGUAGE.fullmatch(code):
            problems.append(f"language {code!r} is no code of ISO 639-1 or 639-3")
    written = values.get("license") or ()
    for name in [written] if isinstance(written, str) else written:
        if not _HUB_LICENSE.fullmatch(name):
            problems.append(f"license {name!r} is no id of the Hub's; set `hub` of the licence, or leave it out")
        if name == OTHER and not values.get("license_name"):
            problems.append("license is other, and license_name is missing")
    link = values.get("license_link")
    if link and link not in ("LICENSE", LICENSE) and "://" not in link:
        problems.append(f"license_link {link!r} is neither LICENSE, {LICENSE} nor an address")
    for config in values.get("configs") or ():
        files = config.get("data_files")
        if not files:
            problems.append(f"config {config.get('config_name')!r} has no data_files")
    names = [config.get("config_name") for config in values.get("configs") or ()]
    if len(set(names)) != len(names):
        problems.append("two configs have one name")
    if problems:
        raise BackpromptError("The data set's card: " + "; ".join(problems))


def _configs(facts: CardFacts) -> list[dict[str, Any]]:
    return [
        {
            "config_name": config,
            **({"default": True} if config == DEFAULT else {}),
            "data_files": patterns(facts.layout, config, splits, facts.suffix),
        }
        for config, splits in config_splits(facts).items()
    ]


def config_splits(facts: CardFacts) -> dict[str, list[str]]:
    """Return the splits of every config; the first is of all languages together."""
    found: dict[str, set[str]] = {DEFAULT: set()}
    for config, split in sorted(facts.sizes):
        found.setdefault(config, set()).add(split)
        found[DEFAULT].add(split)
    return {config: sorted(splits, key=_split_order) for config, splits in found.items()}


def _split_order(split: str) -> tuple[int, str]:
    return (SPLITS.index(split) if split in SPLITS else len(SPLITS), split)


def _dataset_info(facts: CardFacts) -> list[dict[str, Any]]:
    infos = []
    for config, splits in config_splits(facts).items():
        sizes = {
            split: sum((each for key, each in facts.sizes.items() if _is_of(key, config, split)), Size())
            for split in splits
        }
        files = [each for key, each in facts.written.items() if config in (DEFAULT, key[0])]
        infos.append(
            {
                "config_name": config,
                "features": [dict(each) for each in facts.features],
                "splits": [
                    {"name": split, "num_bytes": size.bytes, "num_examples": size.rows} for split, size in sizes.items()
                ],
                "download_size": sum(each.bytes for each in files),
                "dataset_size": sum(size.bytes for size in sizes.values()),
            }
        )
    return infos


def _is_of(key: tuple[str, str], config: str, split: str) -> bool:
    return key[1] == split and config in (DEFAULT, key[0])


def license_ids(facts: CardFacts) -> list[str]:
    """Return the licences of the texts and of the models that wrote, texts' first."""
    texts = sorted({key for each in facts.kept for key in facts.book.of(each.license) or ()})
    labels = {label for each in facts.kept for label in each.writers}
    models = sorted({key for label in labels if (key := _model_license(label, facts.book))})
    return list(dict.fromkeys([*texts, *models]))


def _model_license(label: str, book: LicenseBook) -> str | None:
    terms = book.of_model(label)
    return None if terms is None or terms.is_output_free else terms.license


# The page -------------------------------------------------------------------------------------------------------


def body(facts: CardFacts) -> str:
    """Return the card's page, Markdown."""
    sections = [
        _summary(facts),
        _contents(facts),
        _languages(facts),
        _sources(facts),
        _licenses(facts),
        _models(facts),
        _making(facts),
        _funnel(facts),
        _left_out(facts),
        _limits(facts),
        _attribution(facts),
    ]
    return "\n\n".join(sections) + "\n"


def _summary(facts: CardFacts) -> str:
    rows, languages = sum(each.pairs for each in facts.kept), {each.code for each in facts.languages.values()}
    reversed_rows = sum(each.pairs for each in facts.kept if each.generator != GIVEN)
    config = next((each for each in config_splits(facts) if each != DEFAULT), None)
    single = f'\nload_dataset("FOLDER_OR_NAME", "{config}")  # one language' if config else ""
    kind = {
        "muri": "The columns are those of [MURI-IT](https://huggingface.co/datasets/akoksal/muri-it).",
        "extended": "The columns are those of [MURI-IT](https://huggingface.co/datasets/akoksal/muri-it), and behind "
        "them each pair's lineage and scores.",
        "chat": "Each row is a conversation: `messages` with `role` (system, user, assistant) and `content`.",
    }[facts.form]
    return f"""# {facts.title}

{_number(rows, "instruction pair")} in {_number(len(languages), "language")}, whose answers people wrote. Of \
{_number(reversed_rows, "pair")} the instruction was written by a machine for a text that was there before (reverse \
instructions, [Köksal et al. 2024](https://arxiv.org/abs/2409.12958)); of the others the source holds both. {kind}

```python
from datasets import load_dataset

load_dataset("FOLDER_OR_NAME"){single}
```"""


def _contents(facts: CardFacts) -> str:
    by_split: dict[str, int] = {}
    for (_, split), size in facts.sizes.items():
        by_split[split] = by_split.get(split, 0) + size.rows
    rows = [[split, f"{by_split[split]:,}"] for split in sorted(by_split, key=_split_order)]
    columns = ", ".join(f"`{each['name']}`" for each in facts.features)
    return "## Contents\n\n" + _table(["split", "rows"], rows, "lr") + f"\n\nColumns: {columns}."


def _languages(facts: CardFacts) -> str:
    splits = sorted({each.split for each in facts.kept}, key=_split_order)
    rows = []
    for code in sorted({each.code for each in facts.languages.values()}):
        own = {key: each for key, each in facts.languages.items() if each.code == code}
        name = next(iter(own.values())).name
        counts = [sum(g.pairs for g in facts.kept if g.language in own and g.split == split) for split in splits]
        rows.append([f"`{code}`", name, ", ".join(sorted(own)), *(f"{count:,}" for count in counts)])
    return "## Languages\n\n" + _table(["language", "name", "written as", *splits], rows, "lll" + "r" * len(splits))


def _sources(facts: CardFacts) -> str:
    counts: dict[tuple[str, str, str], int] = {}
    for each in facts.kept:
        name = dataset_name(each.source, facts.kinds.get(each.source), each.generator == GIVEN)
        licenses = ", ".join(facts.book.of(each.license) or (each.license,))
        key = (name, each.source, licenses)
        counts[key] = counts.get(key, 0) + each.pairs
    rows = [[f"`{name}`", source, licenses, f"{count:,}"] for (name, source, licenses), count in sorted(counts.items())]
    return "## Sources\n\n" + _table(["`dataset_name`", "source", "licence of the texts", "pairs"], rows, "lllr")


def _licenses(facts: CardFacts) -> str:
    rows = []
    for key in license_ids(facts):
        each = facts.book.licenses[key]
        texts = sum(g.pairs for g in facts.kept if key in (facts.book.of(g.license) or ()))
        models = sum(
            g.pairs for g in facts.kept if any(_model_license(label, facts.book) == key for label in g.writers)
        )
        rows.append([_link(key, each), f"{texts:,}", f"{models:,}", each.obligations])
    title = ["licence", "pairs by their text", "pairs by a model", "what it asks"]
    text = (
        "## Licences\n\nA pair is under the licence of its text and, where a model wrote its instruction, under the "
        "terms of that model. The summaries are ours; the licences' own texts decide.\n\n" + _table(title, rows, "lrrl")
    )
    flags = []
    if any(facts.book.licenses[key].is_non_commercial for key in license_ids(facts)):
        flags.append("**A part of the pairs is for non-commercial use alone**: see the table.")
    if any(facts.book.licenses[key].is_share_alike for key in license_ids(facts)):
        flags.append("**A part of the pairs is share-alike**: what is made from their texts stays under their licence.")
    return "\n\n".join([text, *flags])


def _models(facts: CardFacts) -> str:
    # Engines under the same terms are one line: Apertium alone has a label a direction.
    labels: dict[tuple[str, str], list[str]] = {}
    for label in sorted({label for each in facts.kept for label in each.writers} - {GIVEN, "none"}):
        terms = facts.book.of_model(label)
        key = ("none" if terms is None or terms.license is None else terms.license, terms.note if terms else "")
        labels.setdefault(key, []).append(label)
    if not labels:
        return "## Engines that wrote\n\nNone: every instruction is its source's own."
    rows = []
    for (license_, note), own in labels.items():
        pairs = sum(each.pairs for each in facts.kept if not set(own).isdisjoint(each.writers))
        rows.append([_shortened([f"`{each}`" for each in own], _ENGINES_SHOWN), f"{pairs:,}", license_, note])
    return (
        "## Engines that wrote\n\nThey translated a text, wrote an instruction for it, or translated the instruction. "
        "A label holds kind, version and model; `recipe/settings.yaml` has all of them, by stage.\n\n"
        + _table(["engines", "pairs", "licence", "note"], rows, "lrll")
    )


def _making(facts: CardFacts) -> str:
    rows = [[stage, f"`{each}`"] for stage, each in facts.fingerprints.items()]
    files = "`recipe/settings.yaml` holds every setting that decided what came out"
    if facts.recipe_hashes:
        listed = ", ".join(f"`{name}` (sha256 `{digest}`)" for name, digest in facts.recipe_hashes.items())
        files += f"; the recipe, with what it extends and its prompts, is {listed}"
    engines = []
    for stage in facts.stages:
        labels = [each for each in stage["engines"] if each not in (GIVEN, "none")]
        if labels and stage["stage"] != LAST:  # whose engines are those of the stages before it
            engines.append([str(stage["stage"]), _shortened([f"`{each}`" for each in labels], _ENGINES_SHOWN)])
    versions = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
    text = (
        f"## How it was made\n\nRecipe `{facts.recipe}`, version {facts.table_version} of its table of pairs, by "
        f"{versions}. {files}. A fingerprint is a hash of a stage's settings and of the stages before it.\n\n"
        + _table(["stage", "fingerprint"], rows, "ll")
    )
    return text + ("\n\n" + _table(["stage", "engines"], engines, "ll") if engines else "")


def _funnel(facts: CardFacts) -> str:
    if not facts.stages:
        return "## Funnel\n\nNot known: the tables have no account of their runs."
    rows = []
    for stage in facts.stages:
        largest = sorted(stage["reasons"].items(), key=lambda item: (-item[1], item[0]))
        listed = [f"{meaning(reason) or reason} {count:,}" for reason, count in largest]
        counts = [f"{stage[key]:,}" for key in ("rows_in", "alive", "rejected")]
        rows.append([str(stage["stage"]), *counts, _shortened(listed, _REASONS_SHOWN, "; ")])
    return "## Funnel\n\nRows of the whole recipe, of which the export takes a part.\n\n" + _table(
        ["stage", "in", "kept", "rejected", "reasons"], rows, "lrrrl"
    )


def _left_out(facts: CardFacts) -> str:
    counts = left_out(facts.groups)
    if not counts:
        return "## Left out of the export\n\nNothing."
    rows = [[reason, f"{count:,}"] for reason, count in counts.items()]
    return "## Left out of the export\n\n" + _table(["reason", "pairs"], rows, "lr")


def left_out(groups: Iterable[Group]) -> dict[str, int]:
    """Return the pairs that an export leaves out, by reason, the most frequent first."""
    counts: dict[str, int] = {}
    for each in groups:
        if each.left_out is not None:
            counts[each.left_out] = counts.get(each.left_out, 0) + each.pairs
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _limits(facts: CardFacts) -> str:
    limits = []
    if any(each.generator != GIVEN for each in facts.kept):
        limits += [
            "Instructions were written by a machine, most of them in English, and translated: they may be clumsy, name "
            "a detail that the text does not have, or miss what a speaker would ask.",
            "Texts are what people published: with their errors, opinions and remains of the page they stood on. "
            "Cleaning takes out much of that, not all.",
        ]
    if any(each.generator == GIVEN for each in facts.kept):
        mended = (
            "keep their lines and length; their characters were mended and personal data treated as the recipe says"
            if facts.are_pairs_mended
            else "are as their sources have them; their answers were not cleaned"
        )
        limits.append(f"Pairs of existing collections {mended}.")
    limits += [
        "The language of a text is told by its source and checked by an identifier, which errs most on short texts and "
        "on close languages.",
        "Words and models that screen hate know few languages well. Personal data that a text names in prose is still "
        "there.",
        "Near-duplicates are found by their wording; a translation of a text is none.",
    ]
    if any(is_stand_in(each.generator) for each in facts.kept):
        limits.insert(0, "**A part of the instructions was put together by rules**, to show the job: not for training.")
    if facts.form != "extended":
        limits.append("The form has no scores and no addresses; the extended form has both.")
    return "## Known limits\n\n" + "\n".join(f"- {each}" for each in limits)


def _attribution(facts: CardFacts) -> str:
    how = (
        "Each row has the `license` of its text, the `url` it stands at where the source names one, its `source` and "
        "the `origin` it was read from: name them where a text is shown or passed on."
        if facts.form == "extended"
        else "The extended form of this export (`backprompt export --format extended`) names the `license`, `url`, "
        "`source` and `origin` of every text. Who passes texts on that must be attributed needs it."
    )
    return f"## How to attribute\n\n{how}\n\nCite MURI for the method: Köksal et al. 2024, arXiv:2409.12958."


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> str:
    marks = ["---:" if each == "r" else "---" for each in align]
    lines = [header, marks, *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _link(key: str, each: License) -> str:
    return f"[{key}]({each.url})" if each.url else key


def _shortened(items: Sequence[str], most: int, between: str = ", ") -> str:
    return between.join(items[:most]) + (f" and {len(items) - most} more" if len(items) > most else "")


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
