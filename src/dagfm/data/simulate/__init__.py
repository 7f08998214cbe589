"""A click log with a known truth: who clicks is drawn from probabilities that are kept, so the best score is known."""

from __future__ import annotations

from dagfm.data.simulate.options import Options
from dagfm.data.simulate.simulation import Simulation, simulate

__all__ = ["Options", "Simulation", "simulate"]
