"""One run: from a configuration to a directory with results and a bundle."""
