"""The command line: one verb a file, on top of everything; nothing imports it."""

from dagfm.cli.app import main as main
