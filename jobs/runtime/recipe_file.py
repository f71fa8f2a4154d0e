"""The YAML of a recipe: where each key stands, and a recipe that says only what differs from another one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final, TypeAlias

import yaml

from jobs.runtime.conf import conf_root
from jobs.runtime.errors import BackpromptError

EXTENDS: Final = "extends"
_KIND: Final = "kind"
_SOURCES: Final = "sources"
_STAGES: Final = "stages"
_NULL: Final = "tag:yaml.org,2002:null"

NameOf: TypeAlias = Callable[[str | None, str | None], str | None]
"""Name of a source, from its keys ``name`` and ``kind``."""


@dataclass(frozen=True, slots=True)
class RecipeFile:
    """A recipe as it was read, with what it takes from others put in."""

    data: Any
    """Its values; a mapping, if it is a recipe at all."""
    root: Any
    """Its nodes, each of which knows its file and line."""
    texts: Mapping[str, str]
    """By path: its own file, then the one that it extends, and so on."""

    def place(self, keys: Sequence[int | str]) -> str:
        """Return ``FILE, line N`` of the last of ``keys`` that is written down."""
        node, mark = self.root, self.root.start_mark
        for key in keys:
            if isinstance(node, yaml.MappingNode):
                mark = next((name.start_mark for name, _ in node.value if name.value == key), mark)
            node = _child(node, key)
            if isinstance(key, int) and node is not None:
                mark = node.start_mark
        return f"{mark.name}, line {mark.line + 1 if keys else 1}"

    def known(self, location: Sequence[int | str]) -> tuple[int | str, ...]:
        """Return the keys of ``location`` that are written down: pydantic mixes in the tags of unions."""
        keys: list[int | str] = []
        node = self.root
        for key in location:
            child = _child(node, key)
            if child is not None:
                keys.append(key)
                node = child
        return tuple(keys)

    def folder(self, keys: Sequence[int | str]) -> Path:
        """Return the folder of the file in which the value of ``keys`` is written; of the recipe, if it is in none."""
        node = self.root
        for key in keys:
            node = _child(node, key)
        return Path(next(iter(self.texts)) if node is None else node.start_mark.name).absolute().parent


def find_recipe(reference: str, beside: Path = Path()) -> Path | Traversable | None:
    """Return the file of a recipe: a path, relative to the folder ``beside``, or a name in ``conf/``; None if none."""
    file = beside / reference
    if file.is_file():
        return file
    packaged = conf_root() / f"{reference.removesuffix('.yaml')}.yaml"
    return packaged if "/" not in reference and packaged.is_file() else None


def read_recipe_file(text: str, path: str, name_of: NameOf, stages: Sequence[str] = ()) -> RecipeFile:
    """Read the text of a recipe and put into it what it takes from the recipe that it extends.

    Mappings are merged key by key, and what the recipe itself says wins; a mapping whose ``kind`` is another one, a
    list, and a key without a value replace what was there. A stage that is new stands before the one that follows it
    here; the last one here, where it usually stands. ``sources`` may be a mapping by name instead of a list: it changes
    single sources, takes out those without a value, and adds those that have a ``kind``.

    Args:
        text: the file's content.
        path: what the file is called in messages; what it extends is looked for in its folder.
        name_of: see NameOf.
        stages: all that there are, in their usual order.

    Raises:
        BackpromptError: if it is not YAML, has a key twice, extends no recipe or itself, or changes a source that is
            not there.
    """
    root, texts = _read(text, path, _Merging(name_of, stages), {})
    loader = yaml.SafeLoader("")
    return RecipeFile(loader.construct_document(root), root, texts)


@dataclass(frozen=True, slots=True)
class _Merging:
    """How recipes are merged; see read_recipe_file."""

    name_of: NameOf
    stages: Sequence[str]


def _read(text: str, path: str, how: _Merging, below: Mapping[str, str]) -> tuple[Any, Mapping[str, str]]:
    root = _compose(text, path)
    texts = {**below, path: text}
    reference = _child(root, EXTENDS)
    if reference is None:
        return root, texts
    place = f"{path}, line {reference.start_mark.line + 1}"
    if not isinstance(reference, yaml.ScalarNode):
        raise BackpromptError(f"{place}: {EXTENDS}: write one recipe: a file, or a name of 'backprompt recipes'")
    file = find_recipe(str(reference.value), Path(path).parent)
    if file is None:
        raise BackpromptError(
            f"{place}: {EXTENDS}: there is no recipe {reference.value!r}: neither a file beside this one nor a name of "
            "'backprompt recipes'"
        )
    if str(file) in texts:
        raise BackpromptError(f"{place}: {EXTENDS}: {' extends '.join([*texts, str(file)])}")
    base, all_texts = _read(file.read_text(encoding="utf-8"), str(file), how, texts)
    own = [(key, value) for key, value in root.value if key.value != EXTENDS]
    merged = _merged(base, _mapping(root, own), how, is_recipe=True)
    return merged, all_texts


def _compose(text: str, path: str) -> Any:
    try:
        loader = yaml.SafeLoader(text)
        loader.name = path  # what every node's mark calls its file
        root = loader.get_single_node()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise BackpromptError(f"{path}{line}: not valid YAML: {getattr(error, 'problem', error)}") from error
    if not isinstance(root, yaml.MappingNode):
        raise BackpromptError(f"{path}: a recipe is a mapping with the keys name, sources and stages")
    _refuse_doubled_keys(root, path)
    return root


def _merged(base: Any, own: Any, how: _Merging, is_recipe: bool = False, usual: Sequence[str] = ()) -> Any:
    if not (isinstance(base, yaml.MappingNode) and isinstance(own, yaml.MappingNode)) or _is_other_kind(base, own):
        return own
    entries = {key.value: (key, value) for key, value in base.value}
    for key, value in own.value:
        _, before = entries.get(key.value, (key, None))
        if is_recipe and key.value == _SOURCES and isinstance(before, yaml.SequenceNode):
            entries[key.value] = key, _merged_sources(before, value, how)
        else:
            nested = how.stages if is_recipe and key.value == _STAGES else ()
            entries[key.value] = key, _merged(before, value, how, usual=nested)
    return _mapping(own, [entries[key] for key in _order([key.value for key, _ in base.value], own, usual)])


def _order(keys: list[str], own: yaml.MappingNode, usual: Sequence[str]) -> list[str]:
    """Return all keys, a new one before that of the others which follows it here, or else in the usual order."""
    order = list(keys)
    at = None
    for key, _ in reversed(own.value):
        name = key.value
        if name not in order:
            later = usual[usual.index(name) :] if name in usual and at is None else ()
            place = next((order.index(each) for each in order if each in later), len(order)) if at is None else at
            order.insert(place, name)
        at = order.index(name)
    return order


def _merged_sources(base: yaml.SequenceNode, own: Any, how: _Merging) -> Any:
    if not isinstance(own, yaml.MappingNode):
        return own
    sources = {how.name_of(_text(each, "name"), _text(each, _KIND)): each for each in base.value}
    for key, value in own.value:
        if key.value not in sources and _text(value, _KIND) is None:
            raise BackpromptError(
                f"{key.start_mark.name}, line {key.start_mark.line + 1}: {_SOURCES}.{key.value}: the recipe that this "
                f"one extends has no such source, only {', '.join(map(str, sources))}; to add one, give its kind"
            )
        if value.tag == _NULL:
            del sources[key.value]
        elif key.value in sources:
            sources[key.value] = _merged(sources[key.value], value, how)
        else:
            name = yaml.ScalarNode("tag:yaml.org,2002:str", "name", key.start_mark, key.end_mark)
            sources[key.value] = _mapping(value, [(name, key), *value.value])
    return yaml.SequenceNode(base.tag, list(sources.values()), own.start_mark, own.end_mark)


def _is_other_kind(base: yaml.MappingNode, own: yaml.MappingNode) -> bool:
    kind = _text(own, _KIND)
    return kind is not None and kind != _text(base, _KIND)


def _mapping(like: yaml.MappingNode, entries: list[tuple[Any, Any]]) -> yaml.MappingNode:
    return yaml.MappingNode(like.tag, entries, like.start_mark, like.end_mark)


def _text(node: Any, key: str) -> str | None:
    value = _child(node, key)
    return str(value.value) if isinstance(value, yaml.ScalarNode) else None


def _child(node: Any, key: int | str) -> Any:
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        return node.value[key]
    if isinstance(node, yaml.MappingNode):
        return next((value for name, value in node.value if name.value == key), None)
    return None


def _refuse_doubled_keys(node: Any, path: str) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                raise BackpromptError(f"{path}, line {key.start_mark.line + 1}: key {key.value!r} stands twice")
            seen.add(key.value)
            _refuse_doubled_keys(value, path)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_doubled_keys(item, path)
