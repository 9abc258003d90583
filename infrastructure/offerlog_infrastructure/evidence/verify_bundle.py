"""Check a bundle of offerlog's log, or the proof of one event, without offerlog and without its database.

A bundle holds every event of a log up to a checkpoint, and reports that claim to count them. VKEY is
NAME+ID+BASE64, or a file with it, from operator and witnesses, not from the bundle. Keep a checkpoint: as
--checkpoint OLD, it shows whether anything before was changed since. Of several servers, a bundle holds the
log of each: give the --key of each, and the kept checkpoints of each. docs/verifier.md explains each part.
Exit codes: 0 every check passed; 1 a check failed; 2 the call was wrong, or nothing can be checked.
"""

import base64
import hashlib
import importlib.util
import json
import re
import sys
import zipfile
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial, reduce
from pathlib import Path
from stat import S_ISLNK
from typing import Any, NamedTuple, NoReturn, cast
from uuid import UUID

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:
    print("verify_bundle.py: error: install `cryptography`, version 2.6 or newer", file=sys.stderr)
    raise SystemExit(2) from None

Files = Mapping[str, Path | zipfile.Path]
Key = tuple[str, bytes, int, bytes]  # name, id, type (1 Ed25519, 4 its cosignature, 6 ML-DSA-44), public key
HIDDEN = " hidden: {:,}; whose they are is NOT shown"
SHOWN, LONGEST, TILE, HASH = 10, 1 << 20, 256, 32  # LONGEST: bytes of a line, and of most files
LOG_KEYS, WITNESS_KEYS = {1: 32, 6: 1312}, {4: 32, 6: 1312}  # types of keys, with the bytes of each
EPOCH, QUARTER = datetime(1970, 1, 1, tzinfo=UTC), timedelta(minutes=15)
NEEDED = {"README.md", "manifest.json", "report.json", "verify_bundle.py"}
OF_LOG = {
    "checkpoint",
    "events.ndjson",
}  # of several servers in a folder log-N/ each, beside the file `servers`
NUMBERED = r"(tile/\d+/(x\d{3}/)*\d{3}([.]p/\d+)?|proofs/[1-9]\d*[.]tlog-proof)"
VKEY, MLDSA = r"([^+\s]+)\+([0-9a-f]{8})\+(\S+)", "cryptography.hazmat.primitives.asymmetric.mldsa"
NOTE = r"([^\n]+)\n(0|[1-9][0-9]{0,17})\n(\S{43}=)\n\n((?:\N{EM DASH} [^\n ]+ \S+\n)+)"
PROOF = r"c2sp[.]org/tlog-proof@v1\nextra (\S+)\nindex (0|[1-9]\d*)\n((?:\S{43}=\n)*)\n(.*)"
decode_base64 = partial(base64.b64decode, validate=True)


# ---- 1. The bundle: a folder or a ZIP file -----------------------------------------------------------
def list_files(place: Path) -> Files:
    """Return the files of a bundle by name, with "/" between the parts of a name. Links are left out."""
    if place.is_dir():
        found = [one for one in place.rglob("*") if one.is_file() and not one.is_symlink()]
        return {one.relative_to(place).as_posix(): one for one in found}
    archive = zipfile.ZipFile(place)
    entries = {one.orig_filename.removesuffix("/").casefold(): one for one in archive.infolist()}
    plain = [name for name in entries if not ({"", ".", ".."} & {*name.split("/")} or {*"\\:\0"} & {*name})]
    links = [name for name, one in entries.items() if S_ISLNK(one.external_attr >> 16)]
    if links or len(plain) < len(archive.infolist()):
        raise ValueError("files in the archive have one name, are links, or leave it: do not unpack it")
    return {one: zipfile.Path(archive, one) for one in archive.namelist() if not one.endswith("/")}


def read(place: Any, longest: int = LONGEST) -> bytes:
    """Read a whole file, which has at most so many bytes."""
    with place.open("rb") as file:
        if len(data := bytes(file.read(longest + 1))) > longest:
            raise ValueError(f"{place.name}: is longer than {longest:,} bytes")
    return data


def read_document(files: Files, name: str) -> Any:
    """Read a JSON file, which must be written in the one way of the format."""
    data = read(files[name], 256 * LONGEST).decode()
    if json.dumps(document := json.loads(data), indent=1) + "\n" != data:
        raise ValueError(f"{name}: is not written in the one way of the format")
    return document


def list_folders(files: Files) -> Sequence[str]:
    """Return what stands before the names of the files of each log: nothing, if there is one server."""
    if "servers" not in files:
        return [""]
    return [
        f"log-{n}/" for n in range(min(read_checkpoint(read(files["servers"]).decode()).size, len(files)))
    ]


def check_manifest(files: Files) -> Iterator[str]:
    """Compare every file with its SHA-256 in manifest.json."""
    listed, folders = (manifest := read_document(files, "manifest.json"))["files"], list_folders(files)
    version = f"offerlog-bundle-{2 if 'servers' in files else 1}"
    if [*manifest, manifest["format"]] != ["format", "files", version]:
        yield f"manifest.json: is not of the format {version}, which this verifier reads"
    needed = NEEDED | {folder + name for folder in folders for name in OF_LOG}
    plain = needed | {"servers"} | {f"{folder}events.parquet" for folder in folders}
    for name in sorted({*listed, *files, *needed} - {"manifest.json"}):
        if name not in files or name not in listed:
            yield f"{name}: is not listed in manifest.json" if name in files else f"{name}: is missing"
            continue
        numbered = any(re.fullmatch(folder + NUMBERED, name, re.ASCII) for folder in folders)
        if name not in plain and not numbered:
            yield f"{name}: no bundle has a file of this name"
        with files[name].open("rb") as file:
            digest = hashlib.file_digest(cast("Any", file), "sha256")
        if digest.hexdigest() != listed[name]:
            yield f"{name}: is not the file that manifest.json lists"
    unchecked = {"README.md", "verify_bundle.py", *(f"{folder}events.parquet" for folder in folders)}
    print(f"NOT checked: {sorted(unchecked & {*files})}")


# ---- 2. Keys and checkpoints (C2SP signed-note, tlog-checkpoint, tlog-cosignature) --------------------
class TreeHead(NamedTuple):
    """A signed tree head: the log's name, the number of its events, the root of their tree."""

    origin: str
    size: int
    root: bytes
    body: bytes
    signatures: Sequence[tuple[str, bytes]]


def read_key(text: str, lengths: Mapping[int, int]) -> Key:
    """Read a verifier key of one of these types, or a file that holds one."""
    text = read(Path(text)).decode().strip() if text.count("+") < 2 and Path(text).is_file() else text
    if text.startswith("PRIVATE+KEY+") or not (found := re.fullmatch(VKEY, text, re.ASCII)):
        raise ValueError("not a public key NAME+ID+BASE64, nor a file with one (audit.key.pub)")
    name, number, data = found[1], bytes.fromhex(found[2]), decode_base64(found[3])
    if number != hashlib.sha256(name.encode() + b"\n" + data).digest()[:4]:
        raise ValueError(f"{text}: the id does not belong to name and key")
    if lengths.get(data[0]) != len(data) - 1 or (data[0] == 6 and not importlib.util.find_spec(MLDSA)):
        raise ValueError(f"{text}: no log's --key nor witness's --witness; or `cryptography` 50 is needed")
    return name, number, data[0], data[1:]


def read_checkpoint(text: str) -> TreeHead:
    """Read origin, size, root and signatures. Nothing is verified yet."""
    if (found := re.fullmatch(NOTE, text)) is None:
        raise ValueError("this is not a checkpoint; give the file `checkpoint` of a bundle")
    signatures = [(who, decode_base64(data)) for who, data in re.findall(r" ([^\n ]+) (\S+)\n", found[4])]
    size, root, body = int(found[2]), decode_base64(found[3]), text[: found.end(3) + 1].encode()
    return TreeHead(found[1], size, root, body, signatures)


def is_signed(checkpoint: TreeHead, key: Key) -> bool:
    """Look for the signature of a key and verify it. A false signature is an error, not a missing one."""
    name, number, kind, public = key
    found = [data[4:] for who, data in checkpoint.signatures if (who, data[:4]) == (name, number)]
    for signature in found:
        stamp, seconds, cut = signature[:8], int.from_bytes(signature[:8], "big"), 0 if kind == 1 else 8
        signed = (f"cosignature/v1\ntime {seconds}\n".encode() if kind == 4 else b"") + checkpoint.body
        algorithm: Any = importlib.import_module(MLDSA).MLDSA44PublicKey if kind == 6 else Ed25519PublicKey
        if kind == 6:
            names = [bytes([len(one.encode())]) + one.encode() for one in (name, checkpoint.origin)]
            tree = bytes(8) + checkpoint.size.to_bytes(8, "big") + checkpoint.root
            signed = b"subtree/v1\n\0" + names[0] + stamp + names[1] + tree
        try:
            algorithm.from_public_bytes(public).verify(signature[cut:], signed)
        except InvalidSignature:
            raise ValueError(f"the signature of {name} is false") from None
        when = f" at {EPOCH + timedelta(seconds=seconds)}" if cut else ""
        print(f"        {checkpoint.size:,} events, root {checkpoint.root.hex()}, signed by {name}{when}")
    return bool(found)


def check_signatures(checkpoint: TreeHead, keys: Sequence[Key], witnesses: Sequence[Key]) -> Iterator[str]:
    """Check that a key of the log has signed, and every witness."""
    if not sum(is_signed(checkpoint, key) for key in keys if key[0] == checkpoint.origin):
        yield f"no given key has signed the checkpoint of {checkpoint.size:,} events of {checkpoint.origin}"
    missing = (one[0] for one in witnesses if not is_signed(checkpoint, one))
    yield from (f"the witness {name} has not cosigned the checkpoint" for name in missing)


def check_servers(joined: TreeHead, heads: Sequence[TreeHead], keys: Sequence[Key]) -> Iterator[str]:
    """Check that the key of each log has signed which logs belong together, and that all of them are here."""
    root = root_of((0, hashlib.sha256(b"\x00" + head.body).digest()) for head in heads)
    if joined[:3] != (f"{heads[0].origin}/servers", len(heads), root):
        yield "servers: the logs that belong together are others than those of the bundle"
    for origin in (origins := [head.origin for head in heads]):
        if origins.count(origin) > 1 or not sum(is_signed(joined, key) for key in keys if key[0] == origin):
            yield f"servers: no given key of {origin} has signed it, or the log is there twice"
    yield from (f"the log of the key {key[0]} is not in the bundle" for key in keys if key[0] not in origins)


# ---- 3. The tree (RFC 6962), its tiles (C2SP tlog-tiles) and proofs (C2SP tlog-proof) -----------------
def hash_node(left: bytes, right: bytes) -> bytes:
    """Hash two nodes into their parent."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(nodes: Iterable[tuple[int, bytes]]) -> bytes:
    """Return the root above complete subtrees, given by height and hash from left to right."""
    edge: list[tuple[int, bytes]] = []
    for height, node in nodes:
        edge.append((height, node))
        while len(edge) > 1 and edge[-2][0] == edge[-1][0]:
            right, left = edge.pop(), edge.pop()
            edge.append((left[0] + 1, hash_node(left[1], right[1])))
    last = edge.pop()[1] if edge else hashlib.sha256(b"").digest()
    return reduce(lambda right, left: hash_node(left[1], right), reversed(edge), last)


class Tree:
    """The tree of the events. Each of its tiles is compared with that of the bundle."""

    def __init__(self, files: Files) -> None:
        self.files, self.faults, self.known = files, list[str](), set[str]()
        self.open, self.full = defaultdict[int, list[bytes]](list), defaultdict[int, int](int)

    def add(self, node: bytes, level: int = 0) -> None:
        """Append a hash to a level. A full tile of 256 hashes is one hash of the level above."""
        self.open[level].append(node)
        if len(self.open[level]) == TILE:
            self.compare(level)
            self.full[level] += 1
            self.add(root_of((0, one) for one in self.open.pop(level)), level + 1)

    def root(self) -> bytes:
        """Return the root of all events so far."""
        return root_of((8 * at, node) for at in sorted(self.open, reverse=True) for node in self.open[at])

    def compare(self, level: int) -> None:
        """Compare the last tile of a level: tile/LEVEL/x001/x234/067, with .p/WIDTH if it is not full."""
        nodes, first = self.open[level], TILE * self.full[level]
        *upper, lowest = (part.zfill(3) for part in f"{self.full[level]:,}".split(","))
        name = "/".join(["tile", str(level), *(f"x{part}" for part in upper), lowest])
        self.known.add(name := name + f".p/{len(nodes)}" * (len(nodes) < TILE))
        data = read(self.files[name]) if name in self.files else b""
        if data != b"".join(nodes):
            wrong = [first + n for n, node in enumerate(nodes) if data[HASH * n :][:HASH] != node]
            below = f"tile/{level - 1}" if level else "events.ndjson"
            self.faults.append(f"{name}: not the hashes of {below} at {wrong[:SHOWN] or 'its end'}")

    def finish(self) -> Iterator[str]:
        """Compare the tiles that are not full, and name those that should not be there."""
        for level in sorted(self.open):
            self.compare(level)
        others = sorted(one for one in {*self.files} - self.known if one.startswith("tile/"))
        yield from [*self.faults, *(f"{one}: does not belong to a tree of this size" for one in others)]


def climb(node: bytes, place: int, last: int, siblings: Sequence[bytes]) -> bytes:
    """Return the root to which siblings lead from a leaf; nothing if they are too few or too many."""
    inner = (place ^ last).bit_length()  # above, the path is the right edge of the tree: siblings are left
    for height, sibling in enumerate(siblings):
        is_right = height >= inner or place >> height & 1
        node = hash_node(sibling, node) if is_right else hash_node(node, sibling)
    return node if len(siblings) == inner + (place >> inner).bit_count() else b""


def check_proof(place: Any, signed: Callable[[TreeHead], Iterator[str]], name: str = "") -> Iterator[str]:
    """Check that the hashes of a proof lead from its event, that of its name, to the root of a checkpoint."""
    if not (found := re.fullmatch(PROOF, read(place).decode("utf-8", "replace"), re.ASCII | re.DOTALL)):
        raise ValueError(f"{place.name}: is not a proof of an event")
    entry, index, siblings = decode_base64(found[1]), int(found[2]), [*map(decode_base64, found[3].split())]
    position, ends = int.from_bytes(entry[:8], "big"), 30 + int.from_bytes(entry[28:30], "big")
    yield from signed(head := read_checkpoint(found[4]))
    if name not in ("", f"proofs/{position}.tlog-proof"):
        yield f"{name}: is the proof of another event"
    leaf = hashlib.sha256(b"\x00" + entry).digest()
    if index >= head.size or climb(leaf, index, head.size - 1, siblings) != head.root:
        yield f"{place.name}: does not lead from its event to the root"
    public = read_public(topic := entry[30:ends].decode(), entry[ends + 4 : -HASH])
    print(ascii(f"        position {position}, {topic}: {public}")[1:-1])


# ---- 4. Events: the hash of a leaf, and the fields of its public part (MessagePack) -------------------
STATES = "offered accepted rejected started abandoned engaged ignored errored timedout".split()  # noqa: SIM905 - one line
STATES += "qualified qualifiedOutsideSchedule offeredOutsideSchedule frequencyCapReached".split()  # noqa: SIM905 - as above
KINDS = [(cohort, unit) for cohort in ("event", "offered") for unit in ("actions", "visitors")]
METRICS = [f"nWebActions{state[0].upper()}{state[1:]}" for state in STATES]
READABLE = "organization", "action_map_id", "recorded_at", "occurred_at", "offered_at", "state", "stage"
COLUMNS = "index", "position", "version", "stream", "topic", *READABLE, "public", "sealed_sha256"
CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True} | {number % 256: number for number in range(-32, 128)}
WIDTHS = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4, 0xDC: 2, 0xDD: 4}  # of lengths, and of:
WIDTHS |= {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD6: 5, 0xD7: 9, 0xC7: 14}  # numbers; times with their type
WIDTHS |= {0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}  # of numbers with a sign


def unpack(data: bytes, at: int = 0) -> tuple[Any, int]:
    """Read a MessagePack number, text, bytes, time or list; returns it and where it ends."""
    kind, at = data[at], at + 1
    at, width = at + WIDTHS.get(kind, 0), WIDTHS.get(kind, 0)
    size = int.from_bytes(data[at - width : at], "big") if width else kind % (32 if kind >= 0xA0 else 16)
    if kind in CONSTANTS or 0xCC <= kind <= 0xD3:
        sign = (size >> 8 * width - 1) << 8 * width if kind >= 0xD0 and width else 0
        return CONSTANTS.get(kind, size - sign), at
    if kind in (0xD6, 0xD7, 0xC7):
        whole, bits = {0xD6: (32, 32), 0xD7: (64, 34), 0xC7: (96, 64)}[kind]  # the seconds are the last bits
        seconds, nanoseconds = size % (1 << bits), size % (1 << whole) >> bits
        seconds -= (seconds >> 63) << 64
        return EPOCH + timedelta(seconds=seconds, microseconds=nanoseconds // 1000), at
    if 0x90 <= kind < 0xA0 or kind in (0xDC, 0xDD):
        items: list[Any] = []
        while len(items) < size:
            item, at = unpack(data, at)
            items.append(item)
        return items, at
    part = data[at : at + size]
    if not (0xA0 <= kind < 0xC0 or width) or len(part) != size:
        raise ValueError("its public part is not that of an event")
    return (part if kind in (0xC4, 0xC5, 0xC6) else part.decode()), at + size


def read_public(topic: str, public: bytes) -> Mapping[str, Any]:
    """Read what reports count from the bytes that the leaf covers. Entries that reach no state have None."""
    state, _, version = topic.rpartition(".")
    if state not in STATES:
        return dict.fromkeys(READABLE)
    values, end = unpack(public)
    if version not in ("2", "3") or end != len(public):
        raise ValueError(f"this verifier cannot read {topic}")
    values += [None] * (13 - len(values))  # version 3 has nil for usual values, and leaves the last ones out
    organization = "default" if values[0] is None and version == "3" else values[0]
    occurred, offered = (values[4], values[10]) if version == "2" else (values[3], values[4])
    occurred = find_time(occurred, values[2])
    moments = values[2], occurred, find_time(offered, occurred)
    times = (one.isoformat().replace("+00:00", "Z") for one in moments)
    stage = values[12] if state == "rejected" else None
    return dict(zip(READABLE, (organization, str(UUID(bytes=values[1])), *times, state, stage), strict=True))


def find_time(stated: Any, other: datetime) -> datetime:
    """Return a time: the other one if nil, or so many milliseconds before that one, or as it is stated."""
    if isinstance(stated, int):
        return other - timedelta(microseconds=other.microsecond % 1000, milliseconds=stated)
    return other if stated is None else cast("datetime", stated)


def hash_leaf(event: Any) -> bytes:
    """Hash an event as the tree does. Of a hidden event, the bundle has the hash alone."""
    digest = event["leaf"] if "leaf" in event else event["sealed_sha256"]
    numbers = {type(event[one]) for one in ("index", "position", "version") if one in event}
    if numbers != {int} or not re.fullmatch("[0-9a-f]{64}", digest):
        raise ValueError("index, position, version or a hash: not in the one spelling of the format")
    if tuple(event) == ("index", "leaf"):
        return bytes.fromhex(digest)
    topic, public, stream = event["topic"].encode(), decode_base64(event["public"]), UUID(event["stream"])
    wrong = [name for name, value in read_public(event["topic"], public).items() if event[name] != value]
    one_spelling = str(stream), base64.b64encode(public).decode()
    if wrong or tuple(event) != COLUMNS or one_spelling != (event["stream"], event["public"]):
        raise ValueError(f"{', '.join(wrong) or 'columns or stream'}: not as the public part says")
    head = event["position"].to_bytes(8, "big") + event["version"].to_bytes(4, "big") + stream.bytes
    body = len(topic).to_bytes(2, "big") + topic + len(public).to_bytes(4, "big") + public
    return hashlib.sha256(b"\x00" + head + body + bytes.fromhex(digest)).digest()


class StreamPlaces:
    """The places of all events in their streams, which go on in another log where a visitor was moved."""

    def __init__(self) -> None:
        self.found, self.before = array("q"), array("q")

    def add(self, event: Any, log: int) -> None:
        """Note the place of an event, and the one before it. Several logs have streams of organizations."""
        if "leaf" in event or (stream := event["stream"])[1:10] == "0000000-0":
            return
        if event["position"] >> 40 != log:
            raise ValueError(f"its position is not one of log {log}")
        self.found.append(hash((stream, event["version"])))
        if event["version"] > 1:
            self.before.append(hash((stream, event["version"] - 1)))

    def check(self) -> Iterator[str]:
        """Check that each stream begins with its first event, has no hole, and no event twice."""
        if doubled := len(self.found) - len(found := {*self.found}):
            yield f"{doubled:,} events stand at a place of their stream that another event has"
        if missing := len({*self.before} - found):
            yield f"{missing:,} events are in no log, or hidden: later ones of their streams are there"


def check_events(
    files: Files, heads: Sequence[TreeHead], reports: "Reports", log: int, streams: StreamPlaces | None
) -> Iterator[str]:
    """Hash and count every event; compare the tiles, and the roots of the checkpoints, the newest first."""
    tree, size, last, roots, reports.ends_hidden = Tree(files), 0, 0, {0: root_of(())}, False
    hidden_before = reports.hidden
    with files["events.ndjson"].open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(LONGEST), b""), 1):
            index, leaf, position = size, bytes(HASH), last + 1
            try:
                event = json.loads(line)
                if json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode() + b"\n" != line:
                    raise ValueError("is not written in the one way of the format")
                leaf = hash_leaf(event)
                index, position = event["index"], event.get("position", position)
                if streams is not None:
                    streams.add(event, log)
                reports.add(event)
            except Exception as fault:  # noqa: BLE001 - whatever a line does to its reader, it is named
                yield f"events.ndjson, line {number}: {fault}"
            if index != size or index >= heads[0].size or position <= last:
                raise ValueError(f"line {number}: event {index}, position {position}, does not follow")
            tree.add(leaf)
            size, last = size + 1, position
            if size % 10_000 == 0 and sys.stderr.isatty():
                print(f"{size:,} of {heads[0].size:,} events", end="\r", file=sys.stderr, flush=True)
            roots |= {head.size: tree.root() for head in heads if head.size == size}
    for head in heads:
        if (head.origin, head.root) != (heads[0].origin, roots.get(head.size)):
            yield f"events.ndjson: these {size:,} events are not those of the checkpoint of {head.size:,}"
    yield from tree.finish()
    as_of, events = reports.logs[log]
    is_last = as_of >= last if reports.ends_hidden else as_of == last  # a hidden event has no position
    if not is_last or [type(as_of), type(events), events] != [int, int, size]:
        yield f"report.json: as of {as_of}, {events} events; the events say {last}, {size}"
    reports.more = HIDDEN.format(reports.hidden) * bool(reports.hidden)
    own = reports.hidden - hidden_before
    more = HIDDEN.format(own) if own else " none is hidden"
    print(f"        {size:,} events, as of position {as_of:,};{more}")


# ---- 5. Reports: counted again -----------------------------------------------------------------------
class Reports:
    """The reports that the bundle claims, counted again from the events, in the interval of the first."""

    def __init__(self, document: Any) -> None:
        if [*document, len(document["reports"])] != ["as_of", "events", "reports", len(KINDS)]:
            raise ValueError("report.json: others than as_of, events and four reports")
        self.document, first = document, document["reports"][0]
        as_of, events = document["as_of"], document["events"]
        is_several = isinstance(as_of, list)
        self.logs = [*zip(as_of, events, strict=True)] if is_several else [(as_of, events)]
        self.organization, self.ends = first["organization"], {end: first[end] for end in ("from", "to")}
        times = [None if end is None else datetime.fromisoformat(end) for end in self.ends.values()]
        texts = [end and end.isoformat() for end in times]
        if texts != [*self.ends.values()] or any(end and (end - EPOCH) % QUARTER for end in times):
            raise ValueError(f"an end in {self.ends} is not on a quarter-hour")
        limits = zip(times, (-1 << 62, 1 << 62), strict=True)
        self.start, self.end = ((end - EPOCH) // QUARTER if end else limit for end, limit in limits)
        self.hidden, self.ends_hidden, self.more = 0, False, ""
        rows = [row for report in document["reports"] for row in report["rows"]]
        # Bundles of older versions know the first nine states alone.
        self.states = STATES if any(METRICS[-1] in row["metrics"] for row in rows) else STATES[:9]
        self.found: defaultdict[tuple[str, str, str], array[int]] = defaultdict(lambda: array("Q"))

    def add(self, event: Any) -> None:
        """Count an event that reached a state, if the reports ask for it."""
        self.ends_hidden = "leaf" in event
        self.hidden += self.ends_hidden
        if event.get("state") not in self.states or event["organization"] != self.organization:
            return
        for cohort, time in (("event", "occurred_at"), ("offered", "offered_at")):
            slot = min(max((datetime.fromisoformat(event[time]) - EPOCH) // QUARTER, -69007104), 281427167)
            visitor = int(event["stream"][:18].replace("-", ""), 16)
            if self.start <= slot < self.end:
                self.found[cohort, event["action_map_id"], event["state"]].append(visitor)

    def check(self, place: int, cohort: str, unit: str) -> Iterator[str]:
        """Compare one report with the count: row by row, and then as a whole."""
        rows = []
        claimed = {row["action_map_id"]: row["metrics"] for row in self.document["reports"][place]["rows"]}
        for name in sorted({action_map for at, action_map, _ in self.found if at == cohort}):
            found = {state: self.found.get((cohort, name, state), ()) for state in self.states}
            counts = [len(set(one) if unit == "visitors" else one) for one in found.values()]
            rows.append({"action_map_id": name, "metrics": dict(zip(METRICS, counts, strict=False))})
            if claimed.get(name) != rows[-1]["metrics"]:
                yield f"report.json: {name}: {claimed.get(name)}; the events say {rows[-1]['metrics']}"
        head = {"organization": self.organization, **self.ends, "cohort": cohort, "count_by": unit}
        if json.dumps(head | {"rows": rows}) != json.dumps(self.document["reports"][place]):
            yield f"report.json: report {place + 1} has other rows, values or fields than the format"


# ---- 6. The command line: all checks, in the order in which they build on each other ------------------
def run(title: str, found: Iterator[str]) -> int:
    """Run a check and print its faults; returns their number."""
    faults = 0
    try:
        for faults, fault in enumerate(found, 1):
            if faults <= SHOWN:
                print(f"FAILED  {ascii(fault)[1:-1]}")  # no control characters reach the terminal
    except Exception as fault:  # noqa: BLE001 - as in `check_events`
        faults += 1
        print(f"FAILED  {ascii(f'{type(fault).__name__}: {fault}')[1:-1]}")
    print(ascii(f"FAILED  {title}: {faults:,} faults" if faults else f"ok      {title}")[1:-1], flush=True)
    return faults


def main(words: Sequence[str], refuse: Callable[[str], NoReturn] | None = None) -> int:
    """Run all checks; returns the exit code. Wrong words are told to `refuse`, or end the program."""
    parser = ArgumentParser("verify_bundle.py", None, __doc__, formatter_class=RawDescriptionHelpFormatter)
    one = parser.add_mutually_exclusive_group(required=True)
    one.add_argument("bundle", type=Path, nargs="?", help="the folder or ZIP file that you were given")
    one.add_argument("--proof", metavar="FILE", type=Path, help="the proof of an event, without a bundle")
    parser.add_argument("--key", metavar="VKEY", action="append", required=True, help="a key of the log")
    parser.add_argument("--witness", metavar="VKEY", action="append", default=[], help="who has cosigned")
    parser.add_argument("--all-disclosed", action="store_true", help="fail if an event is hidden")
    parser.add_argument(
        "--checkpoint", metavar="OLD", action="append", default=[], help="one kept from before"
    )
    given = parser.parse_args([one if one.isprintable() else ascii(one)[1:-1] for one in words])
    try:
        if given.proof and (given.checkpoint or given.all_disclosed or not given.proof.is_file()):
            raise ValueError("--proof wants a file; --checkpoint and --all-disclosed are for a bundle")
        keys = [read_key(one, LOG_KEYS) for one in given.key]
        witnesses = [read_key(one, WITNESS_KEYS) for one in given.witness]
        if any(one[3] in [key[3] for key in keys] for one in witnesses):
            raise ValueError("--witness: a key of a log; give that of a witness, from its witness.vkey")
        kept = [read_checkpoint(read(Path(one)).decode()) for one in given.checkpoint]
        files = list_files(given.bundle) if given.bundle else {}
    except (OSError, ValueError, zipfile.BadZipFile) as fault:
        (refuse or parser.error)(ascii(str(fault))[1:-1])
    if given.proof:
        signed = partial(check_signatures, keys=keys, witnesses=witnesses)
        return min(run("the event is in a signed tree", check_proof(given.proof, signed)), 1)
    return check_bundle(files, (keys, witnesses), kept, all_disclosed=given.all_disclosed)


def check_bundle(
    files: Files, keys: tuple[Sequence[Key], Sequence[Key]], kept: Sequence[TreeHead], *, all_disclosed: bool
) -> int:
    """Run all checks of a bundle, with the keys of the logs and of witnesses; returns the exit code."""
    faults = run("every file is the one that manifest.json lists", check_manifest(files))
    try:
        folders, logs = list_folders(files), list[Files]()
        for folder in folders:
            logs.append({one.removeprefix(folder): at for one, at in files.items() if one.startswith(folder)})
        heads = [read_checkpoint(read(log["checkpoint"]).decode()) for log in logs]
        joined = [read_checkpoint(read(at).decode()) for one, at in files.items() if one == "servers"]
        _, reports = [log["events.ndjson"] for log in logs], Reports(read_document(files, "report.json"))
        if len(reports.logs) != len(heads) or not heads:
            raise ValueError(f"{len(reports.logs)} logs in report.json, {len(heads)} in the bundle")
    except Exception as fault:  # noqa: BLE001 - as in `check_events`
        print(f"FAILED  servers, checkpoint, events.ndjson or report.json cannot be read: {fault!a}")
        return 1
    for place, head in enumerate([*heads, *kept]):
        signers = check_signatures(head, keys[0], keys[1] if place < len(heads) else [])
        if run(f"the checkpoint of {head.size:,} events is signed", signers):
            return 1
    for one in joined:
        faults += run(
            f"these are the {len(heads)} logs that belong together", check_servers(one, heads, keys[0])
        )
    faults += check_logs(logs, folders, heads, kept, reports)
    if all_disclosed:
        faults += run("all events are disclosed", iter([reports.more] * bool(reports.hidden)))
    for place, (cohort, unit) in enumerate(KINDS):
        title = f"the report of {unit} by {cohort} time, of {reports.organization}, {reports.ends}"
        faults += run(f"the events add up to {title}", reports.check(place, cohort, unit))
    print(f"{faults:,} FAULTS" if faults else f"Every check passed.{reports.more}")
    return min(faults, 1)


def check_logs(
    logs: Sequence[Files],
    folders: Sequence[str],
    heads: Sequence[TreeHead],
    kept: Sequence[TreeHead],
    reports: Reports,
) -> int:
    """Run the checks of events, tiles and proofs, log by log; returns the number of faults."""
    faults, streams = 0, StreamPlaces() if folders != [""] else None
    for number, (folder, log, head) in enumerate(zip(folders, logs, heads, strict=True)):
        before = [one for one in kept if streams is None or one.origin == head.origin]
        events = check_events(log, [head, *before], reports, number, streams)
        faults += run(f"{folder and folder + ': '}events, tiles and checkpoints are one tree", events)
        for name in sorted(one for one in log if one.startswith("proofs/")):
            proof = check_proof(log[name], partial(is_other, head), name)
            faults += run(f"{folder}{name} leads to the root of the tree", proof)
    if streams is not None:
        faults += run("each stream is whole, whichever log goes on with it", streams.check())
    return faults


def is_other(head: TreeHead, one: TreeHead) -> Iterator[str]:
    """Yield a fault if the checkpoint of a proof is not that of the bundle."""
    return iter(["another checkpoint"] * (one != head))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
