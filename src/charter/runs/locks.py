"""Locks that the kernel releases when their holder dies, however it dies (flock; Linux and macOS).

The library filelock has no shared mode on flock, which runs need: many runs at once, but none while `gc` cleans.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from charter.errors import StoreError


@contextmanager
def locked(path: Path, *, shared: bool = False, wait: bool = True) -> Iterator[bool]:
    """Hold a lock on a file (made if needed, never removed by the holder) or a folder; yields whether it is held.

    With `wait=False` it yields False at once when another process excludes this one.

    Raises:
        StoreError: the file system gives no such locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    how = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT
    handle = os.open(path, how | os.O_CLOEXEC, 0o644)
    try:
        yield _acquire(handle, path, shared=shared, wait=wait)
    finally:
        os.close(handle)


def is_held(path: Path) -> bool:
    """Whether some process holds the lock on `path`."""
    if not path.exists():
        return False
    with locked(path, wait=False) as free:
        return not free


_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL, errno.EBADF}


def _acquire(handle: int, path: Path, *, shared: bool, wait: bool) -> bool:
    mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(handle, mode if wait else mode | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        if error.errno not in _NO_LOCKS:
            raise
        raise StoreError(
            f"{path}: the file system it lies on gives no locks (flock: {error.strerror}), so two runs could write one thing at "
            "once. Keep runs and bundles on a local disk (--store DIR, --release-to DIR), or mount the network file system with "
            "locks (NFS: without nolock, its lock service running; Lustre: with -o flock)"
        ) from None
    return True
