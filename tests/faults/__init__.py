"""Faults, injected at random into the running platform; what came of them is audited from the outside."""
