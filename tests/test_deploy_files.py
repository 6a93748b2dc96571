"""The files of `deploy/`: variables that are known, units that systemd takes, manifests that fit together."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.settings import Settings
from prefect_redis.cleanup_queue import RedisWorkerCleanupQueueSettings
from prefect_redis.client import RedisMessagingSettings
from pydantic import BaseModel

from blocks.home import ROOT
from tests.grown_world import read_settings
from tests.needs import program

DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").iterdir())
VALUES = ("prefect-server-values.yaml", "prefect-worker-values.yaml")
IMAGE = "registry.example.com/aspora:0.1.0"
REDIS: dict[str, type[BaseModel]] = {
    "PREFECT_REDIS_MESSAGING_": RedisMessagingSettings,
    "PREFECT_REDIS_WORKER_CLEANUP_QUEUE_": RedisWorkerCleanupQueueSettings,
}
"""Prefix of variables → whose they are."""
MADE_APART = {"aspora-config", "aspora-secrets", "aspora-masking-key"}


def defaults(**variables: str) -> dict[str, Any]:
    """Prefect's settings with these variables and no others."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("PREFECT_")]:
            patch.delenv(name)
        for name, value in variables.items():
            patch.setenv(name, value)
        return Settings().model_dump()


@cache
def sources() -> str:
    """All code of ours."""
    files = [path for folder in ("flows", "tasks", "blocks") for path in (ROOT / folder).rglob("*.py")]
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


def known(name: str, value: str) -> bool:
    """Whether somebody reads a variable."""
    for prefix, settings in REDIS.items():
        if name.startswith(prefix):
            return name.removeprefix(prefix).lower() in settings.model_fields
    if name.startswith("PREFECT_"):
        return defaults(**{name: value}) != defaults()
    return f'"{name}"' in sources()


@pytest.mark.parametrize(
    ("file", "name"),
    [(file, name) for file in ("prefect.env", "aspora.env") for name in read_settings(file)],
)
def test_each_variable_is_read_by_somebody(file: str, name: str) -> None:
    assert known(name, read_settings(file)[name])


def test_a_variable_that_nobody_reads_is_found() -> None:
    assert not known("PREFECT_SERVER_DOCKETS_URL", "redis://localhost")
    assert not known("PREFECT_REDIS_MESSAGING_ADDRESS", "localhost")
    assert not known("ASPORA_GATEWAY_TOKENS", "token")


def test_modules_that_variables_name_are_there() -> None:
    named = [value for value in read_settings("prefect.env").values() if value.startswith("prefect_redis.")]
    assert len(named) == 5
    assert all(find_spec(each) for each in named)


def unit(path: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(path.read_text(encoding="utf-8"))
    return parser


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_starts_what_there_is(path: Path) -> None:
    said = path.read_text(encoding="utf-8")
    command = unit(path)["Service"]["ExecStart"].removeprefix("/opt/aspora/.venv/bin/").split()
    assert command[0] in ("aspora", "prefect", "python")
    if command[0] == "python":
        assert find_spec(command[2])
    for file in re.findall(r"^EnvironmentFile=/etc/aspora/(.+)$", said, re.MULTILINE):
        assert (DEPLOY / file).exists()
    assert ("%i" in said) == ("@" in path.name)


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    analyze = program("systemd-analyze", "systemd")
    files = []
    for path in UNITS:
        name = path.name.replace("@", "@8321")
        text = path.read_text(encoding="utf-8").replace("/opt/aspora/.venv/bin/", "/usr/bin/env ")
        (tmp_path / path.name).write_text(text, encoding="utf-8")
        files.append(str(tmp_path / name))
    done = subprocess.run(
        [analyze, "verify", "--man=no", *files], text=True, capture_output=True, check=False
    )
    ours = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "aspora" in line]
    assert ours == []


def test_systemd_would_say_what_is_wrong(tmp_path: Path) -> None:
    analyze = program("systemd-analyze", "systemd")
    file = tmp_path / "aspora-wrong.service"
    file.write_text("[Service]\nExecStart=/usr/bin/env true\nRestarts=always\n", encoding="utf-8")
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(file)], text=True, capture_output=True, check=False
    )
    assert "Restarts" in done.stderr


def documents() -> list[dict[str, Any]]:
    text = (DEPLOY / "kubernetes" / "aspora.yaml").read_text(encoding="utf-8")
    return list(yaml.safe_load_all(text))


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and pod template of all that runs."""
    for each in documents():
        if each["kind"] in ("Deployment", "Job"):
            yield each["metadata"]["name"], each["spec"]["template"]


def test_what_manifests_refer_to_is_there() -> None:
    made = {each["metadata"]["name"] for each in documents()} | MADE_APART
    for name, template in pods():
        (container,) = template["spec"]["containers"]
        volumes = {each["name"]: each for each in template["spec"]["volumes"]}
        assert {each["name"] for each in container["volumeMounts"]} == set(volumes), name
        refers = [next(iter(each.values())).get("name") for each in container["envFrom"]]
        for each in volumes.values():
            refers += [each[kind][key] for kind, key in REFERENCES.items() if kind in each]
        assert set(refers) <= made, name
        assert container["image"] == IMAGE


REFERENCES = {"configMap": "name", "secret": "secretName", "persistentVolumeClaim": "claimName"}


def test_selectors_choose_the_pods_of_their_own() -> None:
    labels = {name: template["metadata"]["labels"] for name, template in pods()}
    for each in documents():
        if each["kind"] == "Deployment":
            assert each["spec"]["selector"]["matchLabels"] == labels[each["metadata"]["name"]]
        if each["kind"] == "Service":
            assert each["spec"]["selector"] == labels[each["metadata"]["name"]]
        if each["kind"] == "PodDisruptionBudget":
            assert each["spec"]["selector"]["matchLabels"] == labels[each["metadata"]["name"]]


def test_containers_start_modules_that_there_are_and_ask_routes_that_there_are() -> None:
    from flows.gateway.health import router

    routes = {route.path for route in router.routes}  # type: ignore[attr-defined]
    for name, template in pods():
        (container,) = template["spec"]["containers"]
        words = container["args"]
        assert words == ["aspora", "deploy"] or find_spec(words[2]), name
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if probe in container:
                assert container[probe]["httpGet"]["path"] in routes


def test_settings_of_manifests_are_those_of_the_files() -> None:
    (settings,) = [each["data"] for each in documents() if each["kind"] == "ConfigMap"]
    secret = {
        "PREFECT_API_AUTH_STRING",
        "ASPORA_DATABASE_URL",
        "ASPORA_WAREHOUSE_URL",
        "ASPORA_GATEWAY_TOKEN",
    }
    shared = {"PREFECT_RESULTS_LOCAL_STORAGE_PATH"}
    assert set(read_settings("aspora.env")) - secret - shared <= set(settings)
    assert all(known(name, value) for name, value in settings.items())


def test_values_say_what_the_file_of_variables_says() -> None:
    server, worker = (
        yaml.safe_load((DEPLOY / "kubernetes" / name).read_text(encoding="utf-8")) for name in VALUES
    )
    wanted = read_settings("prefect.env")
    messaging = server["backgroundServices"]["messaging"]
    assert messaging["broker"] == wanted["PREFECT_MESSAGING_BROKER"]
    assert messaging["cache"] == wanted["PREFECT_MESSAGING_CACHE"]
    assert messaging["docket"]["url"] == wanted["PREFECT_SERVER_DOCKET_URL"]
    given = {each["name"]: each["value"] for each in server["global"]["prefect"]["env"]}
    assert given.items() <= wanted.items()
    image = server["global"]["prefect"]["image"]
    assert image == worker["worker"]["image"]
    assert f"{image['repository']}:{image['prefectTag']}" == IMAGE
    assert worker["worker"]["args"][2] == "flows.worker"
    assert set(worker["worker"]["extraEnvVarsCMs"] + worker["worker"]["extraEnvVarsSecrets"]) <= {
        *MADE_APART, *(each["metadata"]["name"] for each in documents()),
    }  # fmt: skip
