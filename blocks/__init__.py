"""What the platform stands on: typed config, databases, the model client, MCP connections."""
