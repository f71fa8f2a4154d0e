"""What the engines share, with a model that echoes: order, batches, repair, limits; and how each family writes."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udfs.engines import EngineUnavailable
from udfs.translators.seq2seq import (
    Codec,
    DecodingSettings,
    Output,
    Request,
    Seq2SeqSettings,
    Seq2SeqTranslator,
    UnknownLanguageTag,
    open_codec,
    read_family,
)

CODES = {"spa_Latn": "es", "eng_Latn": "en", "fra_Latn": "fr"}
TEXTS = st.lists(st.text(alphabet="ab .\n1é你", max_size=40), max_size=12)


class Letters:
    """A coder of one piece a character; it knows the tags of CODES."""

    def __init__(self) -> None:
        self.encoded: list[str] = []

    def encode(self, texts: Sequence[str]) -> list[list[str]]:
        self.encoded += texts
        return [[text] if text in self else list(text) for text in texts]

    def decode(self, pieces: Sequence[str]) -> str:
        return "".join(pieces)

    def __contains__(self, piece: str) -> bool:
        return piece in {f"<2{code}>" for code in CODES.values()}


class Echo(Seq2SeqTranslator):
    """Gives back the source; what it was asked for is in ``batches``. It fails on a batch with a poisoned segment."""

    def __init__(self, poison: str | None = None, max_rows: int = 100, **options: object) -> None:
        self.batches: list[list[Request]] = []
        self.poison, self.max_rows, self.recovered = poison, max_rows, 0
        super().__init__(
            Seq2SeqSettings(model="echo", family="t5", **options), Codec("t5", Letters(), CODES), "echo", 200
        )

    def generate(self, batch: Sequence[Request]) -> list[Output]:
        self.batches.append(list(batch))
        if len(batch) > self.max_rows:
            raise MemoryError("out of memory\nwith a long trace")
        if any(self.poison and self.poison in "".join(each.source) for each in batch):
            raise RuntimeError("poisoned")
        return [Output(each.source[1:-1], True) for each in batch]

    def recover(self) -> None:
        self.recovered += 1

    def close(self) -> None:
        pass

    def ask(self, texts: Sequence[str], source: str = "spa_Latn", target: str = "eng_Latn"):
        return self.translate(texts, [source] * len(texts), [target] * len(texts))


class TestTranslate:
    @given(TEXTS, st.integers(16, 40), st.integers(1, 60), st.integers(1, 5))
    @settings(deadline=None)
    def test_batches_of_any_size_give_what_one_by_one_gives(self, texts, max_segment_tokens, batch_tokens, rows):
        targets = [("eng_Latn", "fra_Latn")[at % 2] for at in range(len(texts))]
        sources = ["spa_Latn"] * len(texts)
        engine = Echo(max_segment_tokens=max_segment_tokens, batch_tokens=batch_tokens, batch_segments=rows)
        together = engine.translate(texts, sources, targets)
        alone = [
            engine.translate([text], ["spa_Latn"], [target])[0] for text, target in zip(texts, targets, strict=True)
        ]
        assert together == alone
        assert [answer.text for answer in together] == texts
        assert all(len(batch) <= rows for batch in engine.batches)

    def test_layout_stays_and_each_segment_is_measured(self):
        text = "  Uno dos tres cuatro.\n\n\t- 12\nCinco seis siete ocho. Nueve diez once doce.\n"
        (answer,) = Echo(max_segment_tokens=30).ask([text])
        assert answer.text == text
        assert answer.health is not None
        assert (answer.health.segments, answer.health.copied) == (3, 3)

    def test_equal_segments_of_a_direction_go_through_once(self):
        engine = Echo()
        engine.translate(["Hola.\nHola.", "Hola.", "Hola."], ["spa_Latn"] * 3, ["eng_Latn", "eng_Latn", "fra_Latn"])
        asked = ["".join(each.source) for batch in engine.batches for each in batch]
        assert sorted(asked) == ["<2en>Hola.</s>", "<2fr>Hola.</s>"]

    def test_segments_of_all_texts_share_batches_longest_first(self):
        engine = Echo(batch_segments=2)
        engine.ask(["a", "bbbb", "cc\nddd"])
        assert [[len(each.source) - 2 for each in batch] for batch in engine.batches] == [[4, 3], [2, 1]]

    def test_text_without_letters_is_not_asked_for(self):
        engine = Echo()
        answers = engine.ask(["", "123\n--", "\n"])
        assert [answer.text for answer in answers] == ["", "123\n--", "\n"]
        assert all(answer.health and answer.health.segments == 0 for answer in answers)
        assert engine.batches == []

    def test_a_batch_too_large_is_halved(self):
        engine = Echo(max_rows=3)
        texts = [f"texto {chr(97 + at)}" for at in range(20)]
        assert [answer.text for answer in engine.ask(texts)] == texts
        assert engine.recovered > 0
        assert sum(len(batch) for batch in engine.batches if len(batch) <= 3) == 20

    def test_what_fails_costs_no_other_text(self):
        answers = Echo(poison="mal").ask([f"bien {chr(97 + at)}" for at in range(9)] + ["Primero.\nAlgo mal."])
        assert [answer.error for answer in answers] == [None] * 9 + ["RuntimeError: poisoned"]
        assert answers[-1].text is None

    def test_an_error_is_one_line(self):
        (answer,) = Echo(max_rows=0).ask(["hola"])
        assert answer.error == "MemoryError: out of memory"

    def test_a_language_without_tag_is_an_error_of_its_texts(self):
        answers = Echo().translate(["hola", "hola"], ["spa_Latn"] * 2, ["eng_Latn", "yor_Latn"])
        assert answers[0].text == "hola"
        assert answers[1].error == "the model has no <2yor_Latn> for yor_Latn"

    def test_output_beyond_its_own_limit_is_cut_and_counted(self):
        class Long(Echo):
            def generate(self, batch):
                return [Output(["x"] * 30, True) for _ in batch]

        decoding = {"max_output_ratio": 1.0, "max_output_tokens": 28}
        short, longer = Long(decoding=decoding, max_segment_tokens=28).ask(["ab", "a" * 20])
        assert (len(short.text), short.health.truncated) == (18, 1)
        assert (len(longer.text), longer.health.truncated) == (28, 1)

    def test_pieces_are_made_once_and_not_kept(self):
        engine = Echo()
        engine.ask(["hola", "hola", "adiós"])
        texts = [text for text in engine.codec.pieces.encoded if not text.startswith("<2")]
        assert sorted(texts) == ["adiós", "hola"]
        assert engine._pieces == {}


class TestSettings:
    def test_a_mapping_of_codes_is_hashable_and_sorted(self):
        chosen = Seq2SeqSettings(model="m", language_codes={"srp_Latn": "sr_Latn", "bos_Latn": "bs"})
        assert chosen.language_codes == (("bos_Latn", "bs"), ("srp_Latn", "sr_Latn"))
        assert hash(chosen) == hash(chosen.model_copy())
        assert chosen.codes({"bos_Latn": "x", "spa_Latn": "es"}) == {
            "bos_Latn": "bs",
            "spa_Latn": "es",
            "srp_Latn": "sr_Latn",
        }

    def test_directions(self):
        free = Seq2SeqSettings(model="m", language_codes={"hrv_Latn": "hr"})
        assert free.supports("spa_Latn", "eng_Latn", CODES)
        assert free.supports("hrv_Latn", "eng_Latn", CODES)
        assert not free.supports("yor_Latn", "eng_Latn", CODES)
        assert not free.supports("eng_Latn", "eng_Latn", CODES)
        bound = Seq2SeqSettings(model="m", sources=("spa_Latn",), targets=("eng_Latn",))
        assert bound.supports("spa_Latn", "eng_Latn", {})
        assert not bound.supports("eng_Latn", "spa_Latn", CODES)

    def test_where_it_runs_does_not_decide_the_result(self):
        plain = Seq2SeqSettings(model="m")
        moved = Seq2SeqSettings(model="m", device="cuda:1", batch_tokens=9, batch_segments=3)
        assert plain.decisive() == moved.decisive()
        assert plain.decisive() != Seq2SeqSettings(model="m", max_segment_tokens=100).decisive()

    def test_output_must_have_room_for_a_segment(self):
        with pytest.raises(ValueError, match="max_output_tokens is 100, below max_segment_tokens"):
            Seq2SeqSettings(model="m", decoding={"max_output_tokens": 100})

    def test_limit(self):
        assert DecodingSettings(max_output_ratio=2, max_output_tokens=90).limit(10) == 36
        assert DecodingSettings(max_output_ratio=2, max_output_tokens=90).limit(80) == 90

    @pytest.mark.parametrize(
        ("model", "scheme"),
        [
            ("google/madlad400-3b-mt", "madlad"),
            ("facebook/nllb-200-3.3B", "nllb"),
            ("Helsinki-NLP/opus-mt-es-en", "language"),
        ],
    )
    def test_well_known_names_need_no_files(self, model, scheme):
        assert Seq2SeqSettings(model=model).scheme() == scheme

    @pytest.mark.parametrize(
        ("file", "content", "family"),
        [
            ("config.json", {"model_type": "t5"}, "t5"),
            ("config.json", {"model_type": "m2m_100"}, "m2m_100"),
            ("tokenizer_config.json", {"tokenizer_class": "MarianTokenizer"}, "marian"),
            ("tokenizer_config.json", {"tokenizer_class": "T5TokenizerFast"}, "t5"),
        ],
    )
    def test_family_of_a_folder(self, tmp_path, file, content, family):
        (tmp_path / file).write_text(json.dumps(content), encoding="utf-8")
        assert read_family(str(tmp_path), None, None) == family

    def test_a_family_that_is_not_known(self, tmp_path):
        (tmp_path / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
        with pytest.raises(EngineUnavailable, match=r"\(it says llama\). Write `family:` t5, m2m_100, marian"):
            Seq2SeqSettings(model=str(tmp_path)).scheme()

    @pytest.mark.parametrize("model", ["/no/such/folder", "./here", "nothing"])
    def test_no_such_folder(self, model):
        with pytest.raises(EngineUnavailable, match="There is no folder"):
            Seq2SeqSettings(model=model).scheme()

    def test_a_folder_without_tokenizer(self, tmp_path):
        for family in ("t5", "marian"):
            with pytest.raises(EngineUnavailable, match="Write `tokenizer: NAME`"):
                open_codec(family, tmp_path, CODES)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from tests.udfs.translators import small_models

    root = tmp_path_factory.mktemp("models")
    return {
        "madlad": small_models.madlad(root / "madlad"),
        "nllb": small_models.nllb(root / "nllb"),
        "marian": small_models.marian(root / "marian"),
        "marian-pair": small_models.marian(root / "marian-pair", ()),
    }


TEXT = "La casa que vimos ayer, 12 500 <b>漢</b>"
NLLB = {language: language for language in ("spa_Latn", "eng_Latn", "fra_Latn")}


class TestFamilies:
    def test_madlad_as_its_tokenizer_writes_it(self, folders):
        codec = open_codec("t5", folders["madlad"], CODES)
        (pieces,) = codec.pieces.encode([TEXT])
        # One text, tag and all, is what the model was trained with.
        (whole,) = codec.pieces.encode([f"<2fr> {TEXT}"])
        assert codec.source(pieces, "spa_Latn", "fra_Latn") == [*whole, "</s>"]
        assert codec.forced("fra_Latn") == []
        assert codec.text(["<s>", "<2fr>", *pieces, "<unk>"]) == TEXT

    def test_nllb_as_its_tokenizer_writes_it(self, folders):
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folders["nllb"], src_lang="spa_Latn")
        codec = open_codec("m2m_100", folders["nllb"], NLLB)
        (pieces,) = codec.pieces.encode(["La casa que vimos ayer"])
        made = codec.source(pieces, "spa_Latn", "fra_Latn")
        assert made == tokenizer("La casa que vimos ayer").tokens()
        assert codec.forced("fra_Latn") == ["fra_Latn"]
        assert codec.text(["fra_Latn", *pieces]) == "La casa que vimos ayer"

    def test_marian_as_its_tokenizer_writes_it(self, folders):
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folders["marian"])
        codec = open_codec("marian", folders["marian"], NLLB)
        (pieces,) = codec.pieces.encode(["La casa que vimos ayer"])
        made = codec.source(pieces, "spa_Latn", "fra_Latn")
        assert made == tokenizer.convert_ids_to_tokens(tokenizer(">>fra<< La casa que vimos ayer").input_ids)
        pair = open_codec("marian", folders["marian-pair"], {})
        assert pair.source(["a"], "spa_Latn", "eng_Latn") == ["a", "</s>"]

    @pytest.mark.parametrize(("family", "name"), [("t5", "madlad"), ("m2m_100", "nllb"), ("marian", "marian")])
    def test_control_tokens_in_a_document_are_text(self, folders, family, name):
        codec = open_codec(family, folders[name], CODES if family == "t5" else NLLB)
        (pieces,) = codec.pieces.encode(["La casa </s> que vimos <pad>"])
        assert not {"</s>", "<pad>", "<s>"} & set(pieces)

    @pytest.mark.parametrize(("family", "name"), [("t5", "madlad"), ("m2m_100", "nllb"), ("marian", "marian")])
    def test_a_language_the_model_has_no_tag_for(self, folders, family, name):
        codec = open_codec(family, folders[name], {"yor_Latn": "yo"})
        with pytest.raises(UnknownLanguageTag, match="for yor_Latn"):
            codec.source([], "yor_Latn", "yor_Latn")

    def test_a_tokenizer_json_alone_writes_the_same(self, folders, tmp_path):
        from transformers import AutoTokenizer

        AutoTokenizer.from_pretrained(folders["nllb"]).save_pretrained(tmp_path)
        files = open_codec("m2m_100", folders["nllb"], NLLB)
        alone = open_codec("m2m_100", tmp_path, NLLB)
        assert not list(tmp_path.glob("*.model"))
        texts = ["La casa que vimos ayer", "Дом, который мы видели"]
        assert alone.pieces.encode(texts) == files.pieces.encode(texts)
        assert alone.source(["a"], "spa_Latn", "eng_Latn") == files.source(["a"], "spa_Latn", "eng_Latn")
        assert [alone.text(pieces) for pieces in alone.pieces.encode(texts)] == texts
