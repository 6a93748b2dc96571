"""The door to the outside world: verifies what comes in, stores it, and only then says so."""
