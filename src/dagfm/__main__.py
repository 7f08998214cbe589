"""``python -m dagfm`` is ``dagfm``."""

from dagfm.cli import main

main()
