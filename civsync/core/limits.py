"""Every limit of civsync, in one place, with its unit and its reason.

Nothing here decides anything; a module that needs a bound imports it from here, so
that the question "how much can a hostile input cost?" has one page as its answer.
"""

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

# --- documents ------------------------------------------------------------------------

MANIFEST_BYTES: Final = 16 * MIB
"""A manifest of 10,000 entries is about 1 MB; sixteen times that is a mistake or an attack."""

LOCK_BYTES: Final = 1 * GIB
"""A lock of 100,000 files is about 200 MB."""

DOCUMENT_DEPTH: Final = 40
"""Nesting of YAML and JSON; ours need eight, and Python's own stack ends near a thousand."""

INCLUDES: Final = 100
"""Manifests that one manifest may include in all: a link to a folder of its own could go on
for ever under new names, and every one of them is looked at in a run with nothing to do."""

ROOTS: Final = 16
"""Roots of one manifest: a folder for each program on a machine, and each is synced in turn."""

# --- names ----------------------------------------------------------------------------

NAME_BYTES: Final = 200
"""Bytes of one path component. File systems allow 255; the rest is room for our suffixes."""

NAME_CHARS: Final = 2000
"""Characters of a name in an answer; more is no name, and would fill lock and terminal."""

PATH_BYTES: Final = 1000
"""Bytes of a path below the root: far below the 4096 of Linux, so that any root fits before it."""

PATH_DEPTH: Final = 24
"""Components of a path below the root."""

# --- the API --------------------------------------------------------------------------

PAGE_MODELS: Final = 100
"""Models on one page of the listing, the most that it gives."""

EMPTY_PAGES: Final = 20
"""Empty pages of a search in a row; some were seen where a text is combined with filters."""

SEARCH_MODELS: Final = 100
"""Models that a search takes where it does not say how many."""

SEARCH_PAGES: Final = 200
"""Pages of one search; so many hold 20,000 models."""

MAX_ID: Final = 2**31 - 1
"""Civitai refuses larger ids with 400 (civitai/civitai: src/pages/api/v1/models/[id].ts)."""

BATCH_IDS: Final = 100
"""Most ids for one `GET /models?ids=`: `limit` above 100 is refused."""

ANSWER_BYTES: Final = 64 * MIB
"""Cap for one JSON answer after decompression; above it a batch is asked in halves.

One model with 26 versions took 256 KB in a recorded answer, so a full batch may be 25 MB.
"""

ERROR_BODY_BYTES: Final = 64 * KIB
"""How much of an error body is read to find out what it means."""

JSON_INT_DIGITS: Final = 40
"""Digits of an integer in an answer; more is no id, size or level."""

REDIRECTS: Final = 5
"""Hops from the download route to the bytes; the real thing takes one."""

API_PARALLEL: Final = 3
"""Metadata requests at the same time (good manners: two to four)."""

API_SPACING_S: Final = 0.005
"""Least time between two requests to the API origin: it spreads bursts, no more."""

API_ATTEMPTS: Final = 6
"""Tries of one metadata request; eight consecutive 503s of the search backend were seen."""

BACKOFF_FIRST_S: Final = 0.5
BACKOFF_CAP_S: Final = 30.0
"""First and longest pause between tries, before jitter (the API's documentation says 1 and 30)."""

RETRY_AFTER_CAP_S: Final = 120.0
"""The longest `Retry-After` that is waited for; above it the run stops and says the time."""

# --- moving bytes ---------------------------------------------------------------------

CONNECT_TIMEOUT_S: Final = 15.0
READ_TIMEOUT_S: Final = 30.0
"""A peer that is silent for this long is treated as gone."""

MIN_SPEED: Final = 1 * KIB
MIN_SPEED_WINDOW_S: Final = 30.0
"""Bytes a second that one connection brings at least, over so many seconds of waiting for it: a
byte now and then beats any time limit of a read. A file of 1 GiB would take twelve days."""

TRANSFER_ATTEMPTS: Final = 8
"""Tries of one file in a row that bring no new byte; one that does starts the count anew."""

WORTH_ASKING_BYTES: Final = 1 * MIB
"""What must be held of a file for its rest to be asked for once more, where the server offers
the whole file from its first byte instead."""

FRESH_URLS: Final = 20
"""How often one file may ask for a new signed URL in one run: each counts against the quota."""

TRANSFER_PATIENCE_S: Final = 600.0
"""How long one file may go without a new byte, all tries and pauses together."""

HOST_PATIENCE_S: Final = 120.0
"""How long a host that stopped answering is tried before all its files are given up."""

BRIEF_S: Final = 0.05
"""What a thread may wait for in the middle of an errand; the event loop waits for the rest."""

DOWNLOAD_SPACING_S: Final = 0.001
"""Least time between two requests for downloads to one host: a thousand a second."""

SEGMENTED_BYTES: Final = 32 * MIB
"""Least that must be missing of a file for more than one connection to be tried."""

PIECE_MIN_BYTES: Final = 4 * MIB
PIECE_MAX_BYTES: Final = 128 * MIB
"""Bounds of what one of several connections asks for at once: small pieces cost a round trip
each (4 MiB ones measured 22 % at 100 ms), large ones let the hash fall behind."""

CHUNK_BYTES: Final = 1 * MIB
"""Unit of reading and hashing; larger ones measured no faster."""

LARGE_BUFFER_BYTES: Final = 2 * MIB
"""The most of a long body that is received before it is handed on, if it begins alone; of others
it is CHUNK_BYTES. The threads that receive and hash then meet less often: with TLS on two
processors pieces of 256 KiB took 19 % longer than of 1 MiB, and those 6 % longer than of 2 MiB;
4 MiB gained 2 % more, for twice the memory."""

ERRAND_BYTES: Final = CHUNK_BYTES
"""Up to here a file is claimed, received, checked and named by one errand of one thread."""

TINY_BYTES: Final = 256 * KIB
"""Up to here the interpreter's share of an errand is larger than that of TLS and hashes."""

BATCH_FILES: Final = 32
"""Small files that get their names together: more of them were hardly faster, and so many are
whole, but not on the medium yet, when the power goes."""

BATCH_BYTES: Final = 8 * MIB
"""Bytes that wait together for one flush at most; what comes while it lasts waits for the next."""

BATCH_WAIT_S: Final = 0.5
"""How long a whole file waits for others before it gets its name: something is usable soon."""

BATCH_SPARE_DESCRIPTORS: Final = 256
"""Descriptors of the process that files which wait leave to everything else."""

PIECES_KEPT: Final = 3
"""How many pieces of a body, before the one that is given, may still be read by their sink."""

SPACE_MARGIN_BYTES: Final = 64 * MIB
"""Free space left alone on the disk of the root."""

DEFAULT_JOBS: Final = 4
MAX_JOBS: Final = 64

MAX_WAIT_S: Final = 7 * 24 * 3600
"""How long one may wait for another civsync that holds a root: nobody waits longer than a week."""

DEFAULT_CONNECTIONS: Final = 8
MAX_CONNECTIONS: Final = 64
"""Bodies that are received at once in all; each has a thread and some buffers."""

URL_CONNECTIONS: Final = 4
"""At most for one signed URL: storage hosts refuse more with 403 (civitai/civitai#2113)."""

API_CONNECTIONS: Final = 64
API_IDLE_CONNECTIONS: Final = 8
"""Of small requests, at once and kept; who asks has its own, lower bound (API_PARALLEL)."""

# --- the root -------------------------------------------------------------------------

PRUNE_FILES: Final = 10
PRUNE_SHARE: Final = 0.25
"""More than the larger of these to retire needs `--allow-prune` (rclone's --max-delete idea)."""

TRASH_DAYS: Final = 7
"""How long a retired file is kept at least."""

TRASH_NOTE_BYTES: Final = 64 * KIB
"""The note beside a file in trash: a path of PATH_BYTES and a sentence take 2 KiB at most."""

TRASH_REASON_CHARS: Final = 200
"""Why a file is in trash; more is none of our reasons."""

PART_DAYS: Final = 14
"""How long an unfinished part that no lock wants is kept."""

INDEX_PATIENCE_S: Final = 1.0
"""How long the index of known files is waited for; a run is right without it."""

INDEX_VALUE_BYTES: Final = 1 * MIB
"""The longest path or hash in the index; what civsync writes has a few thousand at most."""

INDEX_PLACES: Final = 8
"""Places of one content that are tried: more of them hold the same bytes, or are all stale."""

# --- control while it runs ------------------------------------------------------------

JOB_REQUEST_BYTES: Final = 8 * MIB
"""One request to a running sync: an order may name each of 20,000 files of a search by its path."""

JOB_ANSWER_BYTES: Final = 256 * MIB
"""One answer of a running sync: 100,000 downloads take about 30 MB, more with long names."""

JOB_REASON_CHARS: Final = 500
"""Why a request was declined; more would be an echo of what somebody sent."""

JOB_CONNECTIONS: Final = 8
"""Who may speak to a running sync at the same time; the others wait their turn."""

JOB_BACKLOG: Final = 64
"""Who may wait for a turn: one more is refused at once, and does not wait."""

JOB_IDLE_S: Final = 3.0
"""A request, and the taking of its answer, that take longer end the conversation."""

JOB_ANSWER_S: Final = 8.0
"""How long `civsync job` waits for a running sync, which may be stopped or busy."""

JOB_ACCEPT_PAUSE_S: Final = 1.0
"""Pause after a connection that could not be taken: the process may be out of descriptors."""

SOCKET_PATH_BYTES: Final = 103
"""The longest path of a socket: `sun_path` has 104 bytes on macOS, 108 on Linux, with a NUL."""

MAX_PRIORITY: Final = 1_000_000
"""Greatest priority, and with a minus the smallest, as in the manifest's schema."""

WAITING_SHOWN: Final = 10
"""Downloads that still wait which `civsync job list` shows one by one."""

KEY_CONFIRM_S: Final = 5.0
"""How long a second `c` confirms the first."""

BACKGROUND_LOOK_S: Final = 0.5
"""How often a sync looks whether the terminal is its own, and keys are to be taken from it."""
