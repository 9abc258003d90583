"""The restore of a backup of several servers into as many empty databases.

1. Each part is compared with the list, and loaded in one transaction, the home's last.
2. The restored stores become an installation of their own, which former servers do not belong to.
3. Each log is compared with all that was signed of it, and with its events, wherever they lie. Whoever was
   erased since is erased again. The stores are compared with each other.
4. The home gets its directory. Before that nobody can open it, wherever the restore is interrupted. The same
   call goes on then: what is loaded is not loaded again.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Final
from uuid import UUID, uuid4

from offerlog_application.evidence.evidence import Evidence
from offerlog_application.evidence.findings import AuditReport
from offerlog_application.evidence.verification import Verification
from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.erasure import Tombstone
from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.rebuilds import RebuildProgress, name_shard
from offerlog_application.ports.sealed_tree import SealedTree
from offerlog_application.ports.shards import HOME, FixedDirectory, ShardMap
from offerlog_application.sharding.in_motion import find_in_motion
from offerlog_domain.stream_ids import SLICES
from offerlog_domain.transparency.notes import VerifierKey
from offerlog_infrastructure.backups.backup_file import BackupReader, Manifest
from offerlog_infrastructure.backups.backup_folder import BackupList
from offerlog_infrastructure.backups.copied_archives import check_folders, copy_archives
from offerlog_infrastructure.backups.errors import (
    BackupFileError,
    NotTheSignedLogError,
    ServersDifferError,
)
from offerlog_infrastructure.backups.making import MEBIBYTE
from offerlog_infrastructure.backups.past_erasures import find_erasures_of_servers
from offerlog_infrastructure.backups.programs import restore_dump
from offerlog_infrastructure.backups.restored_servers import (
    RestoredServer,
    RestoredServers,
    ServersRequest,
)
from offerlog_infrastructure.backups.restoring import compare_with_signed, erase_again
from offerlog_infrastructure.backups.signed_before import SignedBefore
from offerlog_infrastructure.embedded.address import as_environment
from offerlog_infrastructure.evidence.signing_keys import check_signature
from offerlog_infrastructure.postgres.backup.restore_target import RestoreTarget
from offerlog_infrastructure.postgres.backup.restored import RestoredTables
from offerlog_infrastructure.server_address import add_password_of
from offerlog_infrastructure.shard_places import place_of_shard

_SEALING_SECONDS: Final = 600.0


def restore_servers(request: ServersRequest) -> RestoredServers:
    """Restore a backup of several servers; see the module. The same call goes on with an interrupted one.

    Raises:
        BackupFileError: A part is missing, was changed or is not whole, or archived files have no new folder.
        ArchiveCopyError: The folder for archived files cannot be made.
        ArchiveUnavailableError: An archived file is missing or was changed.
        KeyringError: The keyring does not hold a key of a store.
        NoErasuresError: Nothing says who was erased since the backup.
        StoreUnavailableError: A server cannot be reached.
        ShardError: A database is not empty, or was begun by another restore.
        NotTheSignedLogError: A log is not the one that was signed.
        ServersDifferError: The servers do not fit together.
        BackupProgramError: `pg_restore` has failed.
        OfferlogError: An erasure could not be repeated, or a folder cannot be read.
    """
    made = request.folder.read()
    with ExitStack() as held:
        places = {
            part.shard: request.folder.check(
                part, _in_mebibytes(request, f"shard {part.shard}: checking the file", part.bytes)
            )
            for part in made.servers
        }
        backups = {number: held.enter_context(BackupReader(place)) for number, place in places.items()}
        manifests = {number: backup.manifest for number, backup in backups.items()}
        for number, manifest in manifests.items():
            if (manifest.id, manifest.shard) != (made.id, number):
                raise BackupFileError(places[number], "belongs to another backup; take another copy")
            for key_id in manifest.keys:
                request.keyring.check_holds(key_id)
        erased = find_erasures_of_servers(request.erasures, manifests)
        targets = _reach_targets(request, [*manifests], held)
        begun = targets[HOME].find_installation()
        check_folders(request, targets, manifests, begun)
        installation = begun or uuid4()
        for target in targets.values():  # the home first: it knows how far an interrupted restore was
            installation = target.begin(UUID(made.id), installation)
        for number in sorted(targets, reverse=True):
            _load(request, targets[number], backups[number], installation)
        return _make_ready(request, made, targets, manifests, erased, installation=installation)


def _reach_targets(
    request: ServersRequest, numbers: Sequence[int], held: ExitStack
) -> Mapping[int, RestoreTarget]:
    """Connect to all databases, the home's first.

    Raises:
        StoreUnavailableError: A server cannot be reached; the message names it.
    """
    found: dict[int, RestoreTarget] = {}
    for number, url in zip(numbers, (request.home, *request.urls), strict=True):
        try:
            target = RestoreTarget(add_password_of(url, request.home), request.schema, number)
        except StoreUnavailableError as error:
            raise StoreUnavailableError(
                f"the server for shard {number}: {error.detail}", error.trouble
            ) from error
        found[number] = held.enter_context(target)
    return found


def _load(request: ServersRequest, target: RestoreTarget, backup: BackupReader, installation: UUID) -> None:
    """Load the dump of a server, unless an interrupted restore has done so."""
    if not target.is_resumed:
        stage = f"shard {target.number}: loading"
        with backup.dump() as dump:
            restore_dump(
                {"PATH": os.defpath, **as_environment(target.dsn)},
                target.database,
                dump,
                _in_mebibytes(request, stage, backup.manifest.dump_bytes),
                at_once=True,
            )
    target.join(installation)


def _make_ready(
    request: ServersRequest,
    made: BackupList,
    targets: Mapping[int, RestoreTarget],
    manifests: Mapping[int, Manifest],
    erased: list[Tombstone],
    *,
    installation: UUID,
) -> RestoredServers:
    """Verify and complete loaded stores, and let services use them."""
    _complete(request, targets, manifests, installation)
    directory = _find_directory(request, targets)
    with request.open_service(directory) as service:
        evidence = service.evidence
        assert evidence is not None  # noqa: S101 - a store has a tree
        erase_all = _Erasing(request, service, targets, erased)
        evidence.catch_up(_SEALING_SECONDS)
        with evidence.settled() as logs:
            signed = {
                number: _compare(request, targets[number], manifests[number], logs[number]) for number in logs
            }
        if any(one.archived_files for one in manifests.values()):
            erase_all()  # archived events may be blanked already, which would be a finding
            evidence.catch_up(_SEALING_SECONDS)
        with evidence.settled() as logs:
            reports = {
                number: _verify(request, number, logs[number].tree, signed[number][1]) for number in logs
            }
        erase_all()
        if request.erase_more is not None:
            request.erase_more(service)
        for number, (before, _) in signed.items():
            for origin in sorted(before.unsafe):
                _tables(request, targets[number]).retire(origin, UUID(made.id), before.newest.get(origin))
        service.catch_up()
        positions = erase_all.positions()
    faults = request.find_faults(directory)
    if faults:
        raise ServersDifferError(faults)
    for number, target in targets.items():
        if number != HOME:
            target.finish()
    targets[HOME].finish_home(directory.shard_map, directory.urls)
    servers = {
        number: RestoredServer(
            manifests[number],
            directory.shard_map.slices_of(number),
            report,
            positions[number],
            erase_all.counts[number],
            signed[number][0],
        )
        for number, report in reports.items()
    }
    return RestoredServers(made, servers)


class _Erasing:
    """Erases visitors of the lists again, on each server that holds one of them.

    Attributes:
        counts: The number of visitors who were erased so far, by the number of the server.
    """

    def __init__(
        self,
        request: ServersRequest,
        service: Offerlog,
        targets: Mapping[int, RestoreTarget],
        erased: list[Tombstone],
    ) -> None:
        self._services = {one: _service_of(found) for one, found in service.services_of_servers().items()}
        self._tables = {number: _tables(request, target) for number, target in targets.items()}
        self._erased = erased
        self.counts = dict.fromkeys(targets, 0)

    def __call__(self) -> None:
        for number, service in self._services.items():
            self.counts[number] += erase_again(service, self._tables[number], self._erased)

    def positions(self) -> Mapping[int, int]:
        """Return the position of the last event of each server now."""
        return {number: service.position() for number, service in self._services.items()}


def _complete(
    request: ServersRequest,
    targets: Mapping[int, RestoreTarget],
    manifests: Mapping[int, Manifest],
    installation: UUID,
) -> None:
    """Add to loaded stores what is not in their dumps, or may not fit."""
    policies = targets[HOME].policies()
    for number, target in targets.items():
        if number != HOME:
            target.put_policies(policies)
        tables = _tables(request, target)
        tables.analyze()
        tables.make_bi_views()
    copy_archives(request, targets, manifests, installation)


def _compare(
    request: ServersRequest, target: RestoreTarget, manifest: Manifest, log: Evidence
) -> tuple[SignedBefore, Sequence[VerifierKey]]:
    """Compare the end of a log with the manifest, and its tree with all that was signed of it.

    Raises:
        NotTheSignedLogError: It is another log.
    """
    position = log.tree.last_position()
    if position < manifest.position or (position > manifest.position and not target.is_resumed):
        raise NotTheSignedLogError(
            f"that of shard {target.number} ends at position {position:,}, and not at {manifest.position:,}"
        )
    folder = request.checkpoints and place_of_shard(request.checkpoints, target.number)
    return compare_with_signed(log, folder, manifest)


def _verify(
    request: ServersRequest, number: int, tree: SealedTree, keys: Sequence[VerifierKey]
) -> AuditReport:
    """Compare a log with its tree.

    Raises:
        NotTheSignedLogError: They differ.
    """
    on_progress = name_shard(request.on_progress, number)
    report = Verification(tree, None, keys, check_signature, on_progress).run()
    if report.findings:
        raise NotTheSignedLogError(f"shard {number}: {report.findings[0]}")
    return report


def _tables(request: ServersRequest, target: RestoreTarget) -> RestoredTables:
    return RestoredTables(target.dsn, request.schema)


def _service_of(found: Offerlog | StoreUnavailableError) -> Offerlog:
    if isinstance(found, StoreUnavailableError):
        raise found
    return found


def _find_directory(request: ServersRequest, targets: Mapping[int, RestoreTarget]) -> FixedDirectory:
    """Return the directory that the home will have: what the stores say of themselves.

    Raises:
        ServersDifferError: A slice is missing, or two of them have it.
    """
    held = {number: target.held_slices() for number, target in targets.items()}
    if find_in_motion([*held.values()]):
        raise ServersDifferError(["they do not have each slice once"])
    owners = {one: number for number, found in held.items() for one in found.owned}
    numbers = [number for number in targets if number != HOME]
    shard_map = ShardMap(
        [owners[one] for one in range(SLICES)],
        [held[owners[one]].epochs[one] for one in range(SLICES)],
        frozenset(numbers),
    )
    return FixedDirectory(shard_map, dict(zip(numbers, request.urls, strict=True)))


def _in_mebibytes(request: ServersRequest, stage: str, size: int) -> Callable[[int], None]:
    total = max(size // MEBIBYTE, 1)
    return lambda done: request.on_progress(RebuildProgress(stage, min(done // MEBIBYTE, total), total))
