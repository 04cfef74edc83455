"""Granian's own command line, with the application imported before it starts its processes.

They are forks of this one: what was made before exists once for all of them, and one that has to be started again is
there at once.
"""

from __future__ import annotations

import gc
import multiprocessing
import sys
from importlib import import_module

from granian.cli import entrypoint


def main() -> None:
    """Serve the application that is the last argument (`module:name`) until SIGTERM."""
    import_module(sys.argv[-1].partition(":")[0])
    multiprocessing.set_start_method("fork")
    # The collector writes into every object that it looks at, which would copy the shared pages; it skips frozen ones.
    gc.collect()
    gc.freeze()
    entrypoint()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
