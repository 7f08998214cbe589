"""What a click log holds, and what in it would make a model's score mean less than it seems to.

Two passes in bounded memory: values by sketch, numbers and drift by exact sums and a sample of rows, pairs of ids by
sketch. ``describe`` returns plain values; ``dagfm data describe`` prints them, ``report`` makes a section of them.
"""

from dagfm.data.describe.description import describe as describe
