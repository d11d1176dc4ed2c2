"""Sign a bundle with a local EC key, and check such a signature, through model-signing (OpenSSF)."""

import base64
import binascii
import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from charter.errors import BundleError, CharterError, MissingExtraError
from charter.runs.files import parse_json, read_json

CURVES = ("secp256r1", "secp384r1", "secp521r1")
"""The curves that the signature's format knows (Sigstore)."""


class _Key(BaseModel):
    hint: str


class _Material(BaseModel):
    publicKey: _Key  # noqa: N815


class _Envelope(BaseModel):
    payload: str
    signatures: Annotated[list[dict[str, str]], Field(min_length=1, max_length=1)]


class _File(BaseModel):
    verificationMaterial: _Material  # noqa: N815
    dsseEnvelope: _Envelope  # noqa: N815


class _Resource(BaseModel):
    name: str
    algorithm: Literal["sha256"]
    digest: str


class _Predicate(BaseModel):
    resources: list[_Resource]


class _Statement(BaseModel):
    predicate: _Predicate


@dataclass(frozen=True)
class SignatureText:
    """What a signature says, not yet checked: the files it is of, and the SHA-256 of the public key it names."""

    files: Mapping[str, str]
    key_digest: str


def _library() -> Any:
    try:
        import model_signing
        import model_signing.hashing
        import model_signing.signing
        import model_signing.verifying
    except ImportError:
        raise MissingExtraError("signing and checking signatures", "sign") from None
    return model_signing


def check_key(key: Path) -> None:
    """Check that a private key can sign, before any work is done for what it is to sign.

    Raises:
        CharterError: it is missing, can't be read, is encrypted, or is of another kind.
        MissingExtraError: what signs is not installed.
    """
    if find_spec("model_signing") is None:
        raise MissingExtraError("signing", "sign")
    if not key.is_file():
        raise CharterError(f"release.sign: no such key file {key}")
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    make = "openssl ecparam -name prime256v1 -genkey -noout -out private.pem"
    try:
        found = load_pem_private_key(key.read_bytes(), None)
    except TypeError:
        raise CharterError(
            f"release.sign: {key} is encrypted, and Charter asks for no passphrase; give a key without, such as from: {make}"
        ) from None
    except (OSError, ValueError, UnsupportedAlgorithm):
        raise CharterError(f"release.sign: {key} is no private key in PEM; make one with: {make}") from None
    if not isinstance(found, EllipticCurvePrivateKey) or found.curve.name not in CURVES:
        raise CharterError(
            f"release.sign: {key} is no EC key of {', '.join(CURVES)}, which signatures need; make one with: {make}"
        )


def sign(folder: Path, signature: Path, key: Path) -> None:
    """Sign every file of a folder.

    Raises:
        CharterError: as `check_key`.
        MissingExtraError: model-signing is not installed.
    """
    check_key(key)
    library = _library()
    hashing = library.hashing.Config().set_ignored_paths(paths=[signature], ignore_git_paths=False)
    config = library.signing.Config().use_elliptic_key_signer(private_key=key).set_hashing_config(hashing)
    config.sign(folder, signature)


def read_signature(signature: Path) -> SignatureText:
    """What a signature says. This needs no key, and proves nothing of who made it.

    Raises:
        BundleError: it is no signature that Charter makes.
    """
    try:
        found = _File.model_validate(read_json(signature))
        payload = base64.b64decode(found.dsseEnvelope.payload, validate=True)
        resources = _Statement.model_validate(parse_json(payload)).predicate.resources
    except (OSError, ValueError, binascii.Error):
        raise BundleError("its signature can't be read: it was changed or cut off") from None
    return SignatureText(
        {one.name: one.digest for one in resources}, found.verificationMaterial.publicKey.hint
    )


def unsigned_changes(signature: SignatureText, digests: Mapping[str, str]) -> list[str]:
    """What differs between the files that were signed and those that are here (digests by name)."""
    signed, here = set(signature.files), set(digests)
    found = [f"{name} was signed and is missing" for name in sorted(signed - here)]
    found += [f"{name} is here and was not signed" for name in sorted(here - signed)]
    return found + [
        f"{name} was changed since"
        for name in sorted(signed & here)
        if signature.files[name] != digests[name]
    ]


def check_signature(folder: Path, signature: Path, key: Path) -> None:
    """Check a folder's signature with a public key.

    Raises:
        BundleError: it is not signed by this key, or a file was changed since.
        CharterError: the key can't be read.
        MissingExtraError: model-signing is not installed.
    """
    library = _library()
    digest = _public_digest(key)
    if read_signature(signature).key_digest != digest:
        raise BundleError(f"it is signed by another key than {key.name}")
    try:
        hashing = library.hashing.Config().set_ignored_paths(paths=[signature], ignore_git_paths=False)
        config = (
            library.verifying.Config().use_elliptic_key_verifier(public_key=key).set_hashing_config(hashing)
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            config.verify(folder, signature)
    except Exception:
        # The library raises many kinds for one fact: this signature, key and folder don't belong together.
        raise BundleError(
            f"its signature names the key {key.name}, but was not made with it, or not for these files"
        ) from None


def _public_digest(key: Path) -> str:
    """The SHA-256 of a public key's PEM, as a signature names it."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

    if not key.is_file():
        raise CharterError(f"--key {key}: no such file")
    try:
        content = key.read_bytes()
        if b"PRIVATE KEY" in content:
            raise CharterError(f"--key {key} is a private key; give the public one that belongs to it")
        found = load_pem_public_key(content)
    except (OSError, ValueError, UnsupportedAlgorithm):
        raise CharterError(f"--key {key} is no public key in PEM") from None
    if not isinstance(found, EllipticCurvePublicKey):
        raise CharterError(f"--key {key} is no EC key, and bundles are signed with those only")
    return hashlib.sha256(found.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
