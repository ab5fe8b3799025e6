"""Markdown with YAML in front of it, as the Hugging Face Hub reads it; knows features, and no dataset or policy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from soarm.spec import ACTION, Feature


def document(front: Mapping[str, Any], title: str, lead: Iterable[str], sections: Mapping[str, Iterable[str]]) -> str:
    """Return a document: metadata, title, paragraphs, and sections of paragraphs by their headings."""
    parts = [f"---\n{yaml.safe_dump(dict(front), sort_keys=False, allow_unicode=True)}---", f"# {title}", *lead]
    for heading, body in sections.items():
        parts += [f"## {heading}", *body]
    return "\n\n".join(parts) + "\n"


def interface(features: Mapping[str, Feature], rate_hz: int) -> list[str]:
    """Return what goes in and comes out: a table of features with their elements and units, actions last."""

    def row(key: str, one: Feature) -> tuple[object, ...]:
        names = ", ".join(f"{name} [{unit}]" for name, unit in zip(one.names, one.units, strict=False))
        return f"`{key}`", one.dtype, "x".join(map(str, one.shape)), names or "image, 0..255"

    ordered = sorted(features.items(), key=lambda item: item[0] == ACTION)
    listing = table(("feature", "type", "shape", "elements [unit]"), [row(key, one) for key, one in ordered])
    return [listing, f"All at {rate_hz} Hz. Percent is the opening of the gripper: 0 closed, 100 open."]


def table(head: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def code(language: str, text: str) -> str:
    """Return a block of code."""
    return f"```{language}\n{text.rstrip()}\n```"
