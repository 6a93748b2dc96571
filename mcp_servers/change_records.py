"""Changes to services: one form for rows of a table and for webhook records of GitHub and GitLab.

Of GitHub are read `deployment`, `deployment_status`, `release`, `push`; of GitLab `Deployment Hook`,
`Release Hook`, `Push Hook`, `Feature Flag Hook`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel

from mcp_servers import log_lines

ChangeKind = Literal["deploy", "rollback", "config", "migration", "flag", "other"]
Status = Literal["done", "failed", "running"]

TEXT = 2000
"""Characters of a change's text that are kept."""
FILES = 20
_KINDS: tuple[tuple[ChangeKind, str], ...] = (
    ("rollback", r"roll(?:ed|ing)?[ _-]?back|revert(?:ed|s)?"),
    ("migration", r"migrat\w*|schema|alter table|ddl"),
    ("flag", r"flags?|toggle\w*|experiment"),
    ("config", r"config\w*|settings?|parameters?|env|values\.ya?ml|secrets?|terraform|\.tf"),
    ("deploy", r"deploy\w*|release\w*|rollout|version|upgrade\w*"),
)
_FAILED = re.compile(r"(?i)fail|error|cancel|abort|reject")
_RUNNING = re.compile(r"(?i)pending|queued|progress|running|waiting|created|blocked")
_SHA = re.compile(r"[0-9a-f]{40}")


class Change(BaseModel):
    """Something that was done to a service. Its texts were written by people and machines elsewhere."""

    id: str
    at: datetime
    service: str
    """Empty where the record doesn't tell."""
    kind: ChangeKind
    summary: str
    author: str = ""
    version: str = ""
    previous_version: str = ""
    """What it replaced, if the record tells."""
    diff: str = ""
    """Summary of what changed: files, messages, values before and after."""
    status: Status = "done"
    url: str = ""
    undoes: str = ""
    """The id of the change that this one took back."""


def kind_of(*texts: str) -> ChangeKind:
    """What kind of change a text speaks of; the first that fits."""
    told = " ".join(texts)
    for kind, pattern in _KINDS:
        if re.search(rf"(?i)(?<![a-z])(?:{pattern})(?![a-z])", told):
            return kind
    return "other"


def status_of(text: str) -> Status:
    """Whether a change took effect."""
    if _FAILED.search(text):
        return "failed"
    return "running" if _RUNNING.search(text) else "done"


def of_row(row: Mapping[str, Any]) -> Change | None:
    """A table's row with logical column names; None if it has no time."""
    at = log_lines.time_of(row.get("time"))
    if at is None:
        return None
    text = {name: _text(row.get(name)) for name in row}
    kinds = [kind for kind, _ in _KINDS]
    said = text.get("kind", "").lower()
    kind = next((kind for kind in kinds if kind == said), None) or kind_of(said, text.get("summary", ""))
    return Change(
        id=text.get("id") or f"{text.get('service', '')}@{_when(at).isoformat()}",
        at=_when(at),
        service=text.get("service", ""),
        kind=kind,
        summary=text.get("summary", ""),
        author=text.get("author", ""),
        version=text.get("version", ""),
        previous_version=text.get("previous_version", ""),
        diff=text.get("diff", ""),
        status=status_of(text.get("status", "")),
        url=text.get("url", ""),
        undoes=text.get("undoes", ""),
    )


def of_webhook(payload: Any, services: Mapping[str, str]) -> Change | None:
    """A webhook's body; None if it is no change, or of no form known here.

    Args:
        services: repository (`owner/name`), or an environment's or flag's name → service.
    """
    if not isinstance(payload, dict):
        return None
    reader = _gitlab if "object_kind" in payload else _github
    try:
        return reader(payload, services)
    except (KeyError, TypeError, AttributeError, ValueError):
        return None


def _github(body: Mapping[str, Any], services: Mapping[str, str]) -> Change | None:
    repository = str(body["repository"]["full_name"])
    author = _text((body.get("sender") or {}).get("login"))
    if "deployment" in body:
        return _github_deployment(body, repository, services, author)
    if "release" in body:
        release = body["release"]
        if body.get("action") not in ("published", "released"):
            return None
        return _change(
            f"github-release-{release['id']}",
            release.get("published_at"),
            _service(services, repository),
            f"release {_text(release.get('name') or release['tag_name'])}",
            kind="deploy",
            version=_text(release["tag_name"]),
            author=author,
            diff=_text(release.get("body")),
            url=_text(release.get("html_url")),
        )
    if "commits" in body and "after" in body:
        return _push(body, repository, services, author, body.get("compare"))
    return None


def _github_deployment(
    body: Mapping[str, Any], repository: str, services: Mapping[str, str], author: str
) -> Change | None:
    deployment, status = body["deployment"], body.get("deployment_status") or {}
    if status.get("state") == "inactive":
        return None
    extra = deployment.get("payload")
    extra = extra if isinstance(extra, dict) else {}
    environment = _text(deployment.get("environment"))
    version = _text(extra.get("version") or deployment.get("ref") or deployment.get("sha"))
    summary = _text(deployment.get("description")) or f"{_text(deployment.get('task'))} {version}"
    return _change(
        f"github-deployment-{deployment['id']}",
        status.get("created_at") or deployment.get("created_at"),
        _text(extra.get("service")) or services.get(environment) or _service(services, repository),
        f"{summary} to {environment}".strip(),
        kind=_deployed(summary, _text(deployment.get("task"))),
        version=version,
        previous=_text(extra.get("previous_version")),
        author=author or _text((deployment.get("creator") or {}).get("login")),
        diff=_text(extra.get("diff") or extra.get("changes")),
        status=status_of(_text(status.get("state")) or "pending"),
        url=_text(status.get("log_url") or status.get("target_url")),
    )


def _gitlab(body: Mapping[str, Any], services: Mapping[str, str]) -> Change | None:
    project = body.get("project") or {}
    repository = str(project.get("path_with_namespace") or "")
    author = _text((body.get("user") or {}).get("username") or body.get("user_username"))
    kind = body["object_kind"]
    if kind == "deployment":
        environment = _text(body.get("environment"))
        title = _text(body.get("commit_title"))
        version = _text(body.get("ref") or body.get("short_sha"))
        return _change(
            f"gitlab-deployment-{body['deployment_id']}",
            body.get("status_changed_at"),
            services.get(environment) or _service(services, repository),
            f"deploy {version} to {environment}: {title}",
            kind=_deployed(title),
            version=version,
            author=author,
            diff=title,
            status=status_of(_text(body.get("status"))),
            url=_text(body.get("deployable_url")),
        )
    if kind == "release" and body.get("action") == "create":
        return _change(
            f"gitlab-release-{body['id']}",
            body.get("released_at"),
            _service(services, repository),
            f"release {_text(body.get('name'))}",
            kind="deploy",
            version=_text(body.get("tag")),
            author=author,
            diff=_text(body.get("description")),
            url=_text(body.get("url")),
        )
    if kind == "feature_flag":
        flag = body["object_attributes"]
        name, state = _text(flag.get("name")), "on" if flag.get("active") else "off"
        return _change(
            f"gitlab-flag-{flag['id']}-{state}",
            flag.get("updated_at") or body.get("updated_at"),
            services.get(name) or _service(services, repository),
            f"feature flag {name} turned {state}",
            kind="flag",
            version=f"{name}={state}",
            author=author,
            diff=_text(flag.get("description")),
        )
    return _push(body, repository, services, author, None) if kind == "push" else None


def _push(
    body: Mapping[str, Any], repository: str, services: Mapping[str, str], author: str, url: Any
) -> Change | None:
    """A push to the default branch: where that is what deploys, it is the change."""
    home = (body.get("repository") or {}).get("default_branch") or (body.get("project") or {}).get(
        "default_branch"
    )
    branch = str(body.get("ref") or "").removeprefix("refs/heads/")
    commits = [commit for commit in body.get("commits") or [] if isinstance(commit, dict)]
    if not commits or (home and branch != home):
        return None
    told = [_text(str(commit.get("message") or "").split("\n")[0]) for commit in commits]
    files = sorted(
        {
            str(file)
            for commit in commits
            for name in ("added", "modified", "removed")
            for file in commit.get(name) or []
        }
    )
    listed = ", ".join(files[:FILES]) + (f" and {len(files) - FILES} more" if len(files) > FILES else "")
    after, before = _version(body.get("after")), _version(body.get("before"))
    return _change(
        f"push-{after}",
        commits[-1].get("timestamp"),
        _service(services, repository),
        f"{len(commits)} commits to {branch}: {'; '.join(told[:5])}",
        kind=kind_of(*told, *files[:FILES]),
        version=after,
        previous=before,
        author=author,
        diff=f"{'; '.join(told[:FILES])}. Files: {listed}",
        url=_text(url),
    )


def _change(
    id: str,
    at: Any,
    service: str,
    summary: str,
    *,
    kind: ChangeKind,
    version: str = "",
    previous: str = "",
    author: str = "",
    diff: str = "",
    status: Status = "done",
    url: str = "",
) -> Change | None:
    moment = log_lines.time_of(at)
    if moment is None:
        return None
    return Change(
        id=id,
        at=_when(moment),
        service=service,
        kind=kind,
        summary=summary[:TEXT],
        author=author,
        version=version,
        previous_version=previous,
        diff=diff,
        status=status,
        url=url,
    )


def _deployed(*texts: str) -> ChangeKind:
    """A deployment is a deploy, unless its words say that it takes something back or changes settings."""
    kind = kind_of(*texts)
    return "deploy" if kind == "other" else kind


def _service(services: Mapping[str, str], repository: str) -> str:
    return services.get(repository) or repository.rpartition("/")[2]


def _version(value: Any) -> str:
    text = _text(value)
    return text[:12] if _SHA.fullmatch(text) else text


def _when(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC)


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return _listed(value)
    return "" if value is None else " ".join(str(value).split())[:TEXT]


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(str(value) for value in values[:FILES])[:TEXT]
