"""Secrets: from the environment, or from Prefect blocks."""

from __future__ import annotations

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL

from blocks import credentials, secrets
from blocks.secrets import VARIABLES, secret

SLACK = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_SIGNING_SECRET": "s1"}


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """No secret in the environment, and none loaded."""
    for names in VARIABLES.values():
        for name in names.values():
            monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(secrets, "_loaded", {})


def test_fields_of_the_blocks_are_those_that_are_read() -> None:
    """A field that nothing reads would do nothing."""
    for kind in credentials.KINDS:
        if kind is not credentials.NamedSecrets:
            assert set(kind.model_fields) == set(VARIABLES[kind.get_block_type_slug()])


def test_without_a_server_the_environment_is_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is down costs no secret that is set, and no error."""
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-env")
    assert not secrets.load()
    assert secret("SLACK_BOT_TOKEN") == "xoxb-env"
    assert secret("SLACK_SIGNING_SECRET") == ""


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect")
async def test_saved_blocks_are_read_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """`aspora blocks --save`, then a process without these variables."""
    monkeypatch.setenv("PREFECT_API_URL", str(PREFECT_API_URL.value()))
    with monkeypatch.context() as here:
        for name, value in SLACK.items():
            here.setenv(name, value)
        saved = await credentials.register(save=True)
    assert saved["aspora-slack"] == sorted(SLACK)
    assert secrets.load()
    assert {name: secret(name) for name in SLACK} == SLACK
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-2")
    assert secret("SLACK_BOT_TOKEN") == "xoxb-2"


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect")
async def test_saving_again_keeps_what_the_environment_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """One variable after the other."""
    monkeypatch.setenv("PREFECT_API_URL", str(PREFECT_API_URL.value()))
    for name, value in (("WHATSAPP_APP_SECRET", "a"), ("WHATSAPP_VERIFY_TOKEN", "v")):
        with monkeypatch.context() as here:
            here.setenv(name, value)
            await credentials.register(save=True)
    assert secrets.load()
    assert (secret("WHATSAPP_APP_SECRET"), secret("WHATSAPP_VERIFY_TOKEN")) == ("a", "v")


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect")
async def test_secrets_that_the_config_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """`token_env: PARTNER_TOKEN` from a block; other people's documents are left alone."""
    monkeypatch.setenv("PREFECT_API_URL", str(PREFECT_API_URL.value()))
    await credentials.NamedSecrets(values={"PARTNER_TOKEN": "p"}).asave("aspora", overwrite=True)
    await credentials.NamedSecrets(values={"OTHER": "o"}).asave("somebody-elses", overwrite=True)
    assert secrets.load()
    assert (secret("PARTNER_TOKEN"), secret("OTHER")) == ("p", "")


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect")
async def test_values_are_hidden_from_those_who_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's answer without secrets, and the block as text."""
    block = credentials.SlackCredentials(bot_token="xoxb-hidden")  # type: ignore[arg-type]
    await block.asave("aspora", overwrite=True)
    assert "xoxb-hidden" not in repr(block)
    async with get_client() as client:
        documents = await client.read_block_documents(include_secrets=False)
    assert "xoxb-hidden" not in str([document.data for document in documents])
