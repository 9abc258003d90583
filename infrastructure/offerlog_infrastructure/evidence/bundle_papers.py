"""A whole bundle: what comes from the log, README, verifier, and Parquet for analysts."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from offerlog_application.evidence.bundle_export import BundleContents, BundleExport
from offerlog_application.evidence.bundle_parts import BundleRequest
from offerlog_application.evidence.evidence import Evidence
from offerlog_application.evidence.log_export import EVENTS_FILE
from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_infrastructure.evidence.bundle_folder import FORMAT, SEVERAL, BundleFolder
from offerlog_infrastructure.evidence.parquet import PARQUET_FILE, write_parquet

_HERE: Final = Path(__file__).parent


class WrittenBundle(NamedTuple):
    """A bundle that is in its place.

    Attributes:
        contents: What it holds.
        manifest: SHA-256 of its manifest.
    """

    contents: BundleContents
    manifest: str


def write_bundle(
    evidence: Evidence,
    request: BundleRequest,
    place: Path,
    *,
    with_parquet: bool = False,
    on_progress: Callable[[RebuildProgress], None] = lambda _: None,
) -> WrittenBundle:
    """Write a bundle to its place: as a whole, or not at all.

    Args:
        evidence: The log.
        request: What the bundle shall hold.
        place: The folder, or the ZIP file, which must not exist.
        with_parquet: True to add the events as Parquet.
        on_progress: Called several times a second.

    Raises:
        BundlePlaceError: There is something, or it cannot be written.
        ExtraMissingError: Parquet was asked for, and pyarrow is not installed.
        OfferlogError: As in `BundleExport.run`.
    """
    with BundleFolder(place) as folder:
        contents = BundleExport(evidence, request, folder, on_progress).run()
        folder.flush()
        if with_parquet:
            for part in [""] if contents.logs == 1 else [f"log-{n}/" for n in range(contents.logs)]:
                write_parquet(folder.folder / part, EVENTS_FILE)
                folder.add(part + PARQUET_FILE)
        folder.write("README.md", (_HERE / "bundle_readme.md").read_bytes())
        folder.write("verify_bundle.py", (_HERE / "verify_bundle.py").read_bytes())
        return WrittenBundle(contents, folder.finish(SEVERAL if contents.logs > 1 else FORMAT))
