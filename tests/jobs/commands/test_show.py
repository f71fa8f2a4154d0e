"""Rows as a person reads them."""

from __future__ import annotations

import io

from pyspark.sql import Row
from rich.console import Console

from jobs.commands.show import print_row


def test_the_words_that_an_evaluation_item_was_found_in_are_shown() -> None:
    out = io.StringIO()
    row = Row(doc_id="a", text="To be or not to be.", contaminated_span="be or not", hate_score=0.25)
    print_row(Console(file=out, width=100), row)
    assert "contaminated_span" in out.getvalue()
    assert "be or not" in out.getvalue()
    assert "hate_score" not in out.getvalue()
