"""The four parts of a task, a page each; `optional` is for what only a few tasks need.

In: a task file, which says what is its own.
Out: what later stages ask a task for: target, answer, judging, presentation.
"""

from backmix.outcome import Outcome as Outcome
from backmix.tasks.contract.answer import Answer as Answer
from backmix.tasks.contract.answer import Kind as Kind
from backmix.tasks.contract.judging import Judging as Judging
from backmix.tasks.contract.plan import TaskPlan as TaskPlan
from backmix.tasks.contract.presentation import Presentation as Presentation
from backmix.tasks.contract.target import Target as Target
