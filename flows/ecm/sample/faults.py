"""The faults that sample worlds are drawn from."""

from __future__ import annotations

from flows.ecm.sample.fault import Fault
from flows.ecm.sample.internal_faults import INTERNAL_FAULTS
from flows.ecm.sample.partner_faults import PARTNER_FAULTS

FAULTS: tuple[Fault, ...] = (*PARTNER_FAULTS, *INTERNAL_FAULTS)
