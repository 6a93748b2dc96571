"""The config file: what loads, and what is said about what doesn't."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.config import Config
from blocks.config_file import ConfigError, Problem, key_text, load

SMALL = """\
models:
  haiku: {id: claude-haiku-4-5}
domains:
  ecm:
    module: flows.ecm
    skills:
      - {name: ecm-triage, role: manager, model: haiku}
      - name: ecm-diagnose
        role: specialist
        model: haiku
    routing:
      - {when: manager.critical_count >= 10, route_to: ecm-diagnose}
      - {when: diagnose.confidence == high && auto_fix, route_to: ecm-diagnose}
    guardrails:
      budget: $5/day
"""
ROOT = Path(__file__).parent.parent


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "aspora.config.yaml"


def problems(file: Path, text: str | bytes) -> list[Problem]:
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigError) as caught:
        load(file)
    return list(caught.value.problems)


def only(file: Path, text: str | bytes) -> Problem:
    found = problems(file, text)
    assert len(found) == 1, found
    return found[0]


def test_the_documents_notation_loads_as_written(file: Path) -> None:
    file.write_text(SMALL)
    domain = load(file).domains["ecm"]
    assert [rule.when for rule in domain.routing] == [
        "manager.critical_count >= 10",
        "diagnose.confidence == high && auto_fix",
    ]
    assert domain.guardrails.budget == 5_000_000
    assert domain.manager.name == "ecm-triage"


def test_the_repositorys_config_loads() -> None:
    config = load(ROOT / "aspora.config.yaml")
    assert config.domains["ecm"].guardrails.human_in_loop == ["ecm-resolve"]
    assert config.mcp_servers["runbooks-mcp"].options == {"path": "runbooks/"}
    assert config.mcp_servers["runbooks-mcp"].timeout == timedelta(seconds=30)


def test_a_changed_file_is_read_anew(file: Path) -> None:
    file.write_text(SMALL)
    assert load(file) is load(file)
    file.write_text(SMALL.replace("$5/day", "$6/day"))
    assert load(file).domains["ecm"].guardrails.budget == 6_000_000


def test_unknown_key_names_line_key_and_the_closest_valid_one(file: Path) -> None:
    found = only(file, SMALL.replace("role: specialist", "rol: specialist\n        role: specialist"))
    assert (found.line, found.key) == (9, "domains.ecm.skills[1].rol")
    assert found.remedy == "did you mean role?"
    assert str(found).endswith(
        "aspora.config.yaml:9: domains.ecm.skills[1].rol: unknown key; did you mean role?"
    )


def test_all_problems_are_told_at_once_in_the_files_order(file: Path) -> None:
    text = SMALL.replace("id:", "idd:").replace("$5/day", "five").replace("role: manager", "role: boss")
    found = problems(file, text)
    assert [(one.line, one.key) for one in found] == [
        (2, "models.haiku.id"),
        (2, "models.haiku.idd"),
        (7, "domains.ecm.skills[0].role"),
        (15, "domains.ecm.guardrails.budget"),
    ]
    assert "is missing" in found[0].message
    assert "$5/day" in found[3].remedy


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "words"),
    [
        ("budget: $5/day", "budget: 5", 15, "domains.ecm.guardrails.budget", "$5/day"),
        ("budget: $5/day", "budget: 0.5", 15, "domains.ecm.guardrails.budget", "$5/day"),
        (
            "budget: $5/day",
            "rate_limit: 9999999999999/h",
            15,
            "domains.ecm.guardrails.rate_limit",
            "12 digits",
        ),
        ("budget: $5/day", "budget: $9999999999999/day", 15, "domains.ecm.guardrails.budget", "12 digits"),
        ("manager.critical_count >= 10", "true", 12, "domains.ecm.routing[0].when", "quote it"),
        ("manager.critical_count >= 10", '""', 12, "domains.ecm.routing[0].when", "at least 1"),
        ("  ecm:", "  Ecm:", 4, "domains.Ecm", "wrong form"),
        ("role: manager", "role: [manager]", 7, "domains.ecm.skills[0].role", "a list"),
        ("models:\n", "models:\n  3: {id: x, max_tokens: many}\n", 2, "models.3.max_tokens", '"many"'),
        ("models:\n", "models:\n  a b: 3\n", 2, 'models["a b"]', "mapping"),
    ],
)
def test_wrong_values(file: Path, old: str, new: str, line: int, key: str, words: str) -> None:
    found = only(file, SMALL.replace(old, new, 1))
    assert (found.line, found.key) == (line, key)
    assert words in str(found)


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ("{}", "exactly one of module, command, url"),
        ("{module: a, url: b}", "module and url"),
        ("{url: 'https://x', path: y}", "unknown key path"),
        ("{module: a, token_env: T}", "token_env does nothing"),
        ("{module: a, env: {A: b}}", "env does nothing"),
        ("{module: a, timeout: soon}", "no duration"),
    ],
)
def test_servers_with_keys_that_do_nothing(file: Path, server: str, words: str) -> None:
    found = only(file, SMALL + f"mcp_servers:\n  logs-mcp: {server}\n")
    assert found.line == 17
    assert words in str(found)


@pytest.mark.parametrize(
    ("trigger", "words"),
    [
        ("{source: cron, domain: ecm}", "takes a schedule"),
        ("{source: cron, domain: ecm, schedule: daily}", "wrong form"),
        ("{source: slack, domain: ecm}", "takes a match"),
        ("{source: slak, domain: ecm, match: {a: b}}", "did you mean slack?"),
    ],
)
def test_triggers(file: Path, trigger: str, words: str) -> None:
    found = only(file, SMALL + f"triggers:\n  - {trigger}\n")
    assert found.line == 17
    assert words in str(found)


@pytest.mark.parametrize(
    ("raw", "line", "words"),
    [
        (b"", 1, "is empty"),
        (b"# only a comment\n", 1, "is empty"),
        (b"- a\n", 1, "no mapping"),
        (b"a: 1\n\tb: 2\n", 2, "indent with spaces"),
        (b"a: 1\nb: \xff\n", 2, "UTF-8"),
        (b"a: 1\nb: \x07\n", 2, "U+0007"),
        (b"a: &x [1]\nb: *x\n", 2, "alias"),
        (b"a: [1,\nb: 2\n", 3, "begins on line 1"),
        (b"a: 1\n---\nb: 2\n", 2, "second document"),
        (b"a: !!python/object/apply:os.getcwd []\n", 1, "tag"),
        (b"a: !secret x\n", 1, "!secret"),
        (b"a: 1\n? [x]\n: 2\n", 2, "a key is no text"),
        (b"a: " + b"[" * 5000, 1, "nested too deeply"),
        (b"# " + b"x" * 1_000_000, 1, "1,000,000 bytes"),
    ],
)
def test_text_that_is_no_plain_yaml(file: Path, raw: bytes, line: int, words: str) -> None:
    found = only(file, raw)
    assert found.line == line
    assert words in str(found)


def test_duplicate_keys_name_both_lines_and_do_not_hide_each_other(file: Path) -> None:
    found = problems(file, SMALL + "models: {}\nplatform: {timezone: UTC, timezone: UTC}\n")
    assert [(one.line, one.key) for one in found] == [(16, "models"), (17, "platform.timezone")]
    assert "first on line 1" in found[0].message


def test_words_that_older_yaml_takes_for_something_else_stay_text(file: Path) -> None:
    columns = "{no: off, at: 08:30, day: 2026-01-31, octal: 0777}"
    file.write_text(SMALL + f"warehouse:\n  tables:\n    orders: {{table: t, columns: {columns}}}\n")
    assert load(file).warehouse.tables["orders"].columns == {
        "no": "off",
        "at": "08:30",
        "day": "2026-01-31",
        "octal": "0777",
    }


def test_a_missing_file_and_a_directory_are_told_plainly(tmp_path: Path) -> None:
    for path, words in ((tmp_path / "none.yaml", "no such file"), (tmp_path, "can't be read")):
        with pytest.raises(ConfigError, match=words):
            load(path)


def test_half_a_surrogate_pair_can_be_printed(file: Path) -> None:
    found = only(file, SMALL.replace("role: manager", 'role: "\\ud800"'))
    assert found.line == 7
    str(found).encode()


def test_values_of_unwanted_keys_are_not_repeated(file: Path) -> None:
    found = only(file, SMALL.replace("{id: claude-haiku-4-5}", "{id: x, api_key: sk-secret}"))
    assert "sk-secret" not in str(found)


def test_a_config_can_not_be_changed(file: Path) -> None:
    file.write_text(SMALL)
    with pytest.raises(ValueError, match="frozen"):
        load(file).domains["ecm"].auto_fix = True  # type: ignore[misc]


def test_key_text() -> None:
    assert key_text(("domains", "ecm", "routing", 0, "when")) == "domains.ecm.routing[0].when"
    assert key_text(("models", "haiku-4.5", "id")) == 'models["haiku-4.5"].id'


def outcome(file: Path, raw: bytes) -> Config | ConfigError:
    file.write_bytes(raw)
    try:
        return load(file)
    except ConfigError as error:
        assert error.problems
        for problem in error.problems:
            assert problem.line >= 1
            assert problem.message
            assert problem.remedy
            str(problem).encode()
        return error


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("config") / "aspora.config.yaml"


@given(
    raw=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda t: t.encode("utf-8", "replace")))
)
def test_any_bytes_load_or_are_a_config_error(shared: Path, raw: bytes) -> None:
    outcome(shared, raw)


@given(
    line=st.integers(0, SMALL.count("\n")),
    piece=st.one_of(
        st.text(max_size=30),
        st.sampled_from(
            [
                "    skills: {}",
                "platform: {guardrails: {rate_limit: 1/s, budget: 9}}",
                "warehouse: {statement_timeout: 999999999999999d}",
                "warehouse: {statement_timeout: 99999999999999999}",
                "triggers: [{}]",
                'x: "\\ud800"',
                "? {a: b}",
                "mcp_servers: {a: {module: b, timeout: -1}}",
                "        limits: {budget: $" + "9" * 5000 + "}",
                "models: ~",
                "domains:",
                "<<: {a: 1}",
            ]
        ),
    ),
)
def test_any_line_put_into_a_config_loads_or_is_a_config_error(shared: Path, line: int, piece: str) -> None:
    lines = SMALL.splitlines()
    lines.insert(line, piece)
    outcome(shared, "\n".join(lines).encode("utf-8", "replace"))
