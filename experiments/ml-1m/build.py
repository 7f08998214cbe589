"""Builds the one table of this experiment from the three files of GroupLens' ml-1m.zip.

python experiments/ml-1m/build.py ml-1m.zip experiments/ml-1m/ml-1m.parquet
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import polars as pl


def table(archive: zipfile.ZipFile, name: str, columns: list[str]) -> pl.DataFrame:
    """One of the ``::``-separated files, every cell as text."""
    lines = archive.read(f"ml-1m/{name}").decode("latin-1").splitlines()
    return pl.DataFrame([line.split("::") for line in lines], schema=columns, orient="row")


def build(source: Path) -> pl.DataFrame:
    """Ratings in the file's order, each with its user and film; no timestamps."""
    with zipfile.ZipFile(source) as archive:
        ratings = table(archive, "ratings.dat", ["user_id", "movie_id", "rating", "timestamp"]).drop("timestamp")
        users = table(archive, "users.dat", ["user_id", "gender", "age", "occupation", "zip"])
        movies = table(archive, "movies.dat", ["movie_id", "title", "genres"])
    movies = movies.select("movie_id", pl.col("title").str.extract(r"\((\d{4})\)\s*$").alias("year"), "genres")
    joined = ratings.join(users, on="user_id", how="left", maintain_order="left").join(
        movies, on="movie_id", how="left", maintain_order="left"
    )
    numbers = ("user_id", "movie_id", "rating", "age", "occupation", "year")
    return joined.with_columns(pl.col(name).cast(pl.Int64) for name in numbers)


if __name__ == "__main__":
    build(Path(sys.argv[1])).write_parquet(sys.argv[2])
