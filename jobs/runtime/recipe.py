"""Recipes: ``conf/*.yaml``, checked before anything runs.

A recipe names the corpora, the stages in their order and every setting that differs from its default. Every mistake is
reported with its file, line and key, and what is allowed there. A recipe may say only what differs from another one
(``extends``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, cast

from pydantic import Field, ValidationError, create_model
from pydantic_core import ErrorDetails

from jobs.runtime.conf import cleaning_lists, conf_root, language_table, read_conf, screening_lists, word_lists
from jobs.runtime.errors import BackpromptError
from jobs.runtime.evaluation_sets import content_hash, read_index
from jobs.runtime.recipe_file import RecipeFile, find_recipe, read_recipe_file
from jobs.runtime.schema import FORMAT_VERSION, record
from jobs.sources import AnySource
from jobs.sources.base import PairSourceSettings
from jobs.stages import STAGES
from jobs.stages.base import Resources, Stage, StageSettings
from jobs.stages.decontaminate import DecontaminateSettings
from jobs.stages.engines import RecipeTranslator
from udfs.settings import HIDDEN, Settings

LAST: Final = "pairs"
FIRST: Final = "documents"
GROUP: Final = "group"

_Stages: Any = create_model(
    "_Stages",
    __base__=Settings,
    **cast(Any, {name: (stage.settings | None, None) for name, stage in STAGES.items()}),
)


class Recipe(Settings):
    """What to make pairs from, and how."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    """Name of the recipe, on every row of ``runs`` and in the folder of its checkpoints."""
    description: str = ""
    """One line for ``backprompt recipes``."""
    seed: int = 0
    """Seed of sampling, wording and splits."""
    pivot: str = "eng_Latn"
    """GlotLID code of the language instructions are written in."""
    languages: tuple[str, ...] = ()
    """GlotLID codes the run is restricted to; empty: every language the corpora hold."""
    max_documents_per_language: int | None = Field(None, ge=1)
    """At most so many documents a language of all sources together, shared by their weights; what one has too few for
    goes to the others; sources of pairs have no part in it. null: no limit. Spark reads the corpora once more."""
    max_documents: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    """Limits of single languages, by GlotLID code, instead of max_documents_per_language."""
    sources: tuple[AnySource, ...] = Field(min_length=1)
    """The corpora."""
    stages: _Stages
    """The stages in their order, each with its settings."""
    rows_per_file: int = Field(5_000, ge=1)
    """Most rows a file of the tables holds; with a stage's max_files_per_batch it bounds a batch."""
    stand_in: str = ""
    """A sentence printed with every summary, for recipes whose engines do not make training-grade rows."""
    path: str = ""

    @property
    def is_shared(self) -> bool:
        """Say whether the sources share limits."""
        return self.max_documents_per_language is not None or bool(self.max_documents)

    def document_limit(self, language: str) -> int | None:
        """Return how many documents of a language all sources together may give; None: any number."""
        return self.max_documents.get(language, self.max_documents_per_language)


class LoadedRecipe:
    """A checked recipe: its settings by stage, the columns of each table, and the fingerprints.

    Args:
        recipe: the settings.
        order: names of the stages after ``documents``, in order.
        files: path and text of the recipe's own file and of those that it extends; prompts may lie beside each.
    """

    def __init__(self, recipe: Recipe, order: Sequence[str], files: Mapping[str, str] | None = None) -> None:
        self.recipe = recipe
        self.name = recipe.name
        self.order = (FIRST, *order)
        self.files = dict(files or {})

    def settings(self, stage: str) -> StageSettings:
        """Return the settings of a stage after ``documents``."""
        found: StageSettings = getattr(self.recipe.stages, stage)
        return found

    def stages(self) -> Iterator[tuple[Stage, StageSettings]]:
        """Yield the stages after ``documents`` with their settings."""
        for name in self.order[1:]:
            yield STAGES[name], self.settings(name)

    @property
    def has_documents(self) -> bool:
        """Say whether a source holds documents, not pairs."""
        return not all(isinstance(source, PairSourceSettings) for source in self.recipe.sources)

    def needs_engines(self, stage: Stage) -> bool:
        """Say whether a stage's engines have work: pairs pass the stages before ``screen``."""
        return stage.of_pairs is None or self.has_documents

    def upstream(self, stage: str) -> str:
        """Return the table that a stage reads."""
        return self.order[self.order.index(stage) - 1]

    def schema(self, stage: str) -> Any:
        """Return the columns of a stage's table of documents."""
        before = self.order[1 : self.order.index(stage) + 1]
        return record(STAGES[name].adds for name in before)

    def decisive(self, stage: str) -> dict[str, Any]:
        """Return what decides a stage's result beside its upstream: flat, ``{"min_chars": 200, ...}``."""
        if stage == FIRST:
            common = {"format_version": FORMAT_VERSION, "seed": self.recipe.seed, "pivot": self.recipe.pivot}
            return common | flatten({source.name: source.decisive() for source in self.recipe.sources}, "sources")
        settings = self.settings(stage)
        values = flatten(settings.decisive()) | {"version": STAGES[stage].version}
        for prompt in self._prompts(stage):
            values[f"prompt {prompt}"] = hashlib.sha256(self.read_prompt(prompt).encode()).hexdigest()
        if isinstance(settings, DecontaminateSettings):
            values |= {f"content of {each.name}": content_hash(each) for each in settings.sets}
        return values

    def fingerprint(self, stage: str) -> str:
        """Return the hash of what decides a stage's result, its upstream's fingerprint included.

        Corpora are left out: a recipe gets new ones every month, and a source's rows carry its name.
        """
        own = {key: value for key, value in self.decisive(stage).items() if not key.startswith("sources.")}
        above = self.fingerprint(self.upstream(stage)) if stage != FIRST else ""
        text = json.dumps([stage, own, above], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def resources(self) -> Resources:
        """Return what stages need beyond their settings."""
        languages = language_table()
        pivot = self.recipe.pivot
        # Of each translator, what it brings to the pivot or from it.
        offered = [
            translator.covered(languages, pivot, into_pivot=True)
            | translator.covered(languages, pivot, into_pivot=False)
            for stage, settings in self.stages()
            if self.needs_engines(stage)
            for name in stage.engines
            if hasattr(engine := getattr(settings, name), "supports")
            for translator in [RecipeTranslator.bound(engine, languages)]
        ]
        wanted = self.recipe.languages or tuple(languages)
        candidates = {code for code in wanted if all(code in codes for codes in offered)}
        return Resources(
            languages=languages,
            pivot=pivot,
            seed=self.recipe.seed,
            candidates=tuple(sorted(candidates | {pivot})),
            word_lists=word_lists(),
            cleaning=cleaning_lists(),
            screening=screening_lists(),
            prompts=self.prompts(),
            evaluation_sets=next(
                (read_index(each, pivot) for _, each in self.stages() if isinstance(each, DecontaminateSettings)), None
            ),
        )

    def prompts(self) -> dict[str, str]:
        """Return the texts of the stages' prompts, by the names that the recipe gives them."""
        return {name: self.read_prompt(name) for stage, _ in self.stages() for name in self._prompts(stage.name)}

    def _prompts(self, stage: str) -> list[str]:
        engines = (getattr(self.settings(stage), name) for name in STAGES[stage].engines)
        return [prompt for engine in engines if (prompt := getattr(engine, "prompt", None))]

    def read_prompt(self, name: str) -> str:
        """Return a prompt: a file beside the recipe, or one of ``conf/prompts``.

        Raises:
            BackpromptError: if there is none of that name.
        """
        for file in (Path(path).parent / name for path in self.files):
            if file.is_file():
                return file.read_text(encoding="utf-8")
        try:
            return read_conf(f"prompts/{name.removesuffix('.txt')}.txt")
        except FileNotFoundError as error:
            raise BackpromptError(
                f"{self.recipe.path}: prompt {name!r} is neither a file beside the recipe nor in conf/prompts"
            ) from error


def packaged_recipes() -> dict[str, Recipe]:
    """Return the recipes of ``conf/`` by name."""
    found = {}
    for file in sorted(conf_root().iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".yaml"):
            recipe = parse_recipe(file.read_text(encoding="utf-8"), str(file))
            found[recipe.name] = recipe.recipe
    return found


def load_recipe(reference: str) -> LoadedRecipe:
    """Read and check a recipe.

    Args:
        reference: a file, or the name of a recipe in ``conf/``. Relative paths in a recipe are relative to its file.

    Raises:
        BackpromptError: if it is not there or not right; all problems at once, each with line and key.
    """
    file = find_recipe(reference)
    if file is None:
        raise BackpromptError(
            f"There is no recipe {reference!r}: neither a file nor a name of 'backprompt recipes'. "
            "Write --recipe FILE.yaml"
        )
    return parse_recipe(file.read_text(encoding="utf-8"), str(file))


def parse_recipe(text: str, path: str) -> LoadedRecipe:
    """Check the text of a recipe; see `load_recipe`."""
    file = read_recipe_file(text, path, _source_name, tuple(STAGES))
    data = file.data
    stages = data.get("stages")
    if isinstance(stages, dict):  # `clean:` alone means all defaults
        data["stages"] = {key: {} if value is None else value for key, value in stages.items()}
    try:
        recipe = Recipe.model_validate(data | {"path": path})
    except ValidationError as error:
        raise BackpromptError("\n".join(_explain(problem, file) for problem in error.errors())) from error
    recipe = recipe.model_copy(update={"sources": _resolved(recipe.sources, file, ("sources",))})
    if (decontaminate := _decontaminate(recipe)) is not None:
        sets = _resolved(decontaminate.sets, file, ("stages", "decontaminate", "sets"))
        stages = recipe.stages.model_copy(update={"decontaminate": decontaminate.model_copy(update={"sets": sets})})
        recipe = recipe.model_copy(update={"stages": stages})
    loaded = LoadedRecipe(recipe, list(data["stages"]), file.texts)
    _check_order(loaded, file)
    _check_names(loaded, file)
    return loaded


def _source_name(name: str | None, kind: str | None) -> str | None:
    return name or next(
        (
            str(model.model_fields["name"].default)
            for model in models_of(AnySource)
            if model.model_fields["kind"].default == kind
        ),
        None,
    )


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one, with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}.{key}" if prefix else key
        flat |= flatten(value, name) if isinstance(value, Mapping) and value else {name: value}
    return flat


def _decontaminate(recipe: Recipe) -> DecontaminateSettings | None:
    found: DecontaminateSettings | None = getattr(recipe.stages, "decontaminate", None)
    return found


def _resolved(settings: Sequence[Any], file: RecipeFile, keys: tuple[str, ...]) -> tuple[Any, ...]:
    """Return settings with their paths made absolute, each from the file that it is written in."""
    return tuple(_with_path(each, file.folder((*keys, at, "path"))) for at, each in enumerate(settings))


def _with_path(source: Any, folder: Path) -> Any:
    if "://" in source.path or Path(source.path).is_absolute():
        return source
    # Lexically, so that a link in the lake's path stays what the user wrote.
    joined = folder / source.path
    parts: list[str] = []
    for part in joined.parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return source.model_copy(update={"path": str(Path(*parts))})


def _check_order(recipe: LoadedRecipe, file: RecipeFile) -> None:
    for stage, _ in recipe.stages():
        have = set(recipe.schema(recipe.upstream(stage.name)).fieldNames())
        for column in stage.needs:
            if column not in have:
                maker = next(name for name, other in STAGES.items() if column in other.adds.fieldNames())
                raise BackpromptError(
                    f"{file.place(('stages', stage.name))}: stages.{stage.name} needs column {column}, "
                    f"which stage {maker} makes: put {maker} before {stage.name}"
                )
    if recipe.order[-1] != LAST:
        raise BackpromptError(f"{file.place(('stages',))}: stages must end with {LAST}, not {recipe.order[-1]}")
    if (before := recipe.upstream(LAST)) != GROUP:
        # Of what a later stage rejects, a split would be taken for good.
        raise BackpromptError(
            f"{file.place(('stages', GROUP))}: stages: {before} stands between {GROUP} and {LAST}: "
            f"put {GROUP} directly before {LAST}"
        )


def _check_names(recipe: LoadedRecipe, file: RecipeFile) -> None:
    table = language_table()
    codes: list[tuple[str, int | None, str]] = [("pivot", None, recipe.recipe.pivot)]
    codes += [("languages", at, code) for at, code in enumerate(recipe.recipe.languages)]
    codes += [("max_documents", None, code) for code in recipe.recipe.max_documents]
    decontaminate = _decontaminate(recipe.recipe)
    for each in decontaminate.sets if decontaminate else ():
        if each.language is not None and each.language not in table:
            place, close = file.place(("stages", "decontaminate")), ", ".join(table.closest(each.language))
            raise BackpromptError(
                f"{place}: evaluation set {each.name}: language {each.language!r} is not in conf/languages.csv; "
                f"close to it: {close}"
            )
    for key, at, code in codes:
        if code not in table:
            place = file.place((key,) if at is None else (key, at))
            close = ", ".join(table.closest(code))
            raise BackpromptError(f"{place}: {key}: {code!r} is not in conf/languages.csv; close to it: {close}")
    names = [source.name for source in recipe.recipe.sources]
    for at, name in enumerate(names):
        if name in names[:at]:
            raise BackpromptError(
                f"{file.place(('sources', at))}: two sources are named {name!r}; give one another name"
            )


def _explain(problem: ErrorDetails, file: RecipeFile) -> str:
    location = problem["loc"]
    keys = file.known(location)
    name = ".".join(map(str, keys)) or "recipe"
    place = file.place(keys)
    match problem["type"]:
        case "extra_forbidden":
            allowed = ", ".join(_allowed(location[:-1]))
            return f"{place}: {name}: unknown key. Allowed here: {allowed}"
        case "missing":
            return f"{place}: {'.'.join(map(str, (*keys, location[-1])))}: is missing"
        case "union_tag_invalid":
            context = problem.get("ctx", {})
            return f"{place}: {name}: unknown kind {context.get('tag')!r}. Allowed: {context.get('expected_tags')}"
        case "union_tag_not_found":
            return f"{place}: {name}: the key 'kind' is missing"
        case hidden if hidden == HIDDEN:
            return f"{place}: {name}: {problem['msg']}"
        case _:
            return f"{place}: {name}: {problem['msg']} (it is {problem['input']!r})"


def _allowed(location: Sequence[int | str]) -> list[str]:
    model: Any = Recipe
    for key in location:
        if isinstance(key, int):
            continue
        model = _model_at(model, key)
    return sorted(set(model.model_fields) - {"path"} if model is Recipe else model.model_fields)


def _model_at(model: Any, key: str) -> Any:
    """Return the settings model behind a field, or the member of a union that has the tag ``key``."""
    candidates = models_of(model.model_fields[key].annotation) if key in getattr(model, "model_fields", {}) else []
    if isinstance(model, list):
        candidates = [each for each in model if each.model_fields["kind"].default == key]
    return candidates[0] if len(candidates) == 1 else candidates


def models_of(annotation: Any) -> list[type[Settings]]:
    """Return the settings models that an annotation names, through unions and sequences."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in models_of(part)]
