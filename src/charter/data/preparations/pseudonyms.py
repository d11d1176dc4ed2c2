"""Pseudonyms: the same value has the same one wherever the same key is used, and without the key nobody can link them.

HMAC-SHA256 (RFC 2104) of the kind and the value, cut to 40 bits. What it is not: anonymisation. Whoever has the key can try every
name or telephone number there is, so the data stay personal data (GDPR, recital 26 and article 4(5)).
"""

import hashlib
import hmac
import os
import re
import secrets
import stat
import unicodedata
from collections.abc import Callable
from pathlib import Path

from charter.data.preparations.forms import BY_MEANING, PSEUDONYM_SIGNS
from charter.errors import OptionError

KEY_BYTES = 32
_HEX = re.compile(rf"[0-9a-f]{{{2 * KEY_BYTES}}}\n?")
_IN_WORDS = (*BY_MEANING, "EMAIL", "URL", "HANDLE")
_HAN_SPACE = re.compile(r"(?<=[\u3400-\u9fff])\s+(?=[\u3400-\u9fff])")


def make_key(path: Path) -> Path:
    """Write a new random key of 256 bits that its owner alone may read (mode 0600); nothing is ever written over.

    A folder that is missing is made, for its owner alone.

    Raises:
        OptionError: a file is there already, or the place can't be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise OptionError(
            f"{path} is there already; a key that is lost links nothing any more, so it is not written over"
        ) from None
    except OSError as error:
        raise OptionError(f"the key can't be written to {path}: {error.strerror}") from None
    with os.fdopen(handle, "w", encoding="ascii") as stream:
        stream.write(secrets.token_bytes(KEY_BYTES).hex() + "\n")
    return path


def read_key(path: Path) -> bytes:
    """A key written by `make_key`.

    Raises:
        OptionError: no such file, one that others may read, or one that holds no such key. What it holds is never shown.
    """
    try:
        with path.open(encoding="ascii") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            text = stream.read(2 * KEY_BYTES + 2)
    except FileNotFoundError:
        raise OptionError(
            f"preparation 'mask_pii': no key at {path}. Make one, once, outside of the project: charter pseudonym-key {path}"
        ) from None
    except (OSError, UnicodeDecodeError):
        raise OptionError(f"preparation 'mask_pii': {path} can't be read as a key") from None
    if os.name == "posix" and mode & 0o077:
        raise OptionError(
            f"preparation 'mask_pii': others than its owner may read the key {path} (mode {mode:04o}): chmod 600 {path}"
        )
    if _HEX.fullmatch(text) is None:
        raise OptionError(
            f"preparation 'mask_pii': {path} is no key: {2 * KEY_BYTES} hexadecimal digits are expected, as `charter pseudonym-key` "
            "writes them"
        )
    return bytes.fromhex(text.strip())


def fingerprint(key: bytes) -> str:
    """What names a key in the keys of artefacts, and tells nothing of it."""
    return hmac.new(key, b"charter: fingerprint of a key of pseudonyms", hashlib.sha256).hexdigest()


def pseudonyms(key: bytes) -> Callable[[str, str], str]:
    """(kind, value) -> `[KIND-0123456789]`. Spellings of one value are one: case, width, spaces; of numbers all signs between."""

    def shown(kind: str, value: str) -> str:
        told = f"{kind}\0{canonical(kind, value)}".encode()
        return f"[{kind}-{hmac.new(key, told, hashlib.sha256).hexdigest()[:PSEUDONYM_SIGNS]}]"

    return shown


def canonical(kind: str, value: str) -> str:
    """One spelling of a value for all its spellings."""
    plain = unicodedata.normalize("NFKC", value).casefold()
    if kind in _IN_WORDS:
        return _HAN_SPACE.sub("", " ".join(plain.split()))
    signs = "".join(sign for sign in plain if sign.isalnum())
    return signs[-11:] if kind == "CN_MOBILE" else signs
