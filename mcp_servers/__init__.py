"""MCP servers that any client can use: warehouse, runbooks, logs, memory."""
