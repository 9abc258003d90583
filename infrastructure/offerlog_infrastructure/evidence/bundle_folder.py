"""The files of a bundle: written beside their place, and moved there as a whole when they are complete."""

import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Final, Self

from offerlog_application.evidence.bundle_parts import BundlePlaceError
from offerlog_infrastructure.disk_space import full_disk_hint

FORMAT: Final = "offerlog-bundle-1"
"""The name of the format, in the manifest."""

SEVERAL: Final = "offerlog-bundle-2"
"""The name of the format with the logs of several servers."""

MANIFEST: Final = "manifest.json"
"""The file that lists every other file with its SHA-256."""

_PIECE: Final = 1 << 20


class BundleFolder:
    """The application's `BundleSink`: a folder, or a ZIP file if the name ends with .zip.

    It is a context manager. If the block ends before `finish`, nothing of the bundle stays.

    Args:
        place: The folder or the file. It must not exist, or be an empty folder.

    Raises:
        BundlePlaceError: There is something, or the place cannot be written.
    """

    def __init__(self, place: Path) -> None:
        self._place = place.absolute()
        self._is_zip = place.suffix.lower() == ".zip"
        self._digests: dict[str, str] = {}
        self._growing: dict[str, tuple[IO[bytes], Any]] = {}
        try:
            if self._place.exists() and (self._is_zip or any(self._place.iterdir())):
                raise BundlePlaceError(f"{place} is there already: name a new place")
            self.folder = Path(tempfile.mkdtemp(prefix=f".{self._place.name}.", dir=self._place.parent))
        except OSError as error:
            raise self._failed(error) from error

    def write(self, name: str, data: bytes) -> None:
        """Write a whole file."""
        self._digests[name] = hashlib.sha256(data).hexdigest()
        try:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        except OSError as error:
            raise self._failed(error) from error

    def append(self, name: str, data: bytes) -> None:
        """Append to a file, which the first call makes."""
        try:
            if name not in self._growing:
                self._growing[name] = (self.folder / name).open("wb"), hashlib.sha256()
            file, digest = self._growing[name]
            file.write(data)
        except OSError as error:
            raise self._failed(error) from error
        digest.update(data)

    def flush(self) -> None:
        """Close the files that grew, so that others can read them."""
        try:
            for name, (file, digest) in self._growing.items():
                with file:
                    file.flush()
                    os.fsync(file.fileno())
                self._digests[name] = digest.hexdigest()
        except OSError as error:
            raise self._failed(error) from error
        self._growing.clear()

    def add(self, name: str) -> None:
        """Take in a file that somebody else has put into the folder."""
        with (self.folder / name).open("rb") as file:
            self._digests[name] = hashlib.file_digest(file, "sha256").hexdigest()

    def finish(self, bundle_format: str = FORMAT) -> str:
        """Write the manifest, and move everything to its place; returns the SHA-256 of the manifest."""
        self.flush()
        listed = {"format": bundle_format, "files": dict(sorted(self._digests.items()))}
        manifest = (json.dumps(listed, indent=1) + "\n").encode()
        self.write(MANIFEST, manifest)
        try:
            if self._is_zip:
                self._zip()
            else:
                self.folder.chmod(0o755)
                self.folder.rename(self._place)
        except OSError as error:
            raise self._failed(error) from error
        return hashlib.sha256(manifest).hexdigest()

    def _zip(self) -> None:
        """Pack the folder into a file beside the place, then rename it: it must not be there by now."""
        packed = self.folder.with_name(f"{self.folder.name}.zip")
        with ExitStack() as cleaned:
            cleaned.callback(packed.unlink, missing_ok=True)
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
                for name in [*sorted(self._digests), MANIFEST]:
                    if name not in archive.NameToInfo:
                        archive.write(self.folder / name, name)
            os.link(packed, self._place)
        shutil.rmtree(self.folder)

    def _failed(self, error: OSError) -> BundlePlaceError:
        reason = error.strerror or str(error)
        return BundlePlaceError(
            f"the bundle cannot be written to {self._place}: {reason}{full_disk_hint(self._place.parent)}"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file, _digest in self._growing.values():
            file.close()
        if self.folder.exists():
            shutil.rmtree(self.folder, ignore_errors=True)
