"""Memory between unmapped pages: whoever reads or writes beyond an array of it, or writes to an input, dies."""

import ctypes
import mmap

import numpy

PAGE, NOTHING, READ, WRITE = mmap.PAGESIZE, 0, mmap.PROT_READ, mmap.PROT_READ | mmap.PROT_WRITE
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long
libc.mprotect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
libc.munmap.argtypes = ctypes.c_void_p, ctypes.c_size_t


class Guarded:
    """Memory between unmapped pages; the arrays begin behind the first, or end in front of the second."""

    def __init__(self, at_end):
        self.at_end = at_end
        self.maps = []

    def output(self, like):
        return self._copy(like)[0]

    def input(self, like):
        made, at, room = self._copy(like)
        assert libc.mprotect(at, room, READ) == 0
        return made

    def _copy(self, like):
        """The array with its shape and strides, and its pages."""
        room = -(-like.nbytes // PAGE) * PAGE
        at = libc.mmap(None, room + 2 * PAGE, NOTHING, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
        assert at != ctypes.c_void_p(-1).value
        self.maps.append((at, room + 2 * PAGE))
        at += PAGE
        assert libc.mprotect(at, room, WRITE) == 0
        first = at + room - like.nbytes if self.at_end else at
        memory = (ctypes.c_byte * like.nbytes).from_address(first)
        made = numpy.ndarray(like.shape, like.dtype, memory, 0, like.strides)
        made[...] = like
        return made, at, room

    def close(self):
        for each in self.maps:
            libc.munmap(*each)
