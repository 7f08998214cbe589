"""Memory beside generalisation: which click rates of values and pairs a log repays, and what they become."""
