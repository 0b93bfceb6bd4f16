"""What is encrypted at rest. Beside `keys`, because not every process that has keys loads a cipher."""

from __future__ import annotations

import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gb28181.errors import StorageError
from gb28181.texts.text import say

_NONCE_BYTES: Final = 12


class SealedSecrets:
    """`ports.Secrets` by AES-256-GCM: `nonce || ciphertext and tag`.

    Args:
        key: 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, text: str) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, text.encode(), None)

    def open(self, sealed: bytes) -> str:
        """The text of `seal`.

        Raises:
            StorageError: It was changed, or sealed under another key.
        """
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None).decode()
        except (InvalidTag, ValueError):
            raise StorageError(say("start.password_sealed")) from None
