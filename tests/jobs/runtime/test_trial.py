"""What a trial counts; no Spark."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from jobs.runtime import trial
from jobs.runtime.forecast import CHARACTERS, TOKENS
from udfs.translators.seq2seq import Seq2SeqTranslator


@pytest.mark.parametrize(("counts_as_runs", "counted"), [(False, (TOKENS, [(3, 2)])), (True, (CHARACTERS, [(11, 9)]))])
def test_of_translators_a_plan_counts_what_runs_have(
    monkeypatch: pytest.MonkeyPatch, counts_as_runs: bool, counted: Any
) -> None:
    monkeypatch.setattr(trial.RecipeTranslator, "of", lambda *_: None)
    monkeypatch.setattr(trial, "task_devices", lambda: ())
    translator = Mock(spec=Seq2SeqTranslator, count_tokens=lambda texts: [len(text.split()) for text in texts])
    monkeypatch.setattr(trial, "open_for", lambda *_: translator)
    settings: Any = SimpleNamespace(engine=None)
    resources: Any = None
    asked, answered = ["La casa es."], ["The house"]
    assert trial._units("translate", settings, resources, asked, answered, [{}], counts_as_runs) == counted
