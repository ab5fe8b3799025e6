"""The page of the commands says what the commands say."""

from __future__ import annotations

import importlib.util
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"


def test_the_page_lists_the_commands_as_they_are() -> None:
    spec = importlib.util.spec_from_file_location("commands_page", PAGE.with_suffix(".py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = PAGE.read_text(encoding="utf-8")

    assert module.page(text) == text, "run `python docs/commands.py`"
