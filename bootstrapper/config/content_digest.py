"""The digest of a file's content; apart, because the quick look loads little else."""

from __future__ import annotations

from hashlib import file_digest, sha256
from io import FileIO

_SMALL_BYTES = 64 * 1024


def content_digest(file: FileIO) -> str:
    """Returns the SHA-256 in hex of a file that is open without a buffer.

    A small file, as most are, is read at once: `file_digest` first makes a large buffer, which takes twice as long.
    """
    content = file.read(_SMALL_BYTES)
    if len(content) < _SMALL_BYTES and not file.read(1):
        return sha256(content).hexdigest()
    file.seek(0)
    return file_digest(file, "sha256").hexdigest()
