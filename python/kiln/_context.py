"""Contexts: threads, caches and options, and the plans that conv1d and conv2d have made with them."""

from __future__ import annotations

import ctypes
import os
import threading
from typing import Any

from kiln._error import INT_MOST, SIZE_MOST, chosen, encoded, invalid, whole
from kiln._library import CACHES, Config, Handle, Stats, call, lib

CALLS_MOST = 1024  # shapes that conv1d and conv2d remember; far more than any network has


class Context:
    """What plans are made with: threads, caches, options. Every argument left out means its default, which
    the environment may set (KILN_THREADS, KILN_ISA, KILN_CACHE, ...).

    threads: that share a run; 0: KILN_THREADS, else 1.  isa: the most that may be used, such as "avx2".
    cache: "default", "off", "read" or "on", of kernels on disk, in cache_dir, of cache_disk_bytes at most.
    cache_bytes: of kernels in memory.  wisdom: a file of timed plans.  debug: what is logged to stderr.
    generator: path of the code-generation module.

    Any number of threads may use one context. Plans made with it remain usable when it is closed.
    """

    def __init__(
        self,
        *,
        threads: int = 0,
        isa: str | None = None,
        generator: str | os.PathLike[str] | None = None,
        debug: str | None = None,
        wisdom: str | os.PathLike[str] | None = None,
        cache: str = "default",
        cache_dir: str | os.PathLike[str] | None = None,
        cache_bytes: int = 0,
        cache_disk_bytes: int = 0,
    ) -> None:
        self._handle: Handle | None = None
        self._lock = threading.Lock()
        self._calls: dict[Any, Any] = {}
        config = Config(
            size=ctypes.sizeof(Config),
            threads=whole(threads, "threads", 0, INT_MOST),
            cache_bytes=whole(cache_bytes, "cache_bytes", 0, SIZE_MOST),
            isa=encoded(isa, "isa"),
            generator=encoded(_path(generator), "generator"),
            debug=encoded(debug, "debug"),
            wisdom=encoded(_path(wisdom), "wisdom"),
            cache=chosen(cache, "cache", CACHES),
            cache_dir=encoded(_path(cache_dir), "cache_dir"),
            cache_disk_bytes=whole(cache_disk_bytes, "cache_disk_bytes", 0, SIZE_MOST),
        )
        made = ctypes.c_void_p()
        call(lib.kiln_create, ctypes.byref(made), ctypes.byref(config))
        self._handle = Handle(made.value or 0, lib.kiln_destroy)

    def _held(self) -> Handle:
        """The context of the library, which stays as long as the caller holds it."""
        handle = self._handle
        if handle is None:
            raise invalid("this context was closed")
        return handle

    def _remember(self, key: Any, made: Any) -> None:
        """Keeps what was made for a key; the oldest goes where there are too many."""
        with self._lock:
            while len(self._calls) >= CALLS_MOST:
                del self._calls[next(iter(self._calls))]
            if self._handle is not None:
                self._calls[key] = made

    def stats(self) -> dict[str, int | float]:
        """What this context has counted: hits, misses, compiles, threads, ... as struct kiln_stats says."""
        handle, stats = self._held(), Stats()
        lib.kiln_stats(handle.address, ctypes.byref(stats))
        return {str(field[0]): getattr(stats, field[0]) for field in Stats._fields_}

    def close(self) -> None:
        """Lets go of caches and threads, as soon as no call uses them. Closing twice is allowed."""
        with self._lock:
            self._handle = None
            self._calls.clear()

    def __enter__(self) -> Context:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _path(value: Any) -> Any:
    return os.fsdecode(value) if isinstance(value, os.PathLike) else value


class _Default:
    """The context of calls that name none: made when first asked for."""

    context: Context | None = None
    lock = threading.Lock()


def default_context() -> Context:
    """The context of calls that name none: all its options are those of the environment."""
    context = _Default.context
    if context is None or context._handle is None:
        with _Default.lock:
            context = _Default.context
            if context is None or context._handle is None:
                context = _Default.context = Context()
    return context


def context_of(value: Any) -> Context:
    """The context that an argument of that name means."""
    if value is None:
        return default_context()
    if not isinstance(value, Context):
        raise invalid(f"context is of type {type(value).__name__}: must be a kiln.Context")
    return value
