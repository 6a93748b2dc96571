"""A tool and an action, added exactly as docs/add-a-tool.md shows it."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from blocks.config import Config
from blocks.config_file import load
from blocks.home import ROOT
from tasks.check import check
from tasks.execution import allowed_actions
from tasks.masking import Masker
from tasks.tools import Toolbox

pytestmark = pytest.mark.full
PAGE = ROOT / "docs" / "add-a-tool.md"
BLOCK = re.compile(r"^```(?:python|yaml) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TOOL = "get_partner_notice"


def added(old: Any, new: Any) -> Any:
    """`old` with `new` added: keys to mappings, items to lists, or to the item of the same name."""
    if isinstance(old, dict):
        return {**old, **{key: added(old[key], value) if key in old else value for key, value in new.items()}}
    if isinstance(old, list):
        return [*_renewed(old, new), *(each for each in new if _name(each) not in map(_name, old))]
    return new


def _renewed(old: list[Any], new: list[Any]) -> list[Any]:
    named = {_name(each): each for each in new if isinstance(each, dict)}
    return [added(each, named[_name(each)]) if _name(each) in named else each for each in old]


def _name(item: Any) -> Any:
    return item["name"] if isinstance(item, dict) and "name" in item else repr(item)


@pytest.fixture(name="config_file")
def written(tmp_path: Path) -> Path:
    """The checkout's config with what the page adds, and the page's server beside it."""
    whole = yaml.safe_load((ROOT / "aspora.config.yaml").read_text(encoding="utf-8"))
    for path, content in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if path == "aspora.config.yaml":
            here = content.replace(".venv/bin/python", sys.executable)
            whole = added(whole, yaml.safe_load(here))
        else:
            (tmp_path / path).write_text(content, encoding="utf-8")
    shutil.copytree(ROOT / "runbooks", tmp_path / "runbooks")
    file = tmp_path / "aspora.config.yaml"
    file.write_text(yaml.safe_dump(whole, sort_keys=False), encoding="utf-8")
    return file


def toolbox(config: Config, base: Path) -> Toolbox:
    """The domain's tools."""
    return Toolbox(config, config.domains["ecm"], base, Masker(b"key of the tests"))


async def test_the_tool_is_offered_to_its_skill_and_answers(config_file: Path) -> None:
    config = load(config_file)
    skill = config.domains["ecm"].skill("ecm-diagnose")
    assert {TOOL, "search_runbooks"} <= set(skill.tools)
    async with toolbox(config, config_file.parent) as tools:
        offered, missing = await tools.offered([TOOL])
        assert ([each["name"] for each in offered], missing) == ([TOOL], {})
        status, answer = await tools.call(TOOL, {"partner": "lulu"})
        assert (status, "limits lowered" in answer["announced"]) == ("ok", True)
        status, answer = await tools.call(TOOL, {"partner": "nobody"})
        assert (status, "there are lulu, meridian" in str(answer)) == ("error", True)


def test_the_page_passes_the_check_with_the_server_asked(config_file: Path) -> None:
    config, problems = check(config_file, connect=True)
    assert config
    assert [str(each) for each in problems if each.level == "error"] == []
    assert "refund_orders" in {each["name"] for each in allowed_actions(config.domains["ecm"])}


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("partners.py", "readOnlyHint=True", "readOnlyHint=False", "read-only"),
        ("partners.py", "def get_partner_notice", "def get_notice", "get_partner_notice"),
        (
            "aspora.config.yaml",
            "/v1/orders/{order_id}/refund",
            "/v1/orders/{order_number}/refund",
            "order_number",
        ),
        ("aspora.config.yaml", "https://orders.internal/v1", "https://{order_id}/v1", "host"),
    ],
    ids=["writes", "not-there", "no-such-field", "host-by-a-field"],
)
def test_what_the_page_says_is_refused(config_file: Path, file: str, old: str, new: str, told: str) -> None:
    path = config_file.parent / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    _, problems = check(config_file, connect=True)
    assert any(told in str(each) for each in problems if each.level == "error"), problems
