"""Made-up files in exactly the layouts of published data sets; not a row of theirs."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import numpy as np

from dagfm.data.catalog.avazu import KAGGLE
from dagfm.data.catalog.criteo import IDS, NUMBERS
from dagfm.data.catalog.frappe import CSV as FRAPPE

GENRES = ("Action", "Children's", "Comedy", "Drama", "Film-Noir", "Sci-Fi", "War")


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    """The text as a file, packed where the name ends in .gz."""
    data = text.encode(encoding)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def criteo(rows: int, seed: int = 0) -> list[list[str]]:
    """Cells of train.txt: label, 13 integers (missing ones, negative ones), 26 hashes (missing ones)."""
    random = np.random.default_rng(seed)
    numbers = np.floor(random.lognormal(1.5, 1.5, (rows, len(NUMBERS)))).astype(int) - 2
    ids = random.integers(0, 40, (rows, len(IDS))) * 2_654_435_761 % (1 << 32)
    missing = random.random((rows, len(NUMBERS) + len(IDS))) < 0.2
    label = random.random(rows) < 0.15 + 0.3 * (ids[:, 0] % 3 == 0)
    found = []
    for row in range(rows):
        cells = [*(str(value) for value in numbers[row]), *(f"{value:08x}" for value in ids[row])]
        found.append(
            [str(int(label[row])), *("" if gone else cell for cell, gone in zip(cells, missing[row], strict=True))]
        )
    return found


def criteo_x1(rows: int, seed: int = 0) -> list[list[str]]:
    """Cells of Criteo_x1: label, 13 numbers from 0 to 1, 26 categories by number."""
    random = np.random.default_rng(seed)
    numbers = random.random((rows, len(NUMBERS))).round(6) * (random.random((rows, len(NUMBERS))) < 0.8)
    ids = random.integers(0, 30, (rows, len(IDS)))
    label = random.random(rows) < 0.15 + 0.3 * (ids[:, 0] % 2)
    return [
        [str(int(label[row])), *(f"{value:g}" for value in numbers[row]), *(str(value) for value in ids[row])]
        for row in range(rows)
    ]


def avazu(rows: int, seed: int = 0) -> list[list[str]]:
    """Cells of Kaggle's train: id, click, hour (YYMMDDHH), C1, banner_pos, hashes of site, app, device, C14 to C21."""
    random = np.random.default_rng(seed)
    found = []
    for row in range(rows):
        hour = f"1410{21 + row * 10 // rows}{int(random.integers(0, 24)):02d}"
        site = int(random.integers(0, 20))
        click = int(random.random() < 0.1 + 0.4 * (site % 2))
        hashes = [f"{int(random.integers(0, 20)) * 2_654_435_761 % (1 << 32):08x}" for _ in range(7)]
        small = [str(int(random.integers(0, 4))) for _ in range(2)]
        places = [f"{site * 40_503 % (1 << 32):08x}", *hashes[:5]]
        codes = [str(int(random.integers(0, 9)) * 100 - 1) for _ in range(8)]
        device = [hashes[5], f"{row:08x}", hashes[6]]
        found.append([str(10**18 + row), str(click), hour, "1005", small[0], *places, *device, *small, *codes])
    return found


def frappe(rows: int, seed: int = 0) -> list[list[str]]:
    """Cells of Frappe_x1: label and ten ids that are numbered over all fields."""
    random = np.random.default_rng(seed)
    ids = random.integers(0, 8, (rows, 10)) + np.arange(10) * 8
    label = random.random(rows) < 0.2 + 0.4 * (ids[:, 1] % 2)
    return [[str(int(label[row])), *map(str, ids[row])] for row in range(rows)]


def with_header(names: tuple[str, ...], rows: list[list[str]]) -> str:
    """A CSV file's text."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([names, *rows])
    return text.getvalue()


def criteo_text(rows: int, seed: int = 0) -> str:
    """The text of train.txt."""
    return "".join("\t".join(cells) + "\n" for cells in criteo(rows, seed))


def avazu_text(rows: int, seed: int = 0) -> str:
    """The text of Kaggle's train."""
    return with_header(KAGGLE.columns, avazu(rows, seed))


def frappe_text(rows: int, seed: int = 0) -> str:
    """The text of one of Frappe_x1's files."""
    return with_header(FRAPPE.columns, frappe(rows, seed))


def libfm_text(rows: int, seed: int = 0) -> str:
    """The same as libfm text, labels -1 and 1."""
    lines = [[{"0": "-1", "1": "1"}[label], *(f"{one}:1" for one in ids)] for label, *ids in frappe(rows, seed)]
    return "".join(" ".join(cells) + "\n" for cells in lines)


def ml_1m(folder: Path, ratings: int, users: int = 40, films: int = 60, seed: int = 0) -> Path:
    """ratings.dat, users.dat and movies.dat, ``::``-separated, the titles in Latin-1; returns ratings.dat."""
    random = np.random.default_rng(seed)
    people = [
        f"{user}::{'MF'[user % 2]}::{(18, 25, 35)[user % 3]}::{user % 21}::{10_000 + user}"
        for user in range(1, users + 1)
    ]
    titles = [
        f"{film}::Amélie {film}, Le ({1930 + film % 70})::{'|'.join(GENRES[film % 3 : film % 3 + 1 + film % 4])}"
        for film in range(1, films + 1)
    ]
    pairs = random.choice(users * films, ratings, replace=False)
    rated = []
    for number, pair in enumerate(pairs):
        user, film = pair // films + 1, pair % films + 1
        rated.append(f"{user}::{film}::{1 + (film + int(random.integers(0, 3))) % 5}::{978_300_000 + number}")
    for name, lines in (("users.dat", people), ("movies.dat", titles), ("ratings.dat", rated)):
        write(folder / name, "\n".join(lines) + "\n", "latin-1")
    return folder / "ratings.dat"
