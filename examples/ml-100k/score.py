"""Score three raw rows through the bundle of a run: two known pairs, and a user and a film that nobody has seen.

python examples/ml-100k/score.py runs/ml-100k/bundle
"""

from __future__ import annotations

import sys

import dagfm

ROWS = [
    {"user_id": "196", "age": "49", "gender": "M", "occupation": "writer", "item_id": "242", "release_year": "1996",
     "class": "Comedy"},
    {"user_id": "186", "age": "39", "gender": "F", "occupation": "executive", "item_id": "302", "release_year": "1997",
     "class": "Crime Film-Noir Mystery Thriller"},
    {"user_id": "nobody", "age": "30", "gender": "F", "occupation": "artist", "item_id": "a-new-film",
     "release_year": "2024", "class": "Drama"},
]  # fmt: skip

scorer = dagfm.load(sys.argv[1])
print(f"{'user':>8}  {'film':>10}  {'probability':>11}")
for row, probability in zip(ROWS, scorer.predict(ROWS), strict=True):
    print(f"{row['user_id']:>8}  {row['item_id']:>10}  {probability:11.4f}")
