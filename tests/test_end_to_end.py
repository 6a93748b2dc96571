"""From a firing alert to freed orders: real Alertmanager, real `aspora up`, real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from flows.performance import artifact_key
from grafana.preview.variables import filled
from tasks import approvals, inbox, record
from tests import dashboards
from tests.alertmanager import Alertmanager
from tests.browser import log_in
from tests.up_world import TOKEN, Up
from tests.worlds import DIAGNOSED, platform_database

pytestmark = pytest.mark.full
pytest_plugins = ["tests.browser"]
ROUTING = [*DIAGNOSED, {"when": "diagnose.confidence == high && auto_fix", "route_to": "ecm-resolve"}]
ALERT = {"alertname": "StuckOrders", "stage": "lulu"}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A running platform that diagnoses before it proposes a fix."""
    instance = Up(tmp_path_factory.mktemp("end-to-end"), ROUTING)
    try:
        instance.start()
        yield instance
    finally:
        instance.kill()


@pytest.fixture(scope="module")
def alertmanager(up: Up, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    """An Alertmanager that notifies its gateway, and repeats itself."""
    webhook = f"http://127.0.0.1:{up.gateway}/alerts/prometheus"
    instance = Alertmanager(tmp_path_factory.mktemp("alertmanager"), webhook, TOKEN)
    yield instance
    instance.close()


def alerts(up: Up) -> list[inbox.Trigger]:
    """What came in from Alertmanager."""
    found = platform_database(up.environment).read_now(lambda conn: inbox.find(conn, domain="ecm"))
    return [trigger for trigger in found if trigger.source == "prometheus"]


def test_a_firing_alert_is_one_run_and_its_end_is_noted(up: Up, alertmanager: Alertmanager) -> None:
    alertmanager.fire(ALERT, "Orders are stuck at lulu")
    trigger = up.until(lambda: next(iter(alerts(up)), None))
    assert up.runs(trigger.id).result == "awaiting_approval"
    alertmanager.resolve(ALERT)
    up.until(lambda: up.row(trigger.id).resolved_at)
    assert [each.id for each in alerts(up)] == [trigger.id]
    runs = [run for run in up.flow_runs("ecm") if run["parameters"].get("trigger_id") == trigger.id]
    assert len(runs) == 1


def test_the_form_in_the_browser_frees_the_orders(up: Up, page: Page, alertmanager: Alertmanager) -> None:
    asked = up.until(up.waiting)
    log_in(page, up.prefect, up.password)
    page.goto(f"http://127.0.0.1:{up.prefect}/runs/flow-run/{asked.flow_run_id}")
    page.get_by_role("button", name="Resume").first.click()
    form = page.locator(".p-modal")
    for words in (asked.id, "Root cause", "Evidence", "What will be done", "lulu"):
        expect(form).to_contain_text(words)
    submit = form.get_by_role("button", name="Submit")
    fill(page, form, "approve", "Ada", "looks right")
    submit.click()
    expect(form).to_be_hidden()
    done = up.until(lambda: decided(up, asked.id), lambda: up.state(asked.flow_run_id or ""))
    assert (done.status, done.decided_by, done.decided_via) == ("done", "Ada", "prefect")
    assert not done.verified
    assert done.comment == "looks right"
    assert done.result["done"] > 0
    assert done.result["failed"] == 0


def test_a_dashboards_link_shows_an_executions_page(up: Up, page: Page, alertmanager: Alertmanager) -> None:
    """The address that the dashboards make of an execution's id: its artifact, and one click on, its page."""
    [trigger] = up.until(lambda: alerts(up))
    database = platform_database(up.environment)
    id = up.until(lambda: database.read_now(lambda conn: record.of_run(conn, trigger.run_id)))[0].execution_id
    [panel] = [
        each for each in dashboards.panels(dashboards.read("skill-performance")) if "Recent" in each["title"]
    ]
    [link] = [url for url in dashboards.links(panel) if "artifacts" in url]
    values = {"prefect": f"http://127.0.0.1:{up.prefect}", "__data.fields.page": artifact_key(id)}
    log_in(page, up.prefect, up.password)
    page.goto(filled(link, values))
    expect(page.get_by_text(f"Execution {id}")).to_be_visible()
    page.get_by_role("heading", level=6).get_by_role("link").first.click()
    for words in ("Input", "Tool calls", "Reasoning trace"):
        expect(page.get_by_text(words).first).to_be_visible()


def fill(page: Page, form: Locator, decision: str, name: str, comment: str) -> None:
    """Fills the form in as a person does; nothing is filled in beforehand."""
    texts = form.get_by_role("textbox")
    assert [texts.nth(place).input_value() for place in range(2)] == ["", ""]
    select = form.locator(".p-select button, button.p-select").first
    select.focus()
    page.keyboard.press("ArrowDown")
    page.get_by_role("option", name=decision).click()
    texts.nth(0).fill(name)
    texts.nth(1).fill(comment)


def decided(up: Up, id: str) -> approvals.Approval | None:
    """The approval, once it is carried out."""
    found = platform_database(up.environment).read_now(lambda conn: approvals.get(conn, id))
    return found if found.finished_at else None
