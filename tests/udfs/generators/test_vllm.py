"""vLLM needs a GPU, so a stand-in takes our calls, with the signatures of the real package (tests/data/vllm)."""

from __future__ import annotations

import inspect
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from udfs import devices
from udfs.chat import row_seed
from udfs.engines import EngineUnavailable
from udfs.generators import InstructionRequest
from udfs.generators import vllm as engine
from udfs.generators.vllm import VllmGeneratorSettings, show_gpus

SIGNATURES = json.loads((Path(__file__).parents[2] / "data/vllm/signatures.json").read_text(encoding="utf-8"))


def bind(function: str, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return arguments by name, or raise TypeError as the real function would."""
    signature = SIGNATURES["functions"][function]
    if len(args) > len(signature["positional"]):
        raise TypeError(f"{function}: too many arguments")
    bound = dict(zip(signature["positional"], args, strict=False))
    others = set(kwargs) - set(signature["positional"]) - set(signature["by_name"])
    if function == "LLM.__init__":
        # The rest goes to EngineArgs, which takes its fields and no more.
        others -= set(SIGNATURES["fields"]["EngineArgs"])
    elif signature["takes_others"]:
        others = set()
    if others or set(bound) & set(kwargs):
        raise TypeError(f"{function}: unexpected {others or set(bound) & set(kwargs)}")
    bound |= kwargs
    if missing := set(signature["required"]) - set(bound):
        raise TypeError(f"{function}: missing {missing}")
    return bound


def bind_fields(name: str, kwargs: dict[str, Any]) -> SimpleNamespace:
    if others := set(kwargs) - set(SIGNATURES["fields"][name]):
        raise TypeError(f"{name}: unexpected {others}")
    return SimpleNamespace(**kwargs)


class ValidationError(Exception):
    """As in vLLM 0.33, no ValueError."""


@dataclass
class Engine:
    core: SimpleNamespace
    unfinished: bool = False

    @property
    def engine_core(self) -> SimpleNamespace:
        return self.core

    def has_unfinished_requests(self, *args: Any, **kwargs: Any) -> bool:
        bind("LLMEngine.has_unfinished_requests", args, kwargs)
        return self.unfinished


@dataclass
class Record:
    """What the stand-in was asked, and how it answers."""

    made: dict[str, Any] = field(default_factory=dict)
    calls: list[dict[str, Any]] = field(default_factory=list)
    is_shut_down: bool = False
    leaves_unfinished: bool = False
    loses_one: bool = False


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch) -> Record:
    record = Record()

    class Tokenizer:
        def encode(self, *args: Any, **kwargs: Any) -> list[int]:
            bound = bind("TokenizerLike.encode", args, kwargs)
            assert bound["add_special_tokens"] is False
            return [1] * len(bound["text"].split())

    class LLM:
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            record.made = bind("LLM.__init__", args, kwargs)
            self.llm_engine = Engine(SimpleNamespace(shutdown=self._shutdown))

        def _shutdown(self, *args: Any, **kwargs: Any) -> None:
            bind("EngineCoreClient.shutdown", args, kwargs)
            record.is_shut_down = True

        def get_tokenizer(self, *args: Any, **kwargs: Any) -> Tokenizer:
            bind("LLM.get_tokenizer", args, kwargs)
            return Tokenizer()

        def chat(self, *args: Any, **kwargs: Any) -> list[SimpleNamespace]:
            bound = bind("LLM.chat", args, kwargs)
            return self._answer([each[-1]["content"] for each in bound["messages"]], bound)

        def generate(self, *args: Any, **kwargs: Any) -> list[SimpleNamespace]:
            bound = bind("LLM.generate", args, kwargs)
            return self._answer(bound["prompts"], bound)

        def _answer(self, prompts: list[str], bound: dict[str, Any]) -> list[SimpleNamespace]:
            params = bound["sampling_params"]
            assert len(params) == len(prompts)
            assert bound["use_tqdm"] is False
            record.calls.append(bound)
            if any("too long" in prompt for prompt in prompts):
                self.llm_engine.unfinished = record.leaves_unfinished
                raise ValidationError("maximum context length is 64\ntokens")
            outputs = []
            for prompt, each in zip(prompts, params, strict=True):
                text = json.dumps({"instruction": prompt}) if each.structured_outputs else prompt
                completion = {
                    "index": 0,
                    "text": text,
                    "token_ids": (1, 2, 3),
                    "cumulative_logprob": None,
                    "logprobs": None,
                    "finish_reason": "length" if "cut" in prompt else "stop",
                }
                output = {
                    "request_id": "0",
                    "prompt": prompt,
                    "prompt_token_ids": [1] * len(prompt.split()),
                    "prompt_logprobs": None,
                    "outputs": [bind_fields("CompletionOutput", completion)],
                    "finished": True,
                }
                outputs.append(SimpleNamespace(**bind("RequestOutput.__init__", (), output)))
            return outputs[1:] if record.loses_one else outputs

    package, params, exceptions = (ModuleType(name) for name in ("vllm", "vllm.sampling_params", "vllm.exceptions"))
    package.LLM = LLM
    params.SamplingParams = lambda **fields: bind_fields("SamplingParams", fields)
    params.StructuredOutputsParams = lambda **fields: bind_fields("StructuredOutputsParams", fields)
    exceptions.VLLMValidationError = ValidationError
    for module in (package, params, exceptions):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(engine, "find_spec", lambda _name: object())
    monkeypatch.setattr(engine, "version", lambda _name: SIGNATURES["version"])
    return record


def settings_of(**values: Any) -> VllmGeneratorSettings:
    return VllmGeneratorSettings.model_validate({"model": "org/model", "revision": "abc", **values})


def document(text: str, doc_id: str = "d") -> InstructionRequest:
    return InstructionRequest(doc_id, "spa_Latn", "texto", text)


def test_the_stand_in_refuses_what_vllm_does_not_know(record: Record) -> None:
    with pytest.raises(TypeError, match="unexpected"):
        bind("LLM.__init__", (), {"model": "x", "max_lenght": 3})
    with pytest.raises(TypeError, match="missing"):
        bind("LLM.__init__", (), {})
    with pytest.raises(TypeError, match="unexpected"):
        bind_fields("SamplingParams", {"max_new_tokens": 3})
    assert set(SIGNATURES["attributes"]) == {"LLM.llm_engine", "LLMEngine.engine_core"}


def test_the_stand_in_is_the_installed_vllm() -> None:
    vllm = pytest.importorskip("vllm", reason="vLLM is not installed: the recorded signatures stand for it")
    for name, recorded in SIGNATURES["functions"].items():
        owner, _, function = name.partition(".")
        if owner == "LLM":
            parameters = inspect.signature(getattr(vllm.LLM, function)).parameters
            assert set(recorded["positional"] + recorded["by_name"]) <= set(parameters), name


def test_the_engine_is_made_as_set(record: Record) -> None:
    settings = settings_of(tensor_parallel_size=2, gpu_memory_utilization=0.8, max_model_len=4096, dtype="bfloat16")
    settings.open("{{text}}")
    assert record.made == {
        "model": "org/model",
        "revision": "abc",
        "tokenizer_revision": "abc",
        "dtype": "bfloat16",
        "quantization": None,
        "tensor_parallel_size": 2,
        "gpu_memory_utilization": 0.8,
        "max_model_len": 4096,
    }
    assert devices.loads()["org/model"] >= 1


def test_greedy_prompts_have_no_seed_and_sampled_ones_their_own(record: Record) -> None:
    documents = [document("one?", "a"), document("two?", "b")]
    settings_of(stop=["###"], max_tokens=9).open("{{text}}").generate(documents)
    for each in record.calls[-1]["sampling_params"]:
        assert (each.temperature, each.top_p, each.seed) == (0.0, 1.0, None)
        assert (each.max_tokens, each.stop, each.structured_outputs) == (9, ["###"], None)
    settings_of(temperature=0.7, top_p=0.9, seed=3).open("{{text}}").generate(documents)
    drawn = record.calls[-1]["sampling_params"]
    assert [each.seed for each in drawn] == [row_seed(3, "a"), row_seed(3, "b")]
    assert {(each.temperature, each.top_p, each.stop) for each in drawn} == {(0.7, 0.9, None)}


@pytest.mark.parametrize("use_chat_template", [True, False])
def test_answers_come_in_order_with_their_tokens(use_chat_template: bool, record: Record) -> None:
    generator = settings_of(use_chat_template=use_chat_template, max_document_tokens=20).open("Q {{text}}")
    made = generator.generate([document("one"), document("cut"), document("word " * 30)])
    assert [each.instruction_en for each in made[:2]] == ["Q one", None]
    assert made[1].error == "the instruction is cut: raise max_tokens"
    assert [each.is_shortened for each in made] == [False, False, True]
    assert (made[0].prompt_tokens, made[0].completion_tokens) == (2, 3)
    assert made[0].label == f"vllm-{SIGNATURES['version']}:org/model@abc"
    assert ("messages" in record.calls[0]) == use_chat_template


def test_structured_answers(record: Record) -> None:
    (made,) = settings_of(structured=True).open("{{text}}").generate([document("What is it?")])
    assert made.instruction_en == "What is it?"
    (params,) = record.calls[-1]["sampling_params"]
    assert params.structured_outputs.json["required"] == ["instruction"]


def test_a_prompt_that_is_too_long_is_its_rows_error_alone(record: Record) -> None:
    generator = settings_of().open("{{text}}")
    made = generator.generate([document(text) for text in ("a", "b", "too long", "c", "d")])
    assert [each.instruction_en for each in made] == ["a", "b", None, "c", "d"]
    assert made[2].error == "maximum context length is 64 tokens"
    assert generator.generate([]) == []


def test_an_engine_whose_answers_may_be_mixed_up_is_not_asked_again(record: Record) -> None:
    record.leaves_unfinished = True
    with pytest.raises(ValidationError):
        settings_of().open("{{text}}").generate([document("a"), document("too long")])
    record.leaves_unfinished, record.loses_one = False, True
    with pytest.raises(RuntimeError, match="1 answers to 2 prompts"):
        settings_of().open("{{text}}").generate([document("a"), document("b")])


def test_close_stops_the_engine(record: Record) -> None:
    settings_of().open("{{text}}").close()
    assert record.is_shut_down


@pytest.mark.parametrize(
    ("visible", "addresses", "count", "shown"),
    [
        (None, ["2"], 1, "2"),
        (None, ["2", "3"], 2, "2,3"),
        (None, ["2", "3"], 1, "2"),
        ("4,5,6", ["5"], 1, "5"),
        ("4,5,6", ["0", "2"], 2, "4,6"),
        ("GPU-a,GPU-b", ["GPU-b"], 1, "GPU-b"),
        ("4,5", [], 1, "4,5"),
    ],
)
def test_the_process_sees_the_tasks_gpus(
    visible: str | None, addresses: list[str], count: int, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    show_gpus(addresses, count)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == shown


def test_too_few_gpus_are_refused(record: Record) -> None:
    with pytest.raises(EngineUnavailable, match=r"spark.task.resource.gpu.amount=2"):
        settings_of(tensor_parallel_size=2).open("{{text}}", resources={"gpu": ["0"]})
    assert not record.made


# The check


def test_check_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "find_spec", lambda _name: None)
    for call in (settings_of().check, lambda: settings_of().open("{{text}}")):
        with pytest.raises(EngineUnavailable, match=r"pip install 'backprompt\[vllm\]'"):
            call()


def test_check_reads_the_model(record: Record, mixtral_folder: Path) -> None:
    VllmGeneratorSettings(model=str(mixtral_folder), tensor_parallel_size=2).check()
    with pytest.raises(EngineUnavailable, match="4 attention heads, which cannot be spread over 3 GPUs"):
        VllmGeneratorSettings(model=str(mixtral_folder), tensor_parallel_size=3).check()
