"""Live progress on stderr."""

from __future__ import annotations

import sys

from flows.cli.app import say
from tasks.progress import Event, Listener


def hear(quiet: bool) -> Listener:
    """A listener that writes what happens to stderr; counted work overwrites its line on a terminal."""

    def listen(event: Event) -> None:
        if quiet:
            return
        who = f"{event.skill}: " if event.skill else ""
        counting = 0 < event.done < event.total
        if not sys.stderr.isatty():
            if not counting:
                say(f"  {who}{event.text}")
        elif event.total:
            sys.stderr.write(f"\r  {who}{event.text}\x1b[K" + ("" if counting else "\n"))
        else:
            say(f"  {who}{event.text}")

    return listen
