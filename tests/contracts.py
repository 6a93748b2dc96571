"""An import contract that follows the config: a domain's code is found through it, and by nobody else."""

from __future__ import annotations

from importlinter import Contract, ContractCheck, output

from blocks.config_file import load
from blocks.home import ROOT


class Domains(Contract):
    """No domain of the config, and nothing else in `flows`, imports a domain, in however many steps."""

    type_name = "domains"

    def check(self, graph, verbose):  # type: ignore[no-untyped-def]
        """The shortest chain of imports from each package to each domain that it must not reach."""
        domains = {each.module for each in load(ROOT / "aspora.config.yaml").domains.values()}
        domains &= graph.modules
        chains = [
            graph.find_shortest_chain(importer=importer, imported=domain, as_packages=True)
            for importer in sorted(domains | graph.find_children("flows"))
            for domain in sorted(domains - {importer})
        ]
        broken = [chain for chain in chains if chain]
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def render_broken_contract(self, check):  # type: ignore[no-untyped-def]
        """Each chain in a line."""
        for chain in check.metadata["broken"]:
            output.print(" → ".join(chain))
