"""Bundles behind HTTP: the Open Inference Protocol v2 and plain JSON; needs the ``serve`` extra, never torch."""
