"""The rotation and the retirement of keys of the keyring, over one store or all stores of an installation.

A rotation stores no progress: it looks for what another key than the current one encrypts, and that is left
to do. So after any end the same call continues.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

from offerlog_application.ports.keyring import KeyringError, ManagedKeyring
from offerlog_application.ports.master_keys import KeyInUseError, KeyUses, Rotation, RotationProgress

GRACE_SECONDS: Final = 5.0
"""Seconds that local copies of the suppression list get to read the keys of their visitors again."""


def rotate_keys(
    stores: Sequence[KeyUses], on_progress: Callable[[RotationProgress], None] | None = None
) -> Rotation:
    """Make a new current key, and encrypt every key of all stores with it; or complete a rotation.

    Args:
        stores: The stores; they have one keyring.
        on_progress: Called with the progress.

    Raises:
        KeyringError: The keyring cannot be used.
        FenceTimeoutError: Some writers have not ended; the same call continues.
        StoreUnavailableError: A store cannot be reached; the same call continues.
    """
    keyring = stores[0].keyring
    keyring.refresh()
    total = _count_left(stores)
    is_resumed = total > 0
    if not is_resumed and isinstance(keyring, ManagedKeyring):
        keyring.add_key()
        total = _count_left(stores)
    visitors = organizations = done = 0
    for one in stores:
        one.fence()  # from here on writers encrypt with the new key
    left = total
    while left:
        for one in stores:
            for page in one.rewrap():
                visitors += page.visitors
                organizations += page.organizations
                done += sum(page)
                total = max(total, done)
                if on_progress is not None:
                    on_progress(RotationProgress(done, total))
        left = _count_left(stores)
    if on_progress is not None:
        on_progress(RotationProgress(done, total))
    for one in stores:
        one.fence()  # processes that keep encrypted keys read them again
    return Rotation(keyring.kek_id, is_resumed, visitors, organizations)


def retire_key(
    stores: Sequence[KeyUses], key_id: str, check_alone: Callable[[], None] = lambda: None
) -> None:
    """Remove a former key from the keyring, if it encrypts nothing of any store any more.

    Args:
        stores: The stores; they have one keyring.
        key_id: The id of the key.
        check_alone: Raises if another one may have brought such keys to a store meanwhile.

    Raises:
        KeyInUseError: It is the current key, or encrypts a key of a store.
        KeyringError: The keyring cannot be changed, or does not hold the key.
        FenceTimeoutError: Some writers have not ended; nothing was removed.
        StoreUnavailableError: A store cannot be reached; the key is in the keyring.
    """
    keyring = stores[0].keyring
    if not isinstance(keyring, ManagedKeyring):
        raise KeyringError("this keyring is not a file of offerlog's: remove the key where it is held")
    keyring.refresh()
    if key_id not in keyring.made_at():
        raise KeyringError(f"the keyring has no key {key_id!r}: `offerlog keyring list` shows its keys")
    if key_id == keyring.kek_id:
        raise KeyInUseError(key_id, "it is the current key; `offerlog keyring rotate` makes another")
    for one in stores:
        one.fence()  # a writer that encrypts with the former key has ended, and decides again
        one.check_unused(key_id)
    time.sleep(GRACE_SECONDS)
    for one in stores:
        one.forget_key(key_id)
    check_alone()
    keyring.remove_key(key_id)
    for one in stores:
        one.forget_remembered()


def _count_left(stores: Sequence[KeyUses]) -> int:
    return sum(one.count_left() for one in stores)
