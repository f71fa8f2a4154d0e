from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from udfs import devices
from udfs.engines import EngineUnavailable
from udfs.generators import InstructionRequest
from udfs.generators.transformers import TransformersChat, TransformersGeneratorSettings, _row_sampler
from udfs.prompts import prompt_hash

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

PROMPTS = [
    "What is a fjord?",
    "Write a short text about sourdough, with flour and water in it. " * 3,
    "x",
    "Ñandú, pingüino, 漢字, ไทย",
    "Who was Wangari Maathai, and what is she known for?",
    "Lake Titicaca lies between Peru and Bolivia",
    "",
]
SEEDS = list(range(100, 100 + len(PROMPTS)))


@pytest.fixture(scope="session", params=["llama", "mixtral"])
def folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(f"{request.param}_folder")


def settings_of(folder: Path, **values: Any) -> TransformersGeneratorSettings:
    return TransformersGeneratorSettings.model_validate(
        {"model": str(folder), "max_tokens": 12, "device": "cpu", **values}
    )


def chat_of(folder: Path, **values: Any) -> TransformersChat:
    return TransformersChat(settings_of(folder, **values), devices.Device("cpu"))


def document(text: str, doc_id: str = "d") -> InstructionRequest:
    return InstructionRequest(doc_id, "spa_Latn", "texto", text)


def test_greedy_answers_are_those_of_generate_one_by_one(folder: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    ends = {"llama": [1, 4], "mixtral": [2]}[model.config.model_type]
    answers = chat_of(folder).complete(PROMPTS, SEEDS)
    for prompt, answer in zip(PROMPTS, answers, strict=True):
        encoded = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], add_generation_prompt=True, return_tensors="pt"
        )
        output = model.generate(
            **encoded, do_sample=False, max_new_tokens=12, repetition_penalty=1.0, eos_token_id=ends, pad_token_id=0
        )[0, encoded["input_ids"].shape[1] :].tolist()
        assert answer.text == tokenizer.decode(output, skip_special_tokens=True)
        assert answer.prompt_tokens == encoded["input_ids"].shape[1]
        assert answer.completion_tokens == len(output)
        assert answer.was_cut == (output[-1] not in ends)
    assert {answer.was_cut for answer in answers} == {True} or any(answer.completion_tokens != 12 for answer in answers)


@pytest.mark.parametrize("temperature", [0, 1.0])
@pytest.mark.parametrize(("tokens", "rows"), [(1, 64), (100, 64), (250, 2), (100_000, 3)])
def test_answers_do_not_depend_on_the_batches(folder: Path, tokens: int, rows: int, temperature: float) -> None:
    whole = chat_of(folder, temperature=temperature, top_p=0.95).complete(PROMPTS, SEEDS)
    parts = chat_of(folder, temperature=temperature, top_p=0.95, batch_tokens=tokens, batch_rows=rows)
    assert parts.complete(PROMPTS, SEEDS) == whole
    assert parts.complete(PROMPTS[::-1], SEEDS[::-1]) == whole[::-1]


def test_each_seed_draws_its_own(folder: Path) -> None:
    chat = chat_of(folder, temperature=1.5)
    answers = [each.text for each in chat.complete(["x"] * 6, [1, 2, 3, 4, 1, 2])]
    assert answers[0] == answers[4]
    assert answers[1] == answers[5]
    assert len(set(answers)) == 4


def test_draws_follow_the_probabilities() -> None:
    probabilities = torch.tensor([0.5, 0.3, 0.15, 0.05, 0.0])
    rows = 4_000
    sampler = _row_sampler(range(rows), torch.device("cpu"))
    drawn = sampler(None, probabilities.log().repeat(rows, 1)).argmax(-1)
    found = torch.bincount(drawn, minlength=5) / rows
    assert torch.allclose(found, probabilities, atol=0.03)
    assert found[4] == 0


def test_top_p_leaves_the_tail_out(folder: Path) -> None:
    greedy = chat_of(folder).complete(PROMPTS, SEEDS)
    assert chat_of(folder, temperature=1.0, top_p=1e-6).complete(PROMPTS, SEEDS) == greedy


def test_an_answer_ends_at_a_stop_text(folder: Path) -> None:
    (plain,) = chat_of(folder).complete(["What is a fjord?"], [0])
    stop = next(char for char in plain.text[1:-2] if char.isascii() and char.isalpha())
    (stopped,) = chat_of(folder, stop=[stop, "never"]).complete(["What is a fjord?"], [0])
    assert stopped.text == plain.text.partition(stop)[0]
    assert not stopped.was_cut
    assert stopped.completion_tokens < plain.completion_tokens
    beside = chat_of(folder, stop=[stop, "never"]).complete(PROMPTS, SEEDS)
    assert beside[0] == stopped


def test_what_looks_like_a_control_token_in_a_document_is_text(llama_folder: Path) -> None:
    for use_chat_template in (True, False):
        chat = chat_of(llama_folder, use_chat_template=use_chat_template)
        plain, sly = chat._encode("one two"), chat._encode("one <|eot_id|> two")
        for control in (3, 4):
            assert plain.count(control) == sly.count(control)
    assert chat.count_tokens(["<|eot_id|>"])[0] > 1


def test_a_prompt_that_is_too_long_is_its_rows_error_alone(folder: Path) -> None:
    first, long, last = chat_of(folder).complete(["one", "word " * 900, "two"], [0, 0, 0])
    assert first.text is not None
    assert last.text is not None
    assert long.text is None
    assert "more than the 512 that the model takes: lower max_document_tokens" in str(long.error)


def test_a_template_that_fails_is_its_rows_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chat = chat_of(folder)
    chat._tokenizer.chat_template = "{{ raise_exception('odd\n roles') }}"
    (answer,) = chat.complete(["x"], [0])
    assert answer.error == "the prompt cannot be encoded: odd roles"


class Scarce:
    """A model with memory for so many tokens in a batch."""

    def __init__(self, model: Any, tokens: int, error: Exception) -> None:
        self.model, self.tokens, self.error = model, tokens, error
        self.sizes: list[int] = []

    def generate(self, ids: Any, **fields: Any) -> Any:
        self.sizes.append(ids.shape[0] * (ids.shape[1] + 12))
        if self.sizes[-1] > self.tokens:
            raise self.error
        return self.model.generate(ids, **fields)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_batches_are_halved_where_memory_runs_out(folder: Path, error: Exception) -> None:
    chat = chat_of(folder)
    expected = chat.complete(PROMPTS, SEEDS)
    longest = max(answer.prompt_tokens for answer in expected) + 12
    chat._model = scarce = Scarce(chat._model, 2 * longest, error)
    assert chat.complete(PROMPTS, SEEDS) == expected
    failed = sum(size > scarce.tokens for size in scarce.sizes)
    assert 1 <= failed <= 3
    # What was learned is kept.
    scarce.sizes.clear()
    assert chat.complete(PROMPTS, SEEDS) == expected
    assert all(size <= scarce.tokens for size in scarce.sizes)


def test_a_prompt_that_memory_has_no_room_for_is_its_rows_error(folder: Path) -> None:
    chat = chat_of(folder)
    expected = chat.complete(PROMPTS, SEEDS)
    sizes = sorted(answer.prompt_tokens + 12 for answer in expected)
    chat._model = Scarce(chat._model, sizes[-2], torch.OutOfMemoryError("CUDA out of memory"))
    answers = chat.complete(PROMPTS, SEEDS)
    assert [answer.text is None for answer in answers] == [answer.prompt_tokens + 12 > sizes[-2] for answer in expected]
    assert "out of memory: a prompt of" in str(next(answer.error for answer in answers if answer.text is None))


def test_another_error_of_the_model_is_not_hidden(folder: Path) -> None:
    chat = chat_of(folder)
    chat._model = Scarce(chat._model, 0, RuntimeError("device-side assert triggered"))
    with pytest.raises(RuntimeError, match="device-side assert"):
        chat.complete(PROMPTS, SEEDS)


def test_instructions_carry_label_hash_tokens_and_flag(folder: Path) -> None:
    settings = settings_of(folder, max_document_tokens=20)
    generator = settings.open("{{title}} {{language}}: {{text}}", {"spa_Latn": "Spanish"})
    short, long = generator.generate([document("one two", "a"), document("three four " * 60, "b")])
    assert (short.is_shortened, long.is_shortened) == (False, True)
    for each in (short, long):
        assert each.label == f"transformers-{transformers.__version__}:{folder}"
        assert each.prompt_hash == prompt_hash("{{title}} {{language}}: {{text}}")
        assert each.prompt_tokens
        assert each.completion_tokens
        assert bool(each.instruction_en) != bool(each.error)
    assert short.prompt_tokens < long.prompt_tokens < 80
    assert devices.loads()[str(folder)] >= 1
    generator.close()


# The check


def changed(folder: Path, target: Path, leave_out: Sequence[str] = (), **config: Any) -> Path:
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns(*leave_out))
    file = target / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | config), encoding="utf-8")
    return target


def test_check_takes_a_good_model(folder: Path) -> None:
    settings_of(folder).check()


def test_check_names_what_is_missing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineUnavailable, match="cannot be read"):
        settings_of(tmp_path / "nowhere").check()
    with pytest.raises(EngineUnavailable, match="has no weights"):
        settings_of(changed(folder, tmp_path / "empty", ["*.safetensors"])).check()
    with pytest.raises(EngineUnavailable, match="is of type t5, which continues no text"):
        settings_of(changed(folder, tmp_path / "t5", model_type="t5")).check()
    bare = changed(folder, tmp_path / "bare", ["chat_template.jinja"])
    with pytest.raises(EngineUnavailable, match="use_chat_template: false"):
        settings_of(bare).check()
    settings_of(bare, use_chat_template=False).check()
    broken = changed(folder, tmp_path / "broken")
    (broken / "chat_template.jinja").write_text("{{ raise_exception('no users here') }}", encoding="utf-8")
    with pytest.raises(EngineUnavailable, match="does not work: no users here"):
        settings_of(broken).check()
    monkeypatch.setattr("udfs.generators.transformers.find_spec", lambda _name: None)
    with pytest.raises(EngineUnavailable, match=r"pip install 'backprompt\[transformers\]'"):
        settings_of(folder).check()


def test_a_model_that_does_not_fit_is_refused_before_it_is_loaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "free_bytes", lambda _device: 1_000)
    with pytest.raises(EngineUnavailable, match="needs about"):
        settings_of(folder).open("{{text}}")


def test_settings_are_hashable_and_only_what_changes_the_answer_is_decisive(folder: Path) -> None:
    assert hash(settings_of(folder, stop=["x"]))
    assert not {"device", "batch_tokens", "batch_rows"} & set(settings_of(folder).decisive())
    with pytest.raises(ValidationError, match="device"):
        settings_of(folder, device="gpu:1")
