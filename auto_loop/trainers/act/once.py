"""Making something on disk exactly once, however many processes ask for it at the same moment."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A file or folder and how to make it: `make` writes it, complete, to the place that it is given."""

    place: Path
    make: Callable[[Path], None]


def make_missing(products: Sequence[Product]) -> None:
    """Return when every product is there, each made by one process only.

    First what nobody else is making, then what others are: so processes that start together share the work.
    A maker that is killed leaves its lock free and a half-made thing under another name, which the next removes.
    """
    for product in products:
        with _locked(product.place, wait=False) as mine:
            if mine:
                _make(product)
    for product in products:
        if not product.place.exists():
            print(f"waiting for {product.place}, which another process is making", flush=True)
            with _locked(product.place, wait=True):
                _make(product)


def _make(product: Product) -> None:
    if product.place.exists():
        return
    aside = product.place.with_name(f".{product.place.name}.making")
    _remove(aside)
    print(f"making {product.place}", flush=True)
    product.make(aside)
    os.rename(aside, product.place)


def _remove(place: Path) -> None:
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(place: Path, *, wait: bool) -> Iterator[bool]:
    """Hold the lock beside `place`; without `wait`, yields False when another process holds it."""
    if place.exists():
        yield False
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(place.with_name(f".{place.name}.lock"), os.O_CREAT | os.O_RDWR, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)
