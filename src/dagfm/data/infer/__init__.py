"""From a click log to a proposed configuration: which column is the label, which are fields, which to leave out.

Reads a sample, decides nothing silently: every column of the file comes back either as a field or as left out, each
with the reason in words. Writing them down is ``dagfm init``'s work.
"""

from dagfm.data.infer.inference import infer as infer
from dagfm.data.infer.inference import inspect as inspect
from dagfm.data.infer.proposal import Column as Column
from dagfm.data.infer.proposal import Label as Label
from dagfm.data.infer.proposal import LeftOut as LeftOut
from dagfm.data.infer.proposal import Proposal as Proposal
from dagfm.data.infer.proposal import TimeColumn as TimeColumn
