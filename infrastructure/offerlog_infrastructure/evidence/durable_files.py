"""Files that are written in one step each, durably; many of them share the waits for the disk."""

import os
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from offerlog_infrastructure.durable_folders import flush_folder

_WRITERS: Final = 16
"""Files that are flushed at once. A file system commits those together, where one by one each waits."""


def replace_files(files: Mapping[Path, bytes], root: Path) -> None:
    """Write files, each in one step; when the call returns, all of them are durable.

    Args:
        files: The contents by place.
        root: A folder above all of them. It and the folders between are made, and flushed once.
    """
    for folder in {place.parent for place in files}:
        folder.mkdir(parents=True, exist_ok=True)
    drafts = {place: place.with_name(f".{place.name}.{secrets.token_hex(8)}") for place in files}
    try:
        if len(files) == 1:
            for place, data in files.items():
                _write(drafts[place], data)
        else:
            with ThreadPoolExecutor(_WRITERS, "offerlog-files") as pool:
                list(pool.map(_write, drafts.values(), files.values()))
        for place, draft in drafts.items():
            draft.replace(place)
    finally:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)
    folders = {folder for place in files for folder in place.parents if folder.is_relative_to(root)}
    for folder in folders:
        flush_folder(folder)


def _write(draft: Path, data: bytes) -> None:
    with draft.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
