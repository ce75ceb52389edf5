"""How the states of inputs become numbers, and what is said of it.

This module learns the coding of a table's states from the rows that teach, as the plan asks.
"""

from __future__ import annotations

from backmix.data.segments import Mask
from backmix.data.states import Coded, StateCoding, code_states, learn_states
from backmix.data.table import Table
from backmix.decision import Decision
from backmix.training.plan import Plan


def coded_states(table: Table, plan: Plan, rows: Mask) -> tuple[tuple[StateCoding, ...], Coded]:
    """How the states of inputs are coded, learned from these rows, and the table with numbers in their place."""
    states = learn_states(table, rows=rows, most=plan.scaling.states, rare=plan.scaling.rare)
    return states, code_states(table, states)


def stated(coding: StateCoding, plan: Plan) -> Decision:
    """What the states of an input became, for the report."""
    rare = [name for name in coding.tag.categories if name not in coding.own]
    values = {
        "tag": coding.tag.name,
        "states": ", ".join(coding.own),
        "columns": ", ".join(coding.columns),
        "others": ", ".join(rare[:8]) + (" …" if len(rare) > 8 else ""),
        "rare": plan.scaling.rare,
    }
    key = "prepare.states_pooled" if rare else "prepare.states"
    return Decision(coding.columns, key, values, setting="scaling.states")
