"""What the engines for encoder-decoder translation models share: languages, pieces, segments, batches, repair.

Three families cover the models of the papers. ``t5``: MADLAD-400, a T5 v1.1 whose source begins with ``<2xx>``, the
target's tag (Kudugunta et al. 2023). ``m2m_100``: NLLB-200 and M2M-100, source code in front of the source, target code
forced as the first output token (NLLB Team 2022). ``marian``: OPUS-MT, one pair a model, or ``>>xxx<<`` in front of the
source where there are several targets (Tiedemann and Thottingal 2020).

Texts become pieces by the model's own SentencePiece file where there is one: it is what the model was trained with,
knows byte pieces, and takes ``</s>`` in a document for text.
"""

from __future__ import annotations

import importlib
import json
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Protocol

from pydantic import BeforeValidator, Field, model_validator

from udfs.engines import Answer, EngineUnavailable
from udfs.languages import Scheme
from udfs.rates import EngineSettings
from udfs.segments import Segmented, segment_all
from udfs.settings import OPERATIONAL, Settings
from udfs.token_batches import pack
from udfs.translation_health import Health, combine, measure

Family = Literal["t5", "m2m_100", "marian"]
FAMILIES: Final[tuple[Family, ...]] = ("t5", "m2m_100", "marian")
END: Final = "</s>"

_MODEL_TYPES: Final[dict[str, Family]] = {
    "t5": "t5",
    "mt5": "t5",
    "umt5": "t5",
    "m2m_100": "m2m_100",
    "marian": "marian",
}
# A folder that CTranslate2 has converted says nothing of its family but by its tokenizer.
_TOKENIZERS: Final[dict[str, Family]] = {
    "T5Tokenizer": "t5",
    "MT5Tokenizer": "t5",
    "NllbTokenizer": "m2m_100",
    "M2M100Tokenizer": "m2m_100",
    "MarianTokenizer": "marian",
}
# The column of conf/languages.csv with the codes that a family's best-known models write.
_SCHEMES: Final[dict[Family, Scheme]] = {"t5": "madlad", "m2m_100": "nllb", "marian": "language"}
_SOURCE_FILES: Final = ("spiece.model", "sentencepiece.model", "sentencepiece.bpe.model", "source.spm")
TOKENIZER_FILES: Final = (
    *_SOURCE_FILES,
    "target.spm",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
)
# Pieces that are no text: control tokens, tags of languages, T5's sentinels, the fill of odd vocabularies.
_TAG: Final = re.compile(r">>\w+<<")
_CONTROL: Final = re.compile(
    r"<(?:s|/s|pad|unk|mask|2\w+|extra_id_\d+)>|>>\w+<<|__\w+__|[a-z]{3}_[A-Z][a-z]{3}|madeupword\d+"
)
# Tokens that a short segment may become beside what the ratio gives it: one word is easily six pieces.
_SPARE_TOKENS: Final = 16
_ERROR_CHARS: Final = 300


def _pairs(value: Any) -> Any:
    return tuple(sorted(value.items())) if isinstance(value, Mapping) else value


Codes = Annotated[tuple[tuple[str, str], ...], BeforeValidator(_pairs)]


class DecodingSettings(Settings):
    """How the next token is chosen, and when a translation is too long."""

    strategy: Literal["greedy", "beam", "sampling"] = "greedy"
    """``greedy``: the likeliest token each time. ``beam``: the likeliest of ``beam_size`` sequences, some three times
    the work. ``sampling``: by chance, as MURI does (with top_p 1)."""
    beam_size: int = Field(4, ge=1, le=32)
    """Sequences kept, for ``beam``."""
    length_penalty: float = 1.0
    """Above 0 longer sequences are preferred, for ``beam``: scores are divided by the length to this power."""
    top_p: float = Field(1.0, gt=0, le=1)
    """For ``sampling``: choose among the likeliest tokens that together have this probability."""
    top_k: int = Field(0, ge=0)
    """For ``sampling``: choose among so many of the likeliest tokens; 0: all."""
    temperature: float = Field(1.0, gt=0)
    """For ``sampling``: below 1 likely tokens become likelier."""
    seed: int = Field(0, ge=0, lt=2**31)
    """For ``sampling``. transformers: the same batch of texts gives the same translations. CTranslate2: the random
    numbers of a Python worker begin with it, and go on from batch to batch."""
    repetition_penalty: float = Field(1.0, ge=1)
    """Above 1, tokens that stand in the output already lose probability."""
    no_repeat_ngram_size: int = Field(0, ge=0)
    """No sequence of so many tokens comes twice in a segment; 0: any may."""
    max_output_ratio: float = Field(3.0, gt=0)
    """Most tokens of a segment's translation for each of its own, and 16 more; what is cut is counted as truncated."""
    max_output_tokens: int = Field(448, ge=1)
    """Most tokens of a segment's translation in any case; below the positions that the model has (Marian: 512)."""

    def limit(self, source_tokens: int) -> int:
        """Return the most tokens that a segment of so many may become, its end token not counted."""
        return min(self.max_output_tokens, math.ceil(self.max_output_ratio * source_tokens) + _SPARE_TOKENS)


class Seq2SeqSettings(EngineSettings):
    """Settings of every engine for encoder-decoder models."""

    model: str
    """Folder of the model, or its name on the Hugging Face hub, such as ``google/madlad400-3b-mt``."""
    revision: str | None = None
    """Commit, tag or branch of a model on the hub; name a commit, so that the model stays the same."""
    tokenizer: str | None = None
    """Folder or hub name that the tokenizer's files are taken from; unset: the model's own."""
    family: Literal["auto", "t5", "m2m_100", "marian"] = "auto"
    """``t5`` for MADLAD-400, ``m2m_100`` for NLLB-200 and M2M-100, ``marian`` for OPUS-MT; ``auto`` reads it from the
    model's files."""
    language_codes: Codes = ()
    """The model's own code for languages by ours, ``{srp_Latn: sr_Latn}``, where the table has none or another."""
    sources: tuple[str, ...] | None = None
    """Languages that the model translates from; unset: all that it has a code for. Marian models must have it set."""
    targets: tuple[str, ...] | None = None
    """Languages that the model translates into; the same."""
    max_segment_tokens: int = Field(200, ge=16)
    """Most tokens that go through the model as one segment, tags not counted; longer texts are cut at sentences and put
    together again. Quality falls before the model's limit is reached: for NLLB from about 200 tokens on."""
    decoding: DecodingSettings = DecodingSettings()
    """How translations are searched for."""
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", json_schema_extra=OPERATIONAL)
    """``auto``: the GPU that Spark gave the task, else the first, else the CPU; or ``cpu``, ``cuda``, ``cuda:1``."""
    batch_tokens: int | None = Field(None, ge=1, json_schema_extra=OPERATIONAL)
    """Source tokens of a batch, padding included; unset: 2048 on a CPU, 16384 on a GPU. Halved where memory ends."""
    batch_segments: int = Field(512, ge=1, json_schema_extra=OPERATIONAL)
    """Most segments of a batch."""

    @model_validator(mode="after")
    def _limits_fit(self) -> Seq2SeqSettings:
        if self.decoding.max_output_tokens < self.max_segment_tokens:
            raise ValueError(
                f"decoding.max_output_tokens is {self.decoding.max_output_tokens}, below max_segment_tokens "
                f"({self.max_segment_tokens}): translations would be cut"
            )
        return self

    def scheme(self) -> Scheme:
        """Return the column of the language table whose codes ``supports`` and ``open`` want.

        Raises:
            EngineUnavailable: if the family has to be read from the model's files and they are not there.
        """
        return _SCHEMES[self.resolved_family()]

    def resolved_family(self) -> Family:
        """Return the family, read from the model's files if it is ``auto``."""
        if self.family != "auto":
            return self.family
        name = self.model.rstrip("/").rpartition("/")[2].lower()
        for word, family in (("madlad", "t5"), ("nllb", "m2m_100"), ("opus-mt", "marian")):
            if word in name:
                return family  # type: ignore[return-value]
        return read_family(self.model, self.revision, self.tokenizer)

    def codes(self, codes: Mapping[str, str]) -> dict[str, str]:
        """Return ``codes`` with the settings' own."""
        return {**codes, **dict(self.language_codes)}

    def supports(self, source: str, target: str, codes: Mapping[str, str]) -> bool:
        """Tell whether a direction is offered.

        Args:
            source: GlotLID code.
            target: GlotLID code.
            codes: the column ``scheme()`` of the language table, the model's code by GlotLID code.
        """
        known = self.codes(codes)
        return (
            source != target
            and (source in self.sources if self.sources is not None else source in known)
            and (target in self.targets if self.targets is not None else target in known)
        )

    def check_languages(self, pairs: Sequence[tuple[str, str]], codes: Mapping[str, str]) -> Codec:
        """See that the tokenizer is there and every direction is one of the model's; return its codec.

        Raises:
            EngineUnavailable: a file is missing, or the model has no such direction.
        """
        family = self.resolved_family()
        if family == "marian" and (self.sources is None or self.targets is None):
            raise EngineUnavailable(
                f"Say which languages {self.model} knows: a Marian model needs `sources` and `targets`, lists of codes "
                "such as spa_Latn."
            )
        codec = open_codec(family, self.tokenizer_folder(), self.codes(codes))
        for source, target in pairs:
            if not self.supports(source, target, codes):
                raise EngineUnavailable(
                    f"{self.model} does not translate {source} to {target}: a code is missing in the column "
                    f"{self.scheme()} of conf/languages.csv, in `language_codes`, `sources` or `targets`."
                )
            try:
                codec.source((), source, target)
                codec.forced(target)
            except UnknownLanguageTag as error:
                raise EngineUnavailable(f"{self.model}: {error}. Correct it with `language_codes`.") from error
        return codec

    def tokenizer_folder(self) -> Path:
        """Return where the tokenizer's files lie, fetched from the hub if need be."""
        if self.tokenizer is not None:
            return local_folder(self.tokenizer, None, TOKENIZER_FILES)
        return local_folder(self.model, self.revision, TOKENIZER_FILES)


class UnknownLanguageTag(ValueError):
    """The model's vocabulary has no tag for a language."""


class PieceCoder(Protocol):
    """Turns text into the model's pieces and back."""

    def encode(self, texts: Sequence[str]) -> list[list[str]]:
        """Return the pieces of each text, without control tokens."""
        ...

    def decode(self, pieces: Sequence[str]) -> str:
        """Return the text of pieces that are no control tokens."""
        ...

    def __contains__(self, piece: str) -> bool: ...


class SentencePieceCoder:
    """The model's SentencePiece files; Marian has one for each side."""

    def __init__(self, source: Path, target: Path, extra: Collection[str]) -> None:
        sentencepiece = require("sentencepiece", "ctranslate2")
        self._source = sentencepiece.SentencePieceProcessor(model_file=str(source))
        self._target = sentencepiece.SentencePieceProcessor(model_file=str(target))
        self._extra = frozenset(extra)

    def encode(self, texts: Sequence[str]) -> list[list[str]]:
        """Return the pieces of each text."""
        pieces: list[list[str]] = self._source.encode(list(texts), out_type=str)
        return pieces

    def decode(self, pieces: Sequence[str]) -> str:
        """Return the text of pieces; those it does not know stand as they are."""
        return str(self._target.decode(list(pieces)))

    def __contains__(self, piece: str) -> bool:
        return piece in self._extra or self._source.id_to_piece(self._source.piece_to_id(piece)) == piece


class JsonCoder:
    """A model that comes with ``tokenizer.json`` alone, as transformers 5 saves it."""

    def __init__(self, file: Path) -> None:
        self._tokenizer = require("tokenizers", "transformers").Tokenizer.from_file(str(file))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        # Else "</s>" in a document would be the end of it.
        self._tokenizer.encode_special_tokens = True

    def encode(self, texts: Sequence[str]) -> list[list[str]]:
        """Return the pieces of each text."""
        return [each.tokens for each in self._tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    def decode(self, pieces: Sequence[str]) -> str:
        """Return the text of pieces."""
        return str(self._tokenizer.decoder.decode(list(pieces)))

    def __contains__(self, piece: str) -> bool:
        return self._tokenizer.token_to_id(piece) is not None


@dataclass(frozen=True)
class Codec:
    """A family's way of writing a request to the model and of reading its answer, in pieces."""

    family: Family
    pieces: PieceCoder
    codes: Mapping[str, str]
    """The model's code by GlotLID code."""
    is_tagged: bool = True
    """Whether the source names the target; of the families, only a Marian model of one target does without."""

    def source(self, pieces: Sequence[str], source: str, target: str) -> list[str]:
        """Return all that the encoder gets.

        Raises:
            UnknownLanguageTag: if the model has no tag for one of the languages.
        """
        if self.family == "m2m_100":
            return [self._language_token(source), *pieces, END]
        tag = self._target_tag(target)
        return [*tag, *pieces, END]

    def forced(self, target: str) -> list[str]:
        """Return the tokens that the output must begin with.

        Raises:
            UnknownLanguageTag: if the model has none for the language.
        """
        return [self._language_token(target)] if self.family == "m2m_100" else []

    def text(self, pieces: Sequence[str]) -> str:
        """Return the text of an output, tags and control tokens left out."""
        return self.pieces.decode([piece for piece in pieces if not _is_control(piece)]).strip()

    def _language_token(self, language: str) -> str:
        """Return NLLB's token (``spa_Latn``) or M2M-100's (``__es__``)."""
        code = self.codes.get(language, language)
        return self._first_known((code, f"__{code}__"), language)

    def _target_tag(self, language: str) -> list[str]:
        code = self.codes.get(language, language)
        if not self.is_tagged:
            return []
        if self.family == "t5":
            tag = self._first_known((f"<2{code}>",), language)
            # The mark of a word's beginning may stand before it, as it did in training.
            pieces = self.pieces.encode([tag])[0]
            return pieces if any(tag in piece for piece in pieces) else [tag]
        return [self._first_known((f">>{code}<<", f">>{code.partition('_')[0]}<<"), language)]

    def _first_known(self, tokens: Sequence[str], language: str) -> str:
        for token in tokens:
            if token in self.pieces:
                return token
        raise UnknownLanguageTag(f"the model has no {' or '.join(tokens)} for {language}")


def open_codec(family: Family, folder: Path, codes: Mapping[str, str]) -> Codec:
    """Return the codec of a model whose tokenizer lies in ``folder``.

    Raises:
        EngineUnavailable: if its files or a package are missing.
    """
    if family == "marian":
        missing = [name for name in ("source.spm", "target.spm", "vocab.json") if not (folder / name).is_file()]
        if missing:
            raise EngineUnavailable(f"{folder} lacks {', '.join(missing)} of a Marian tokenizer. {_TOKENIZER_HINT}")
        vocabulary = _read_json(folder / "vocab.json")
        coder = SentencePieceCoder(folder / "source.spm", folder / "target.spm", vocabulary)
        return Codec(family, coder, codes, any(map(_TAG.fullmatch, vocabulary)))
    extra = _added_tokens(folder)
    for name in _SOURCE_FILES:
        if (folder / name).is_file():
            return Codec(family, SentencePieceCoder(folder / name, folder / name, extra), codes)
    if (folder / "tokenizer.json").is_file():
        return Codec(family, JsonCoder(folder / "tokenizer.json"), codes)
    raise EngineUnavailable(f"There is no tokenizer ({', '.join(_SOURCE_FILES)}) in {folder}. {_TOKENIZER_HINT}")


_TOKENIZER_HINT: Final = (
    "Write `tokenizer: NAME` in the recipe, the folder or hub name of the model that this one was made from."
)


def _added_tokens(folder: Path) -> set[str]:
    """Return the tokens that stand beside the SentencePiece model, wherever this version of the files lists them."""
    found: set[str] = set()
    for name in ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "tokenizer.json"):
        # The last is large, and repeats what the others say.
        data = _read_json(folder / name) if not found or name != "tokenizer.json" else {}
        if name == "added_tokens.json":
            found.update(data)
        for key in ("additional_special_tokens", "extra_special_tokens"):
            listed = data.get(key) or ()
            found.update(_content(each) for each in (listed.values() if isinstance(listed, dict) else listed))
        found.update(_content(each) for each in (data.get("added_tokens_decoder") or {}).values())
        if isinstance(added := data.get("added_tokens"), list):
            found.update(_content(each) for each in added)
    # CTranslate2 keeps all that a converted model can read and write.
    for name in ("shared_vocabulary.json", "source_vocabulary.json"):
        if (folder / name).is_file():
            found.update(json.loads((folder / name).read_text(encoding="utf-8")))
    return found


def _content(token: Any) -> str:
    return str(token["content"] if isinstance(token, dict) else token)


@lru_cache(maxsize=2**17)
def _is_control(piece: str) -> bool:
    return _CONTROL.fullmatch(piece) is not None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


@lru_cache(maxsize=32)
def read_family(model: str, revision: str | None, tokenizer: str | None) -> Family:
    """Return a model's family by its ``config.json``, or by the tokenizer of a converted one.

    Raises:
        EngineUnavailable: if the files are not there, or name no family that is known here.
    """
    named = []
    for name, commit in ((model, revision), *(((tokenizer, None),) if tokenizer else ())):
        folder = local_folder(name, commit, ("config.json", "tokenizer_config.json"))
        kind = _read_json(folder / "config.json").get("model_type")
        of_tokenizer = str(_read_json(folder / "tokenizer_config.json").get("tokenizer_class", ""))
        named += [str(each) for each in (kind, of_tokenizer) if each]
        family = _MODEL_TYPES.get(str(kind)) or _TOKENIZERS.get(of_tokenizer.removesuffix("Fast"))
        if family:
            return family
    says = f" (it says {', '.join(named)})" if named else ""
    raise EngineUnavailable(
        f"{model} is of no family known here{says}. Write `family:` {', '.join(FAMILIES)} if it is one of them."
    )


def local_folder(model: str, revision: str | None, patterns: Sequence[str]) -> Path:
    """Return a model's folder on this machine; what matches ``patterns`` is fetched from the hub if it is not there.

    Raises:
        EngineUnavailable: if there is no such folder, or the hub cannot be reached or has no such model.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if model.startswith(("/", "~", ".")) or model.count("/") != 1:
        raise EngineUnavailable(f"There is no folder {model}. Name the model's folder, or owner/name of the hub.")
    hub = require("huggingface_hub", "ctranslate2")
    try:
        return Path(hub.snapshot_download(model, revision=revision, allow_patterns=list(patterns)))
    except Exception as error:
        # Of a dozen kinds, from the network's to the hub's, and all mean the same here.
        reason = str(error).strip().split("\n", 1)[0][:_ERROR_CHARS]
        raise EngineUnavailable(
            f"The model {model} is neither a folder nor in the cache, and the hub did not give it: {reason}\n"
            f"Fetch it where there is a network (hf download {model}) and name the folder in the recipe."
        ) from error


def fetch_model(model: str, revision: str | None) -> Path:
    """Return a model's folder on this machine with its weights, fetched from the hub if need be.

    Raises:
        EngineUnavailable: as ``local_folder``.
    """
    if Path(model).expanduser().is_dir():
        return local_folder(model, revision, ())
    files = [*TOKENIZER_FILES, "config.json", "generation_config.json", "*_vocabulary.json"]
    return local_folder(model, revision, [*files, *_weights_on_hub(model, revision)])


def _weights_on_hub(model: str, revision: str | None) -> list[str]:
    """Return the patterns of one format of a model's weights; most are on the hub in several."""
    formats = (["*.safetensors", "*.safetensors.index.json"], ["pytorch_model*.bin*"], ["model.bin"])
    try:
        names = require("huggingface_hub", "ctranslate2").HfApi().list_repo_files(model, revision=revision)
    except EngineUnavailable:
        raise
    except Exception:
        # No network: what the cache has decides.
        return [pattern for patterns in formats for pattern in patterns]
    return next((each for each in formats if any(fnmatch(name, each[0]) for name in names)), formats[0])


def require(module: str, extra: str) -> Any:
    """Import a package that only some engines need.

    Raises:
        EngineUnavailable: naming the extra to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise EngineUnavailable(
            f"The package {error.name or module} is not installed: pip install 'backprompt[{extra}]'"
        ) from error


@dataclass(frozen=True, slots=True)
class Request:
    """One segment for the model, in pieces."""

    source: tuple[str, ...]
    forced: tuple[str, ...]
    limit: int
    """Most pieces of the output, the forced ones and the end token not counted."""


@dataclass(frozen=True, slots=True)
class Output:
    """What the model made of one segment: pieces without forced tokens and end, and whether it ended by itself."""

    pieces: Sequence[str]
    ended: bool


class Seq2SeqTranslator(ABC):
    """Translates texts of any length and mixed directions; the model itself is the subclass's.

    Segments of all texts go through the model together: each distinct one once, sorted by length, packed by tokens.
    A batch that fails is halved until what fails is one segment, whose texts alone get an error.
    """

    def __init__(self, settings: Seq2SeqSettings, codec: Codec, name: str, batch_tokens: int) -> None:
        self.settings = settings
        self.codec = codec
        self._name = name
        self.batch_tokens = settings.batch_tokens or batch_tokens
        self._pieces: dict[str, list[str]] = {}
        self.has_forced_lengths = False
        """Whether every segment of a batch is made as long as the batch's limit; benchmarks compare like lengths."""

    def label(self, source: str, target: str) -> str:  # noqa: ARG002 - one model for all directions
        """Return kind, version, model and numbers: ``ctranslate2-4.8.5:google/madlad400-3b-mt:int8``."""
        return self._name

    @abstractmethod
    def generate(self, batch: Sequence[Request]) -> list[Output]:
        """Translate one batch; same length, same order. Any exception means that the batch failed.

        Outputs may be longer than their own limit, where another's of the batch is higher.
        """

    @abstractmethod
    def close(self) -> None:
        """Free the weights; the engine cannot be used any more."""

    def start(self, batches: Sequence[Sequence[Request]]) -> Iterator[Callable[[], list[Output]]]:
        """Yield for each batch a call that gives its outputs or raises; an engine may begin before it is called."""
        for batch in batches:
            yield lambda batch=batch: self.generate(batch)  # type: ignore[misc]

    def translate(self, texts: Sequence[str], sources: Sequence[str], targets: Sequence[str]) -> list[Answer]:
        """Translate texts of any directions; same length, same order, an error for a text that fails.

        Text without letters comes back as it is. The health of an answer counts the segments of its text.

        Args:
            texts: any texts.
            sources: GlotLID code of each.
            targets: GlotLID code each is wanted in.
        """
        cut = segment_all(texts, sources, self._count, self.settings.max_segment_tokens)
        wanted = [
            (segment, source, target)
            for each, source, target in zip(cut, sources, targets, strict=True)
            for segment in each.segments
        ]
        translated = self._translate_segments(list(dict.fromkeys(wanted)))
        self._pieces.clear()
        return [
            _assemble(each, [translated[segment, source, target] for segment in each.segments], target)
            for each, source, target in zip(cut, sources, targets, strict=True)
        ]

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the model's own tokens of each text, without those added at its ends."""
        return [len(pieces) for pieces in self.codec.pieces.encode(texts)]

    def _count(self, texts: list[str]) -> list[int]:
        return [len(pieces) for pieces in self._encode(texts)]

    def _encode(self, texts: list[str]) -> list[list[str]]:
        """Return pieces; the segments are asked for twice, when they are cut and when they go to the model."""
        new = [text for text in dict.fromkeys(texts) if text not in self._pieces]
        self._pieces.update(zip(new, self.codec.pieces.encode(new), strict=True))
        return [self._pieces[text] for text in texts]

    def _translate_segments(
        self, segments: Sequence[tuple[str, str, str]]
    ) -> dict[tuple[str, str, str], _Translated | str]:
        """Return what became of each segment, source and target: its translation, or the error of its batch of one."""
        results: dict[tuple[str, str, str], _Translated | str] = {}
        requests: list[Request] = []
        owners: list[tuple[str, str, str]] = []
        for segment, pieces in zip(segments, self._encode([text for text, _, _ in segments]), strict=True):
            _, source, target = segment
            try:
                whole = self.codec.source(pieces, source, target)
                forced = tuple(self.codec.forced(target))
            except UnknownLanguageTag as error:
                results[segment] = str(error)
                continue
            requests.append(Request(tuple(whole), forced, self.settings.decoding.limit(len(pieces))))
            owners.append(segment)
        for segment, request, outcome in zip(owners, requests, self._run(requests), strict=True):
            results[segment] = outcome if isinstance(outcome, str) else self._read(segment, request, outcome)
        return results

    def _run(self, requests: Sequence[Request]) -> list[Output | str]:
        lengths = [len(each.source) for each in requests]
        batches = pack(lengths, self.batch_tokens, self.settings.batch_segments)
        outcomes: list[Output | str] = [""] * len(requests)
        runs = self.start([[requests[at] for at in batch] for batch in batches])
        for batch, run in zip(batches, runs, strict=True):
            outputs = self._rescue(run, [requests[at] for at in batch])
            for at, output in zip(batch, outputs, strict=True):
                outcomes[at] = output
        return outcomes

    def _rescue(self, run: Callable[[], list[Output]], batch: Sequence[Request]) -> list[Output | str]:
        """Return a batch's outputs; if it fails, those of its halves, down to the error of one."""
        try:
            return list(run())
        except Exception as error:
            # Memory, a device's fault, an input the model chokes on: whatever it is, one text must not cost the others.
            failure = f"{type(error).__name__}: {error}".strip().split("\n", 1)[0][:_ERROR_CHARS]
        if len(batch) == 1:
            return [failure]
        self.recover()
        half = (len(batch) + 1) // 2
        return [
            output
            for part in (batch[:half], batch[half:])
            for output in self._rescue(lambda part=part: self.generate(part), part)  # type: ignore[misc]
        ]

    def recover(self) -> None:  # noqa: B027 - most engines hold nothing
        """Give back what a failed batch may hold, before its halves are tried."""

    def _read(self, segment: tuple[str, str, str], request: Request, output: Output) -> _Translated:
        text, source, target = segment
        pieces = output.pieces[: request.limit]
        ended = output.ended and len(output.pieces) <= request.limit
        translation = self.codec.text(pieces)
        return _Translated(translation, measure(text, translation, ended, source, target))


@dataclass(frozen=True, slots=True)
class _Translated:
    text: str
    health: Health


def _assemble(cut: Segmented, parts: Sequence[_Translated | str], target: str) -> Answer:
    errors = [part for part in parts if isinstance(part, str)]
    if errors:
        return Answer(None, errors[0])
    done = [part for part in parts if not isinstance(part, str)]
    return Answer(cut.join([part.text for part in done], target), None, combine(part.health for part in done))
