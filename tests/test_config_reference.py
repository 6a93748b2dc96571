"""The page of all config keys."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from blocks.config import Config
from blocks.config_reference import meaning, reference, sections_in
from blocks.home import ROOT


def sections(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """A section and all in it."""
    yield model
    for field in model.model_fields.values():
        for inner, _ in sections_in(field.annotation, ""):
            yield from sections(inner)


def test_the_page_is_up_to_date() -> None:
    """`aspora check --keys > docs/config.md` renews it."""
    assert (ROOT / "docs/config.md").read_text(encoding="utf-8") == reference()


def test_every_key_has_a_meaning() -> None:
    """A key that nobody explains is not finished."""
    silent = [
        f"{model.__name__}.{name}"
        for model in sections(Config)
        for name, field in model.model_fields.items()
        if not meaning(name, field)
    ]
    assert silent == []
