"""The same tools and turns by pydantic-ai's durable agent on Prefect: a program of its own environment.

It needs `pydantic-ai-slim[prefect]` and nothing of Aspora. Its argument is a JSON file: a list of subflows,
each a list of turns, each a list of calls with `tool`, `input` and `output`. The model is scripted, the tools
answer with the outputs at once. For each line on stdin it runs all of it as one flow, and prints how many
seconds that took.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from prefect import flow
from pydantic_ai import Agent, Tool
from pydantic_ai.durable_exec.prefect import PrefectDurability
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

Turn = list[dict[str, Any]]
ANSWER = "The partner limits requests."


def agent(number: int, turns: list[Turn]) -> Agent[None, str]:
    """An agent that takes these turns, then answers."""

    async def decide(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
        place = sum(isinstance(message, ModelResponse) for message in messages)
        calls = turns[place] if place < len(turns) else []
        parts = [ToolCallPart(call["tool"], call["input"]) for call in calls]
        return ModelResponse(parts=parts or [TextPart(ANSWER)])

    return Agent(
        FunctionModel(decide),
        name=f"skill-{number}",
        tools=[tool(name, turns) for name in sorted({call["tool"] for turn in turns for call in turn})],
        capabilities=[PrefectDurability()],
    )


def tool(name: str, turns: list[Turn]) -> Tool[None]:
    """A tool that answers what was recorded for its arguments."""
    answers = {_key(call["input"]): call["output"] for turn in turns for call in turn if call["tool"] == name}

    async def answer(**given: Any) -> Any:
        return answers[_key(given)]

    schema = {"type": "object", "additionalProperties": True}
    return Tool.from_schema(answer, name=name, description=name, json_schema=schema)


def _key(arguments: dict[str, Any]) -> str:
    return json.dumps(arguments, sort_keys=True)


async def main() -> None:
    """Runs the flow for each line on stdin."""
    subflows = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    agents = [agent(number, turns) for number, turns in enumerate(subflows)]

    @flow(name="durable-skill")
    async def skill(number: int) -> str:
        return (await agents[number].run("Look into it.")).output

    @flow(name="durable")
    async def durable() -> list[str]:
        return [await skill(number) for number in range(len(agents))]

    for _ in sys.stdin:
        started = time.perf_counter()
        answers = await durable()
        if set(answers) != {ANSWER}:
            raise RuntimeError(f"the agents answered {answers}")
        sys.stdout.write(f"{time.perf_counter() - started}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
