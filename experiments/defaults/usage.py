"""A log of apps that are used again and again, with two that were not used for every one that was.

Ten categorical fields, 288,000 rows, a third of them clicks. Who uses which app comes from popularity, from tastes that
users and apps share, and from chance that a user keeps: only the pair itself tells of it. The AUC of a model on
such a log learns how well it remembers pairs.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl

USERS, ITEMS, USES = 957, 4082, 96_000
TIMES, WEEKDAYS, HOMES, WEATHERS, COUNTRIES, CITIES = 7, 7, 3, 9, 80, 233


def make_usage(folder: Path, seed: int = 5) -> None:
    """Write train.parquet, valid.parquet, test.parquet (7:2:1) and dagfm.yaml; the same seed gives the same rows."""
    random = np.random.default_rng(seed)
    activity = random.lognormal(0, 1.2, USERS)
    activity /= activity.sum()
    popularity = 1 / np.arange(1, ITEMS + 1) ** 0.9
    tastes, kinds = random.normal(size=(USERS, 8)), random.normal(size=(ITEMS, 8))
    user = random.choice(USERS, USES, p=activity)
    frequency = 1 / np.arange(1, COUNTRIES + 1) ** 1.3
    country = random.choice(COUNTRIES, USERS, p=frequency / frequency.sum())
    city = random.integers(0, CITIES, USERS)
    daytime, weekday = random.integers(0, TIMES, USES), random.integers(0, WEEKDAYS, USES)
    cost = random.integers(0, 2, ITEMS)
    of_time, of_home = random.normal(size=(TIMES, ITEMS)) * 0.8, random.normal(size=(HOMES, ITEMS)) * 0.8
    home, weather = random.integers(0, HOMES, USES), random.integers(0, WEATHERS, USES)
    likes = np.log(popularity)[None] + 0.9 * tastes @ kinds.T + 1.2 * random.gumbel(size=(USERS, ITEMS))
    installed = np.argsort(-likes, axis=1)
    many = np.clip(random.lognormal(2.8, 0.7, USERS), 3, 200).astype(int)
    item = np.empty(USES, int)
    for row in range(USES):
        who = user[row]
        apps = installed[who, : many[who]]
        chance = 0.5 * likes[who, apps] + of_time[daytime[row], apps] + of_home[home[row], apps]
        chance = np.exp(chance - chance.max())
        item[row] = random.choice(apps, p=chance / chance.sum())

    def rows(items: np.ndarray, label: int, of: np.ndarray) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "label": np.full(len(items), label),
                "user": user[of],
                "item": items,
                "daytime": daytime[of],
                "weekday": weekday[of],
                "isweekend": (weekday >= 5).astype(int)[of],
                "homework": home[of],
                "cost": cost[items],
                "weather": weather[of],
                "country": country[user[of]],
                "city": city[user[of]],
            }
        )

    uses = np.arange(USES)
    used, not_used = rows(item, 1, uses), rows(random.integers(0, ITEMS, 2 * USES), 0, np.repeat(uses, 2))
    log = pl.concat([used, not_used])[random.permutation(3 * USES).tolist()]
    folder.mkdir(parents=True, exist_ok=True)
    first, second = int(len(log) * 0.7), int(len(log) * 0.9)
    for name, part in (("train", log[:first]), ("valid", log[first:second]), ("test", log[second:])):
        part.write_parquet(folder / f"{name}.parquet")
    fields = "".join(f"  - {{name: {name}}}\n" for name in log.columns[1:])
    (folder / "dagfm.yaml").write_text(
        "data:\n  train: train.parquet\n  valid: valid.parquet\n  test: test.parquet\n  label: label\n\n"
        f"fields:\n{fields}"
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("give a folder to write")
    make_usage(Path(sys.argv[1]))
