"""Bundles and the scorer that reads them; never imports torch."""
