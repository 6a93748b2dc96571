"""A message from outside as the input of a domain's run."""

from __future__ import annotations

import logging
import traceback
from typing import Any

from pydantic import BaseModel, ValidationError

from blocks.printable import printable
from tasks.domain import Domain, Incoming
from tasks.platform import Platform

_log = logging.getLogger("aspora.orchestrator")


class Unfit(ValueError):
    """The message does not make an input of the domain. The message says why, for who sent it."""


def payload(platform: Platform, domain: str, message: Incoming) -> dict[str, Any]:
    """The run's input as JSON.

    Raises:
        Unfit: it does not fit, or the domain's code has a fault.
    """
    try:
        code = platform.code(domain)
    except Exception as error:
        raise _fault(domain, message, error) from error
    try:
        given = code.read(message, platform.config) if code.read else _read(code, message)
        dumped: dict[str, Any] = given.model_dump(mode="json")
    except ValidationError as error:
        raise Unfit(f"the message does not fit {domain}: {_faults(error, code.input)}") from error
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise Unfit(f"the message does not fit {domain}: {str(error)[:500]}") from error
    except Exception as error:
        raise _fault(domain, message, error) from error
    return dumped


def _fault(domain: str, message: Incoming, error: Exception) -> Unfit:
    trace = printable("".join(traceback.format_exception(error)))
    _log.error("the code of domain %s can't read message %s:\n%s", domain, message.dedupe_key, trace)
    why = printable(f"{type(error).__name__}: {error}")[:500]
    return Unfit(f"the code of {domain} can't read the message ({why}); replay it once that is mended")


def _read(code: Domain, message: Incoming) -> BaseModel:
    """A webhook's body is the input; other messages have the input's fields among their own."""
    if message.source == "webhook":
        return code.input.model_validate(message.data)
    known = {name: value for name, value in message.fields.items() if name in code.input.model_fields}
    return code.input.model_validate(known)


def _faults(error: ValidationError, model: type[BaseModel]) -> str:
    faults = [
        f"{'.'.join(map(str, each['loc']))[:100] or 'the body'}: {each['msg'][:200]}"
        for each in error.errors(include_url=False, include_input=False)[:5]
    ]
    return f"{'; '.join(faults)}; its fields are: {', '.join(model.model_fields) or 'none'}"
