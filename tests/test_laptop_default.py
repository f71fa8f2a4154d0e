"""What `make run` needs: no torch, and none of the packages of the models' engines."""

import subprocess
import sys

from tests.snippets import ROOT

PROGRAM = """
import sys

from jobs.runtime.engine_checks import require_engines
from jobs.runtime.recipe import load_recipe
from jobs.stages.engines import RecipeIdentifier, RecipeTranslator, open_generator
from udfs.generators import InstructionRequest

recipe = load_recipe("demo")
require_engines(recipe)
resources = recipe.resources()
translator = RecipeTranslator.of(recipe.settings("translate").engine, resources).open()
(answer,) = translator.translate(["La casa es grande."], ["spa_Latn"], ["eng_Latn"])
assert "house" in answer.text, answer
request = InstructionRequest("id", "spa_Latn", "La casa es grande.", answer.text, "Casa", "House", "encyclopedic")
assert open_generator(recipe.settings("instruct").engine, "", ()).generate([request])
screen = recipe.settings("screen")
assert RecipeIdentifier.of(screen.identifier, resources).open().identify(["La casa es grande."], ["spa_Latn"])
assert screen.classifier.open(dict(resources.word_lists)).flag(["La casa"], ["spa_Latn"]) == [[]]
print(*sorted(name for name in sys.argv[1:] if name in sys.modules))
"""
HEAVY = (
    "torch",
    "transformers",
    "ctranslate2",
    "sentence_transformers",
    "fasttext",
    "vllm",
    "tokenizers",
    "sentencepiece",
)


def test_the_engines_of_the_demo_load_no_model_library():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *HEAVY], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
