"""How a step is done: model turns, tool calls, routing, guardrails, approval, recording."""
