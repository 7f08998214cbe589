"""GroupLens' MovieLens 100k and 1M, with ratings made into clicks.

Facts: GroupLens' README files; 1M by the protocol of the published tables, 100k as RecBole and this project's examples
do it.
"""

from __future__ import annotations

import polars as pl

from dagfm.data.catalog.entry import Cell, DataSet, Edition, Layout, Part, Variant, Wheel

_RATING = Cell(r"[1-5](\.0)?", "a rating from 1 to 5")
_NUMBER = Cell(r"\d+", "a number")
_CITE = 'F. M. Harper and J. A. Konstan, "The MovieLens Datasets: History and Context", ACM TiiS 5(4), 2015.'
_TERMS = f"""\
For research; no redistribution and no commercial use without permission of GroupLens, University of Minnesota. Cite
{_CITE}"""

# 100k

RECBOLE = "user_id:token", "item_id:token", "rating:float", "timestamp:float"
INTER = Layout(
    title="RecBole's ml-100k.inter", columns=RECBOLE, separator="\t", format="recbole", cells={"rating:float": _RATING}
)
USER = Layout(
    title="RecBole's ml-100k.user",
    columns=("user_id:token", "age:token", "gender:token", "occupation:token"),
    separator="\t",
    format="recbole",
)
ITEM = Layout(
    title="RecBole's ml-100k.item",
    columns=("item_id:token", "release_year:token", "class:token_seq"),
    separator="\t",
    format="recbole",
)
U_DATA = Layout(
    title="GroupLens' u.data",
    columns=("user_id", "item_id", "rating", "timestamp"),
    separator="\t",
    header=False,
    cells={"user_id": _NUMBER, "item_id": _NUMBER, "rating": _RATING, "timestamp": _NUMBER},
    advice="'dagfm data get ml-100k' gets the same ratings as RecBole's atomic files",
)
RATINGS_CSV = Layout(
    title="ratings.csv of a newer MovieLens",
    columns=("userId", "movieId", "rating", "timestamp"),
    advice="the catalog has MovieLens 100k and 1M; 'dagfm init FILE --label rating' writes a configuration for others",
)

ML_100K = DataSet(
    name="ml-100k",
    title="MovieLens 100k, ratings of 4 and 5 as clicks",
    rows=100_000,
    source=("dagfm data get ml-100k",),
    terms=_TERMS,
    wheel=Wheel(
        "recbole==1.2.1",
        "recbole/dataset_example/ml-100k/",
        {
            "ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
            "ml-100k.user": "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972",
            "ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
        },
    ),
    editions=(
        Edition(
            {
                "train": Part(INTER, "ml-100k.inter", 100_000),
                "user_id": Part(USER, "ml-100k.user", 943),
                "item_id": Part(ITEM, "ml-100k.item", 1_682),
            },
            label={"column": "rating", "positive_from": 4},
        ),
    ),
    variants={
        "default": Variant(
            title="MovieLens 100k, random 8:1:1",
            size=16,
            fields=(
                "zip_code and movie_title are left out: they name the user and the film once more.",
                {"name": "user_id", "type": "token", "side": "context"},
                {"name": "age", "type": "token", "side": "context"},
                {"name": "gender", "type": "token", "side": "context"},
                {"name": "occupation", "type": "token", "side": "context"},
                {"name": "item_id", "type": "token", "side": "candidate"},
                {"name": "release_year", "type": "token", "side": "candidate"},
                {"name": "class", "type": "token_seq", "separator": " ", "side": "candidate"},
            ),
            published={},
            notes=("Papers split this data set in many ways; the README of dagfm has figures on this one.",),
        )
    },
    others=(U_DATA, RATINGS_CSV),
)

# 1M


def _films(data: bytes) -> pl.DataFrame:
    """movies.dat as a table: the year of release stands at the end of the title."""
    lines = [line.split("::") for line in data.decode("latin-1").splitlines() if line]
    films = pl.DataFrame(lines, schema=["movie_id", "title", "genres"], orient="row")
    year = pl.col("title").str.extract(r"\((\d{4})\)\s*$").cast(pl.Int64).alias("year")
    return films.select(pl.col("movie_id").cast(pl.Int64), year, "genres")


RATINGS = Layout(
    title="ratings.dat of MovieLens 1M",
    columns=("user_id", "movie_id", "rating", "timestamp"),
    separator="::",
    header=False,
    cells={"user_id": _NUMBER, "movie_id": _NUMBER, "rating": _RATING, "timestamp": _NUMBER},
)
USERS = Layout(
    title="users.dat of MovieLens 1M",
    columns=("user_id", "gender", "age", "occupation", "zip_code"),
    separator="::",
    header=False,
    cells={"user_id": _NUMBER, "gender": Cell("F|M", "F or M"), "age": _NUMBER, "occupation": _NUMBER},
)
MOVIES = Layout(
    title="movies.dat of MovieLens 1M",
    columns=("movie_id", "title", "genres"),
    separator="::",
    header=False,
    encoding="latin-1",
    cells={"movie_id": _NUMBER},
)
JOINED = Layout(
    title="MovieLens 1M as one joined table",
    columns=("user_id", "gender", "age", "occupation", "movie_id", "year", "genres", "rating"),
    cells={"rating": _RATING},
)
_CLICK = {"column": "rating", "positive_from": 4, "drop": [3]}

ML_1M = DataSet(
    name="ml-1m",
    title="MovieLens 1M, ratings of 4 and 5 as clicks, 3 dropped",
    rows=1_000_209,
    source=(
        "download ml-1m.zip from https://grouplens.org/datasets/movielens/1m/ (6 MB)",
        "unpack it: unzip ml-1m.zip",
    ),
    terms=_TERMS,
    editions=(
        Edition(
            {
                "train": Part(RATINGS, "ratings.dat", 1_000_209),
                "user_id": Part(USERS, "users.dat", 6_040),
                "movie_id": Part(MOVIES, "movies.dat", 3_883, derived=_films),
            },
            label=_CLICK,
        ),
        Edition({"train": Part(JOINED, "ml-1m.parquet", 1_000_209)}, label=_CLICK),
    ),
    variants={
        "default": Variant(
            title="MovieLens 1M, seven fields, random 8:1:1",
            size=16,
            fields=(
                {"name": "user_id", "type": "token", "side": "context"},
                {"name": "gender", "type": "token", "side": "context"},
                {"name": "age", "type": "token", "side": "context"},
                {"name": "occupation", "type": "token", "side": "context"},
                {"name": "movie_id", "type": "token", "side": "candidate"},
                {"name": "year", "type": "token", "side": "candidate"},
                {"name": "genres", "type": "token_seq", "separator": "|", "max_length": 5, "side": "candidate"},
            ),
            published={
                "ECN": (".905912", ".301372"),
                "EKTF": (".907529", ".300113"),
                "FCN (DCNv3)": (".907562", ".301453"),
                "QNN-alpha": (".908781", ".296032"),
                "QNN-alpha + DCNv2": (".909169", ".295782"),
            },
            notes=("The published split has the same ratios, not the same rows: its test part has about 73,900.",),
        )
    },
    others=(U_DATA, RATINGS_CSV),
)
