"""Every bound of the product with its reason.

It never enforces one (the callers do, before they allocate).
"""

from __future__ import annotations

from typing import Final

from ate.errors import LimitExceeded

KIB: Final = 1024
MIB: Final = 1024 * KIB

#: One body is read, sealed and hashed in one piece; 16 MiB keeps that under 50 ms and 50 MB.
BODY_BYTES_MAX: Final = 16 * MIB
#: Bodies from here on go to the body file, so that a commit's head stays one small write.
BODY_INLINE_BYTES_MAX: Final = 64 * KIB
#: Row indexes inside a commit are 16 bit nonces and proof paths of at most four steps.
COMMIT_ROWS_MAX: Final = 65_536
#: A commit is framed, hashed and flushed whole; a segment must hold it.
COMMIT_BYTES_MAX: Final = 64 * MIB
#: Rare header fields of one commit (grants, rules): MessagePack, decoded at once.
RARE_BYTES_MAX: Final = 8 * MIB
#: Session certificates in one commit: each costs a composite verification before anything is
#: judged.
COMMIT_CERTIFICATES_MAX: Final = 64
#: A signature section: one composite signature and some room.
SIGNATURE_BYTES_MAX: Final = 8 * KIB
#: Objects that one submitted commit may stand on besides what it changes: each is looked up.
GUARDS_MAX: Final = 64
#: A segment is the unit of sealing, archiving and repair.
SEGMENT_BYTES_MAX: Final = 64 * MIB
#: Bytes of an object in a backup: small enough to hold a few at once and to send in one request,
#: which is the only kind that every S3 server refuses to let overwrite; large enough to be few.
PIECE_BYTES_MAX: Final = 8 * MIB
#: The list of objects of one restore point, 80 bytes each: room for 6 TiB of log.
MANIFEST_BYTES_MAX: Final = 64 * MIB
#: Key text in a Map: small enough for any index, long enough for paths.
KEY_BYTES_MAX: Final = 1016
#: Chain names are paths on disk and in URLs.
NAME_BYTES_MAX: Final = 256
#: Rows in a chain: 40 bits keep a seq and a flag in one 64-bit word.
CHAIN_ROWS_MAX: Final = 1 << 40
#: Days that retention may look back: their microseconds fit into 64 bits.
RETENTION_DAYS_MAX: Final = 1_000_000
#: Seconds that a lease may last without a renewal: nobody waits longer for a dead holder. 1 day.
LEASE_S_MAX: Final = 86_400
#: Levels of parents followed to find a rule; deeper is a cycle or an attack.
TREE_DEPTH_MAX: Final = 256
#: Keys that one rule may name.
RULE_KEYS_MAX: Final = 1024
#: A smaller body is never kept as a delta: reading several bodies would cost more than is saved.
DELTA_LEAST_BYTES: Final = 16 * KIB
#: Copies in one delta: finding each costs some microseconds, for the writer and for every reader.
DELTA_PIECES_MAX: Final = 8192
#: Bodies that one version may stand on: the logarithm of all the rows that a chain can have.
DELTA_DEPTH_MAX: Final = 41
#: Items that a three-way merge looks at besides reading its texts once: about half a second.
MERGE_WORK_MAX: Final = 1 << 22
#: Nesting of containers in a value; deeper input is refused, not recursed into.
VALUE_DEPTH_MAX: Final = 128
#: A clock that is off by more is not believed at once, and the difference is told: far more than
#: clocks drift, far less than what certificates and leases are made for. 10 minutes.
TIME_SKEW_US: Final = 600 * 1_000_000
#: The end of the year 9999: the last moment that dates can express.
TIME_US_MAX: Final = 253_402_300_799_999_999
#: 1 January 2025: older than this code, so whoever says it is earlier is wrong.
TIME_US_MIN: Final = 1_735_689_600_000_000
#: Time servers that one clock asks: as many as are of use, each costs a thread for a moment.
NTP_SERVERS_MAX: Final = 16
#: Asked more often than this, public servers refuse to answer (RFC 4330, 10).
NTP_INTERVAL_S_MIN: Final = 64
#: A proof holds one body at most, and the keys that its signatures need.
PROOF_BYTES_MAX: Final = 32 * MIB
#: Commits in a proof: each costs a composite verification, half a millisecond.
PROOF_COMMITS_MAX: Final = 1024
#: A file that remembers one chain or server: four short lines, one of them a name.
PIN_BYTES_MAX: Final = 4 * KIB
#: Records of one name and kind: a domain that publishes more keys or servers has other worries, and
#: each key may cost a verification.
DNS_RECORDS_MAX: Final = 64
#: Aliases followed from one name; real ones are two or three.
DNS_ALIASES_MAX: Final = 8
#: Zones that claim to have signed one record: one, or two while it moves.
DNS_SIGNERS_MAX: Final = 2
#: Signatures of one record by one zone that are tried: one for each kind of key, while they change.
DNS_SIGNATURES_MAX: Final = 8
#: Name servers of the system that are asked, as its own resolver does.
DNS_SERVERS_MAX: Final = 3
#: Servers of a cluster: finding a chain hashes once for each master.
NODES_MAX: Final = 1024
#: A file that lists them, a few lines each, and chains that live elsewhere.
TOPOLOGY_BYTES_MAX: Final = 4 * MIB
#: Chains that live elsewhere than the draw puts them: each move writes all of them anew.
MOVES_MAX: Final = 10_000
#: The file of them: a name and a URL each.
MOVES_BYTES_MAX: Final = 32 * MIB
#: Commits that wait on one client for a server that is away: each is in memory, and is sent anew.
OUTBOX_ENTRIES_MAX: Final = 100_000
#: Bytes of them: they are in memory, too, and one flush may write all of them.
OUTBOX_BYTES_MAX: Final = 256 * MIB
#: What a client notes beside such a commit, as what it clashed with.
OUTBOX_NOTE_BYTES_MAX: Final = 16 * KIB
#: The file they are in is read whole; it is written anew before it holds more dead bytes than this.
OUTBOX_FILE_BYTES_MAX: Final = 1024 * MIB
#: A server's statement about a chain: two composite keys' worth of bytes and some room.
STATEMENT_BYTES_MAX: Final = 16 * KIB
#: Statements that a client remembers of one server, until it holds the commits they are about.
STATEMENTS_MAX: Final = 8
#: A client's memory of what a server has said: those, the newest and the last that was compared.
WITNESS_BYTES_MAX: Final = 256 * KIB
#: Hashes on the way from a leaf to a root, and of two roots to each other: trees of 2**40 leaves.
PATH_HASHES_MAX: Final = 128
#: Evidence against a server: two statements and two paths.
EVIDENCE_BYTES_MAX: Final = 64 * KIB
#: A checkpoint adds 4 KiB to the log and a millisecond to the writer: seldom enough not to matter.
CHECKPOINT_EVERY_S_MIN: Final = 1
#: A frame between peers: what arrives is held whole, thousands of connections at a time.
FRAME_BYTES_MAX: Final = MIB
#: No peer may ask for shorter frames: a cut message would be all overhead.
FRAME_BYTES_MIN: Final = 4 * KIB
#: A frame from somebody who has not proved anything yet; a hello has under 4 KiB, a proof under 8.
HELLO_BYTES_MAX: Final = 64 * KIB
#: A message between peers: the largest commit with room for what is said about it.
MESSAGE_BYTES_MAX: Final = COMMIT_BYTES_MAX + 2 * MIB
#: Messages share a frame up to here: the cost of a frame is spread, and the first is not kept long.
BATCH_BYTES_MAX: Final = 256 * KIB
#: Messages in one frame: the peer is not made to hold the loop for more than some milliseconds.
BATCH_MESSAGES_MAX: Final = 4096
#: A longer plaintext is counted before it is decoded: a byte of it can become twenty in memory.
UNCOUNTED_BYTES_MAX: Final = MIB
#: Values in such a plaintext: all names of a `Sync` with their heads.
MESSAGE_ITEMS_MAX: Final = 1 << 18
#: Names in one `Sync`: as many chains as a client may have open.
SYNC_NAMES_MAX: Final = 65_536
#: Pings that a peer may send before it has taken the answers: one in a quarter minute is usual.
PINGS_MAX: Final = 16
#: Bytes that may wait for a peer that does not read: two of the largest messages. Who has more
#: waiting is let go, so that a stalled peer costs no more than this.
QUEUE_BYTES_MAX: Final = 2 * MESSAGE_BYTES_MAX
#: Servers that may sign for the authors of one chain: one, and those that it moves between.
SEQUENCERS_MAX: Final = 16
#: Connections that one server holds: each costs a descriptor and some ten kilobytes.
CONNECTIONS_MAX: Final = 20_000

#: Bytes of records that a server may send before the reader asks for more, at most.
CREDIT_BYTES_MAX: Final = 64 * MIB
#: Chains that one server holds open: each costs four descriptors, and most systems give 1024.
CHAINS_OPEN_MAX: Final = 200
#: Chains that are opened because links lead there: what links say is data, anybody may write it.
NEIGHBOURS_MAX: Final = 64
#: Bodies of a sparse copy that stay at hand after they were read.
FETCHED_BYTES_MAX: Final = 64 * MIB
#: A small file beside a log: room for the largest evidence.
BESIDE_BYTES_MAX: Final = 4 * MIB
#: Submitted commits that wait in front of one chain: one of the largest, or many small ones.
INBOX_BYTES_MAX: Final = COMMIT_BYTES_MAX


def check(limit: str, value: int, bound: int, *, hint: str | None = None) -> None:
    """Raise `LimitExceeded` when `value` is over `bound`."""
    if value > bound:
        raise LimitExceeded(limit, value, bound, hint=hint)
