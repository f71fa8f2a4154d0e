"""Write down the parts of vLLM's interface that we call, read from its wheel without importing or installing it.

    pip download vllm==0.33.0 --no-deps
    python record_vllm_signatures.py vllm-0.33.0-*.whl > tests/data/vllm/signatures.json

The result has, by class and function, the names of parameters or fields, which of them are required, whether others are
taken (``**kwargs``), and which are by name alone.
"""

from __future__ import annotations

import ast
import json
import sys
import zipfile
from typing import Any

# Class (module:name) and, of functions, the name.
FUNCTIONS = (
    ("vllm/entrypoints/llm.py", "LLM", "__init__"),
    ("vllm/entrypoints/llm.py", "LLM", "chat"),
    ("vllm/entrypoints/llm.py", "LLM", "generate"),
    ("vllm/entrypoints/llm.py", "LLM", "get_tokenizer"),
    ("vllm/v1/engine/llm_engine.py", "LLMEngine", "has_unfinished_requests"),
    ("vllm/v1/engine/core_client.py", "EngineCoreClient", "shutdown"),
    ("vllm/tokenizers/protocol.py", "TokenizerLike", "encode"),
    ("vllm/outputs.py", "RequestOutput", "__init__"),
)
FIELDS = (
    ("vllm/engine/arg_utils.py", "EngineArgs"),
    ("vllm/sampling_params.py", "SamplingParams"),
    ("vllm/sampling_params.py", "StructuredOutputsParams"),
    ("vllm/outputs.py", "CompletionOutput"),
)
BASES = (("vllm/exceptions.py", "VLLMValidationError"), ("vllm/exceptions.py", "VLLMClientError"))
# What the class's body or its __init__ sets and we read.
ATTRIBUTES = (
    ("vllm/entrypoints/llm.py", "LLM", "llm_engine"),
    ("vllm/v1/engine/llm_engine.py", "LLMEngine", "engine_core"),
)


def record(wheel: zipfile.ZipFile) -> dict[str, Any]:
    """Return the interface in a wheel.

    Raises:
        LookupError: if a class or function is not where it was.
    """

    def class_of(path: str, name: str) -> ast.ClassDef:
        tree = ast.parse(wheel.read(path))
        return next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)

    metadata = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    lines = wheel.read(metadata).decode().splitlines()
    return {
        "version": next(line.removeprefix("Version: ") for line in lines if line.startswith("Version: ")),
        "functions": {
            f"{name}.{function}": _function(class_of(path, name), function) for path, name, function in FUNCTIONS
        },
        "fields": {name: _fields(class_of(path, name)) for path, name in FIELDS},
        "bases": {name: [ast.unparse(base) for base in class_of(path, name).bases] for path, name in BASES},
        "attributes": [f"{name}.{field}" for path, name, field in ATTRIBUTES if _sets(class_of(path, name), field)],
    }


def _function(node: ast.ClassDef, name: str) -> dict[str, Any]:
    found = [each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == name]
    if not found:
        raise LookupError(f"{node.name} has no {name}")
    arguments = found[-1].args
    positional = [each.arg for each in arguments.posonlyargs + arguments.args if each.arg != "self"]
    optional = positional[len(positional) - len(arguments.defaults) :] if arguments.defaults else []
    by_name = {
        each.arg: default is None for each, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    }
    return {
        "positional": positional,
        "by_name": list(by_name),
        "required": [name for name in positional if name not in optional]
        + [name for name, must in by_name.items() if must],
        "takes_others": arguments.kwarg is not None,
    }


def _fields(node: ast.ClassDef) -> list[str]:
    return [
        each.target.id for each in node.body if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
    ]


def _sets(node: ast.ClassDef, name: str) -> bool:
    return any(
        isinstance(each, ast.Attribute) and each.attr == name and isinstance(each.ctx, ast.Store)
        for each in ast.walk(node)
    )


if __name__ == "__main__":
    with zipfile.ZipFile(sys.argv[1]) as opened:
        json.dump(record(opened), sys.stdout, indent=1)
        print()
