"""Business data, read and never written: SQLite, PostgreSQL and Redshift behind one query set."""

from blocks.warehouse.condition import ConditionError, compile_condition, condition_columns
from blocks.warehouse.engine import Reader, Warehouse, WarehouseError
from blocks.warehouse.mapping import BoundTable, Kind, MappingError, bind
from blocks.warehouse.moment import EPOCH, Moment, well_formed
from blocks.warehouse.readonly import read_only

__all__ = [
    "EPOCH",
    "BoundTable",
    "ConditionError",
    "Kind",
    "MappingError",
    "Moment",
    "Reader",
    "Warehouse",
    "WarehouseError",
    "bind",
    "compile_condition",
    "condition_columns",
    "read_only",
    "well_formed",
]
