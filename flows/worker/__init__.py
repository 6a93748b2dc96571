"""The warm worker: a Prefect worker that forks its runs from a process which has everything imported."""
