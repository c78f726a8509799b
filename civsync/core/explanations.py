"""What every error code means for a person: whose fault, which exit status, what helps.

A table and nothing else; `civsync explain` prints it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from civsync.core.codes import Code
from civsync.core.exits import ExitCode, Owner
from civsync.core.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a code means for a person.

    `hint` is one imperative sentence, printed with every error; `meaning` is the paragraph
    of `civsync explain`.
    """

    owner: Owner
    exit: ExitCode
    hint: str
    meaning: str
    retry: bool = False


def _user(hint: str, meaning: str, status: ExitCode = ExitCode.INVALID) -> About:
    return About(owner=Owner.USER, exit=status, hint=hint, meaning=meaning)


def _registry(status: ExitCode, hint: str, meaning: str) -> About:
    return About(owner=Owner.REGISTRY, exit=status, hint=hint, meaning=meaning)


def _wire(hint: str, meaning: str, *, retry: bool) -> About:
    return About(owner=Owner.WIRE, exit=ExitCode.TEMPORARY, hint=hint, meaning=meaning, retry=retry)


def _integrity(hint: str, meaning: str) -> About:
    return About(owner=Owner.INTEGRITY, exit=ExitCode.INTEGRITY, hint=hint, meaning=meaning)


def _disk(status: ExitCode, hint: str, meaning: str) -> About:
    return About(owner=Owner.DISK, exit=status, hint=hint, meaning=meaning)


def _safety(hint: str, meaning: str) -> About:
    return About(owner=Owner.SAFETY, exit=ExitCode.REFUSED, hint=hint, meaning=meaning)


_LATER = "Run the same command again later; what was received is kept."

ABOUT: Final[Mapping[Code, About]] = MappingProxyType(
    {
        Code.USAGE: _user(
            "See `civsync --help`.",
            "The command line itself is wrong: an unknown flag, a missing argument or two flags"
            " that exclude each other. Nothing was done.",
            ExitCode.USAGE,
        ),
        Code.MANIFEST_MISSING: _user(
            "Run `civsync init` to make one, or name it with --manifest.",
            "civsync looked for civsync.yaml in this folder and those above it and found none, or"
            " a manifest that another one includes is not where that one says.",
        ),
        Code.MANIFEST_SYNTAX: _user(
            "Mend the YAML at the place shown.",
            "The manifest is not YAML, or uses a part of YAML that civsync refuses: it reads the"
            " 1.2 core schema only, without tags, and only true and false are booleans.",
        ),
        Code.MANIFEST_INVALID: _user(
            "Mend the value at the place shown; `civsync schema manifest` prints what is allowed.",
            "A value in the manifest has the wrong type or is not one of those allowed.",
        ),
        Code.UNKNOWN_KEY: _user(
            "Correct the key, or remove it.",
            "The manifest has a key that civsync does not know. It is refused rather than"
            " ignored: a typo must never silently change what is downloaded.",
        ),
        Code.DUPLICATE_KEY: _user(
            "Keep one of the two.",
            "A key stands twice in one mapping. YAML parsers keep the last one silently, so that"
            " a reviewer sees one thing and the tool another; civsync refuses.",
        ),
        Code.YAML_ALIAS: _user(
            "Write the value out in both places.",
            "Anchors, aliases and merge keys are refused: a few lines of them can grow into"
            " gigabytes, and they make a manifest hard to review.",
        ),
        Code.AMBIGUOUS_ID: _user(
            "Write `model: N` for a model id, or `version: N` for a version id.",
            "Many numbers are both a model id and a version id of Civitai, so a bare number is"
            " refused. The number in /models/N is a model id; the one after modelVersionId= is a"
            " version id.",
        ),
        Code.BAD_LINK: _user(
            "Paste the address of the model's page, or write `model: ID`.",
            "The text is neither a link to a Civitai model or version nor an AIR"
            " (urn:air:...:civitai:MODEL@VERSION).",
        ),
        Code.BAD_TEMPLATE: _user(
            "Correct the template; the known fields are listed.",
            "A directory or file name template names an unknown field, has unbalanced braces, or"
            " could lead out of the root.",
        ),
        Code.UNKNOWN_LAYOUT: _user(
            "Use one of the names listed, or define it under `layouts:`.",
            "`layout:` names neither a preset nor a layout of this manifest.",
        ),
        Code.DUPLICATE_ENTRY: _user(
            "Keep one of the two; several files of one version go under its `files:`.",
            "Two entries ask for the same model and version.",
        ),
        Code.UNKNOWN_MODEL: _user(
            "Check the number: the one in the address after /models/ is a model id.",
            "No endpoint of Civitai knows this id, and the lock has never seen it. It was"
            " mistyped, or the model was deleted before you locked it, or it is visible only to"
            " its owner.",
        ),
        Code.UNKNOWN_VERSION: _user(
            "Pick one of the versions listed.",
            "The model exists, but has no version with this id or name that is published for the"
            " base model asked for.",
        ),
        Code.VERSION_OF_OTHER_MODEL: _user(
            "Correct the model id or the version id.",
            "The version exists but belongs to another model than the entry says.",
        ),
        Code.NO_MATCHING_FILE: _user(
            "Change `prefer:` or add `files:`; the files of the version are listed.",
            "The version has files, but none that the entry's selectors and preferences allow.",
        ),
        Code.PICKLE_DENIED: _user(
            "Prefer a safetensors file, or set `allow_pickle: true` on this entry if you trust it.",
            "The only file that fits is a pickle (.ckpt, .pt, .pth, .bin, .pkl). Loading a pickle"
            " can run any code its author liked, so civsync locks one only when told to.",
        ),
        Code.SCAN_MISSING: _user(
            "Wait until Civitai has scanned the file, or relax `policy.scans`.",
            "Civitai's virus or pickle scan of the file has not succeeded, and the policy of this"
            " manifest wants it to.",
        ),
        Code.POLICY_DENIED: _user(
            "Choose another version or file, or change the rule under `policy:`.",
            "The policy of this manifest (license, nsfw, max_size or creators) does not allow the"
            " file, so it is not locked. What Civitai does not say counts as not allowed.",
        ),
        Code.TOO_NEW: _user(
            "Wait, name an older version, or set `exclude_newer: false` on this entry.",
            "`exclude_newer` leaves out versions that were published too recently, to give others"
            " the time to find something wrong with them. A version without a date counts as new.",
        ),
        Code.UNKNOWN_CREATOR: _user(
            "Correct the name: it is the one after /user/ in the address of the creator's page.",
            "Civitai has no account of this name, so the search could only find nothing.",
        ),
        Code.NO_HASH: _user(
            "Set `allow_unverified: true` on the entry to record the hash of the first download.",
            "Civitai publishes no SHA-256 for this file (it was not scanned yet), so civsync"
            " could not tell the right bytes from wrong ones.",
        ),
        Code.UNLOCKABLE: _user(
            "See the reason; remove the entry or pin another version.",
            "The entry cannot be locked: what it asks for exists but has no files to download.",
        ),
        Code.LOCK_MISSING: _user(
            "Run `civsync lock`.",
            "This command reads only civsync.lock, and there is none beside the manifest.",
            ExitCode.STALE,
        ),
        Code.LOCK_STALE: _user(
            "Run `civsync lock` and commit the result.",
            "The manifest asks for something else than the lock holds; the keys that differ are"
            " named. With --locked (implied by CI=true) civsync does not change the lock.",
            ExitCode.STALE,
        ),
        Code.LOCK_INVALID: _user(
            "Restore civsync.lock from version control, or delete it and run `civsync lock`.",
            "civsync.lock was truncated or edited by hand into something that is not a lock.",
        ),
        Code.LOCK_CONFLICT: _user(
            "Run `civsync lock`: it unites both sides and resolves only what clashes.",
            "civsync.lock holds merge conflict markers. `civsync lock` keeps what only one side"
            " has, drops what the manifest does not want, and asks Civitai about the entries that"
            " both sides changed. Settle the manifest first.",
        ),
        Code.LOCK_NEWER: _user(
            "Upgrade civsync.",
            "civsync.lock was written by a newer civsync in a format that this one cannot read.",
        ),
        Code.PLAN_INVALID: _user(
            "Write the plan anew: `civsync sync --plan FILE`.",
            "The file is no plan that civsync wrote, or somebody changed it since. A plan is what"
            " was looked at and agreed to, so one with a changed byte is worth nothing.",
        ),
        Code.CONFIG_INVALID: _user(
            "Correct the setting named.",
            "An environment variable or a setting has a value that makes no sense.",
        ),
        Code.CANCELLED: _user(
            "Run `civsync sync`: it offers the file again.",
            "You cancelled this download with `civsync job cancel` or the key c. What was"
            " received was dropped; the next sync offers it again.",
            ExitCode.PARTIAL,
        ),
        Code.NO_JOB: _user(
            "See with `civsync job list` what is running; `civsync sync` starts a sync.",
            "An order was for a sync that is not downloading, has ended meanwhile, does not answer,"
            " or cannot be spoken to on this system.",
            ExitCode.REFUSED,
        ),
        Code.LOGIN_NEEDED: _registry(
            ExitCode.CREDENTIALS,
            "Run `civsync auth login`, or set CIVITAI_API_KEY.",
            "Civitai gives this file only to users who are logged in, and civsync has no API key"
            " or Civitai treated the key as nobody's.",
        ),
        Code.TOKEN_REFUSED: _registry(
            ExitCode.CREDENTIALS,
            "Make a new API key in your Civitai account settings and run `civsync auth login`;"
            " `civsync auth status` says where the present key comes from.",
            "Civitai does not know the API key that is configured: it was revoked or has expired."
            " Civitai itself hides this (it treats the caller as anonymous), so civsync asks"
            " once before it starts.",
        ),
        Code.DOWNLOADS_DISABLED: _registry(
            ExitCode.CREDENTIALS,
            "Remove the entry or pin another version; an API key does not help.",
            "The creator allows this version only for use on Civitai itself.",
        ),
        Code.EARLY_ACCESS: _registry(
            ExitCode.CREDENTIALS,
            "Wait for the date shown, buy access on Civitai, or pin an older version.",
            "The version is in paid early access, and this account has not bought it.",
        ),
        Code.ACCESS_DENIED: _registry(
            ExitCode.CREDENTIALS,
            "Check that the API key belongs to an account that may see this model.",
            "Civitai says that this account, or this network address, may not download the file.",
        ),
        Code.ARCHIVED: _registry(
            ExitCode.GONE,
            "Keep the copy you have; find another source, or remove the entry.",
            "The creator archived the model: its page stays, its files are not served any more.",
        ),
        Code.GONE: _registry(
            ExitCode.GONE,
            "Keep the copy you have; run `civsync lock --upgrade` to see what Civitai offers now.",
            "Civitai does not serve the locked file any more: it was deleted, unpublished or"
            " replaced. civsync never deletes your copy for that.",
        ),
        Code.REGION_BLOCKED: _registry(
            ExitCode.GONE,
            "Run civsync from a machine in another region, or keep the copy you have.",
            "Civitai does not answer requests from the country of this network address.",
        ),
        Code.QUOTA: _registry(
            ExitCode.TEMPORARY,
            "Run the same command again in some hours, with an API key; what was received is kept.",
            "Civitai's daily allowance of downloads for this account or address is used up."
            " Trying again at once only makes it worse, so civsync stops all downloads.",
        ),
        Code.SEARCH_REFUSED: _registry(
            ExitCode.INVALID,
            "Correct the filter that the message names; Civitai's words for types, base models"
            " and sorting are case-sensitive.",
            "Civitai does not accept the filters of a search, so asking again would not help.",
        ),
        Code.UNREACHABLE: _wire(
            "Check the network and the proxy settings; then run the same command again.",
            "No connection could be made: name look-up, route or port failed.",
            retry=True,
        ),
        Code.TLS_FAILED: _wire(
            "Check the clock, SSL_CERT_FILE and the proxy of this machine.",
            "The server's certificate could not be verified. That is never retried and there is"
            " no flag to ignore it.",
            retry=False,
        ),
        Code.TIMED_OUT: _wire(_LATER, "The server was silent for too long.", retry=True),
        Code.CONNECTION_LOST: _wire(
            _LATER, "The connection broke before the answer was complete.", retry=True
        ),
        Code.RATE_LIMITED: _wire(
            _LATER, "The server asked for a pause (429) longer than civsync waits.", retry=True
        ),
        Code.SERVER_ERROR: _wire(
            _LATER, "The server reports a failure of its own (5xx).", retry=True
        ),
        Code.EDGE_REFUSED: _wire(
            "Try another network, or later; a permission would not help.",
            "The network in front of Civitai answered with a web page instead of the API: it"
            " dislikes this address or is busy.",
            retry=True,
        ),
        Code.NOT_JSON: _wire(
            _LATER,
            "A web page came where data should have been: maintenance, or a login page.",
            retry=True,
        ),
        Code.REPLY_MALFORMED: _wire(
            _LATER, "The answer is not what the protocol or the API promises.", retry=True
        ),
        Code.ANSWER_TOO_LARGE: _wire(
            "Report this, with the id.",
            "One answer was larger than any real one, and reading it was stopped.",
            retry=False,
        ),
        Code.STORAGE_MISSING: _wire(
            _LATER,
            "Civitai lists the file but could not find it in storage just now.",
            retry=True,
        ),
        Code.URL_EXPIRED: _wire(
            _LATER, "The storage host refused the signed address that Civitai gave out.", retry=True
        ),
        Code.BAD_REDIRECT: _wire(
            "Check CIVSYNC_API_URL and the proxy of this machine.",
            "A redirect led to where no model comes from: another scheme, a login page, too many"
            " hops, or a private address.",
            retry=False,
        ),
        Code.OFFLINE: _wire(
            "Run without --offline.",
            "The work needs the network and --offline forbids it.",
            retry=False,
        ),
        Code.HASH_MISMATCH: _integrity(
            "Run `civsync sync` again; if it stays, ask with `civsync lock --upgrade`.",
            "The whole file arrived and its SHA-256 is not the locked one. It is kept in"
            " .civsync/quarantine for inspection and never gets its name.",
        ),
        Code.SIZE_MISMATCH: _integrity(
            "Run `civsync sync` again; if it stays, ask with `civsync lock --upgrade`.",
            "The server offers a file of another size than the lock says.",
        ),
        Code.NOT_A_MODEL: _integrity(
            "Run `civsync auth login` if the file needs an account; else try again later.",
            "A web page, an error message or compressed data came instead of the model. Nothing"
            " of it was written.",
        ),
        Code.FORMAT_MISMATCH: _integrity(
            "Do not load this file; pin another one.",
            "The bytes are the locked ones, but their format is not the one that the name"
            " promises (a pickle named .safetensors, say). It is kept in quarantine.",
        ),
        Code.CONTENT_CHANGED: _integrity(
            "Find out why; to accept it, remove the entry, run `civsync lock`, and add it again.",
            "Civitai now publishes another SHA-256 under the same file id. That should never"
            " happen, so the lock is left as it is, also by an upgrade.",
        ),
        Code.DIFFERS: _integrity(
            "Run `civsync verify --repair`: it keeps the damaged file and fetches the right one.",
            "A locked file does not have the locked content, cannot be read, or is missing. What"
            " civsync placed is put right by `civsync verify --repair`; the damaged file goes to"
            " .civsync/quarantine.",
        ),
        Code.NO_SPACE: _disk(
            ExitCode.REFUSED,
            "Free the space named, then run the same command again.",
            "The disk of the root cannot hold what is still to come.",
        ),
        Code.READ_ONLY: _disk(
            ExitCode.REFUSED,
            "Make the root writable for this user.",
            "civsync may not write below the root.",
        ),
        Code.DISK_FAILED: _disk(
            ExitCode.UNEXPECTED,
            "Check the disk; then run the same command again.",
            "The operating system reported an error of the disk.",
        ),
        Code.ROOT_BUSY: _disk(
            ExitCode.TEMPORARY,
            "Wait for the other civsync to end; `civsync job list` shows how far a sync is.",
            "Another civsync is changing this root.",
        ),
        Code.FOREIGN_FILE: _safety(
            "Move the file away, or point `directory:` or `filename:` of the entry elsewhere.",
            "Where a locked file belongs there is one with other content that civsync did not"
            " put there. It is never overwritten.",
        ),
        Code.MODIFIED_FILE: _safety(
            "Keep your change under another name, or run `civsync sync --force-modified`.",
            "A file that civsync placed was changed since. It is not overwritten unless told to,"
            " and then goes to .civsync/trash first.",
        ),
        Code.NOT_WANTED: _safety(
            "Run `civsync list` to see what is locked.",
            "A file was named to be adopted, and the lock wants nothing with its content that is"
            " not in place already. It stays as it is, and yours.",
        ),
        Code.MISPLACED: _safety(
            "Run `civsync adopt --move`: it moves the file to where the lock wants it.",
            "A file has the content of a locked one and lies under another name. Files that"
            " civsync did not place are moved only when told to.",
        ),
        Code.UNSELECTED_FILE: _safety(
            "Select its groups as well (`civsync sync --all-groups`), or give it up with"
            " `--prune-unselected`.",
            "Where a selected file belongs there is one of another model, whose groups this run"
            " leaves alone. What a selection leaves out is not replaced.",
        ),
        Code.PROTECTED_FILE: _safety(
            "Say `protect: false` in its entry, or name it: `civsync sync --unprotect PATH`.",
            "Where a locked file belongs there is one that an entry protected. No sync replaces or"
            " moves it, also when that entry is gone from the manifest.",
        ),
        Code.PRUNE_GUARD: _safety(
            "Look at the list; then run `civsync sync --allow-prune N` (or --no-prune to keep).",
            "More files would be retired than a usual edit explains: above ten and a quarter of"
            " what civsync placed, or all of it. An emptied manifest must not empty a library.",
        ),
        Code.PLAN_STALE: _safety(
            "Look at a new plan: `civsync sync --plan FILE`, or `civsync sync --dry-run`.",
            "A saved plan is carried out only as it stands in its file. Since it was written the"
            " lock, the root or a file on disk became another one, so nothing was changed.",
        ),
        Code.SEARCH_EMPTY: _safety(
            "Check the filters; if the search is right, remove it or try again later.",
            "A search found nothing at all. That is more often a slip in a filter, or a search"
            " service in trouble, than the wish to have no files, so what was locked stays.",
        ),
        Code.ROOT_MARKER_MISSING: _safety(
            "Mount the disk; if the root was really emptied, run `civsync sync --new-root`.",
            "civsync has been at this root before, but its marker (.civsync/root.json) is not"
            " there now: most likely the disk is not mounted.",
        ),
        Code.ROOT_UNUSABLE: _safety(
            "Name a directory with --root, CIVSYNC_ROOT or `root:`.",
            "The root is not a directory, or lies where a manifest may not put it.",
        ),
        Code.SYMLINKED_DIRECTORY: _safety(
            "If you made the link, say where it leads: --follow-links DIR=TARGET, or `follow_links`"
            " in your config.yaml. Otherwise replace it by a directory.",
            "A directory on the way to a file is a symbolic link. Writing through it could put"
            " files anywhere, so civsync does not, unless you yourself said where it leads.",
        ),
        Code.UNDECLARED_DISK: _safety(
            "Say so with --follow-links DIR, or `follow_links` in your config.yaml.",
            "A directory below the root is on another disk. Files cannot be renamed from one disk"
            " to another, and a disk that is not mounted looks like an empty directory, so"
            " civsync works there only if you said that it is one.",
        ),
        Code.LINK_UNUSABLE: _safety(
            "Mount the disk, or correct the link or what --follow-links or config.yaml say of it.",
            "A directory that was declared to lie on another disk is not there, leads elsewhere"
            " than was declared, or belongs to another root.",
        ),
        Code.OBSTACLE: _safety(
            "Move it away.",
            "Something that is not a regular file stands where a locked file belongs.",
        ),
        Code.PATH_TAKEN: _safety(
            "Say with `civsync trash restore ID --to PATH` where it shall go.",
            "A file was to come back from trash to a path where something is already, or where the"
            " lock wants other bytes. Nothing is put over anything, and nothing in the way of a"
            " sync.",
        ),
        Code.UNSAFE_PATH: _safety(
            "Restore civsync.lock from version control.",
            "A path in the lock or receipt leads out of the root, or is none that civsync makes.",
        ),
        Code.UNVERIFIED: _safety(
            "Run `civsync lock`: it downloads the file once and records its SHA-256.",
            "The lock has no SHA-256 for the file, so no bytes can be told to be the right ones."
            " Civitai had published none, and `civsync lock` has not recorded one yet.",
        ),
        Code.STATE_DAMAGED: _safety(
            "Run `civsync verify --rebuild`, or restore .civsync/receipt.json from a backup.",
            "The receipt of this root cannot be read, so civsync cannot tell its files from yours."
            " A rebuild hashes every locked file, shows how many would become civsync's, and asks;"
            " the damaged receipt is kept beside the new one.",
        ),
        Code.UNEDITABLE: _safety(
            "Make the change by hand, with the lines that were printed.",
            "civsync changes a manifest only where it can prove that the text then says what was"
            " meant and nothing else. This one is written in a way where it cannot.",
        ),
    }
)
