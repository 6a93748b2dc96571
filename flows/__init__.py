"""What happens: one folder a domain, the orchestrator, the command line."""
