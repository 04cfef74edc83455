"""Granian's own command line, with the application imported before it starts its processes.

They are forks of this one: what was made before exists once for all of them, and one that has to be started again is
there at once.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import sys
from importlib import import_module

from granian.cli import entrypoint

_M_MMAP_THRESHOLD = -3  # malloc.h
LARGE = 1024 * 1024


def main() -> None:
    """Serve the application that is the last argument (`module:name`) until SIGTERM."""
    _return_large_memory()
    import_module(sys.argv[-1].partition(":")[0])
    multiprocessing.set_start_method("fork")
    # The collector writes into every object that it looks at, which would copy the shared pages; it skips frozen ones.
    gc.collect()
    gc.freeze()
    entrypoint()  # type: ignore[no-untyped-call]


def _return_large_memory() -> None:
    """Let the C library give a large piece of memory back to the system as soon as it is free.

    Left to itself glibc keeps what it once needed: 19 MiB in each process after the first password (mallopt(3)).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE)


if __name__ == "__main__":
    main()
