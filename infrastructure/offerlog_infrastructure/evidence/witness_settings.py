"""The setting that names witnesses: for each its address and its public key, separated by spaces."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

if TYPE_CHECKING:
    from offerlog_infrastructure.evidence.witness_client import WitnessClient


def read_witnesses(text: str) -> "list[WitnessClient]":
    """Return clients of the witnesses that a setting names.

    Args:
        text: `URL VKEY` for each witness; VKEY is a public key, or a file that holds one.

    Raises:
        ValueError: A witness has no key, or an address or a key cannot be read.
    """
    from offerlog_domain.transparency.notes import VerifierKey  # noqa: PLC0415 - settings need it rarely
    from offerlog_infrastructure.evidence.witness_client import WitnessClient, WitnessError  # noqa: PLC0415 - as above

    words = text.split()
    if len(words) % 2:
        raise ValueError("give the address and the public key of each witness, separated by spaces")
    clients = []
    for url, key in zip(words[::2], words[1::2], strict=True):
        try:
            vkey = key if key.count("+") > 1 else Path(key).read_text("utf-8").strip()
            clients.append(WitnessClient(url, VerifierKey.parse(vkey)))
        except OSError as error:
            raise ValueError(f"{key}: {error.strerror}; give a public key or a file with one") from None
        except WitnessError as error:
            raise ValueError(str(error)) from None
    return clients


def _check(text: str) -> str:
    read_witnesses(text)
    return text


WitnessList = Annotated[str, AfterValidator(_check)]
"""The text of the setting, whose addresses and keys can be read."""
