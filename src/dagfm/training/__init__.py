"""Phases, their loop, their checkpoints and the logits a teacher writes once."""
