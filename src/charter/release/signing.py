"""Sign a bundle with a local EC key, and check such a signature, through model-signing (OpenSSF)."""

from pathlib import Path
from typing import Any

from charter.errors import BundleError, CharterError, MissingExtraError


def _library() -> Any:
    try:
        import model_signing
        import model_signing.hashing
        import model_signing.signing
        import model_signing.verifying
    except ImportError:
        raise MissingExtraError("signing and checking signatures", "sign") from None
    return model_signing


def sign(folder: Path, signature: Path, key: Path) -> None:
    """Sign every file of a folder.

    Raises:
        CharterError: the key can't be read or is no private EC key.
        MissingExtraError: model-signing is not installed.
    """
    library = _library()
    if not key.is_file():
        raise CharterError(f"release.sign: no such key file {key}")
    try:
        hashing = library.hashing.Config().set_ignored_paths(paths=[signature], ignore_git_paths=False)
        config = library.signing.Config().use_elliptic_key_signer(private_key=key).set_hashing_config(hashing)
        config.sign(folder, signature)
    except (ValueError, TypeError) as error:
        raise CharterError(
            f"release.sign: {key} is no private EC key (PEM) that can sign ({type(error).__name__})"
        ) from None


def check_signature(folder: Path, signature: Path, key: Path) -> None:
    """Check a folder's signature with a public key.

    Raises:
        BundleError: it is not signed by this key, or a file was changed since.
        CharterError: the key can't be read.
        MissingExtraError: model-signing is not installed.
    """
    library = _library()
    if not key.is_file():
        raise CharterError(f"--key {key}: no such file")
    try:
        hashing = library.hashing.Config().set_ignored_paths(paths=[signature], ignore_git_paths=False)
        config = (
            library.verifying.Config().use_elliptic_key_verifier(public_key=key).set_hashing_config(hashing)
        )
        config.verify(folder, signature)
    except Exception as error:
        # The library raises many kinds for one fact: this signature, key and folder don't belong together.
        raise BundleError(
            f"the signature is not of this key and these files ({type(error).__name__})"
        ) from None
