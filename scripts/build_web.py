"""Build the page into llamafund_chain/web/site, and record what was built.

    python scripts/build_web.py           build with Vite; print the folder's digest and its IPFS address
    python scripts/build_web.py --check   compare the folder with the record; build nothing

The same sources give the same bytes on every machine. The digest is the hash of the lines that `sha256sum` prints for
the files, in the order of their paths. The address is what `ipfs add --cid-version=1 -r` prints for the folder.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
from pathlib import Path

from llamafund_chain.evidence.file_dag import cid_from_bytes, node_cid, varint
from llamafund_chain.evidence.hashing import hash_tree, raw_cid
from llamafund_chain.evidence.hashing.checksums import sha256sum_lines
from llamafund_chain.files import write_file
from llamafund_chain.store.ipfs.unixfs import cid_to_bytes

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "llamafund_chain" / "web" / "site"
RECORD = SITE.parent / "site.json"

_DIRECTORY = b"\x0a\x02\x08\x01"
"""The data of a node that is a directory (UnixFS)."""


def described(site: Path = SITE) -> dict[str, object]:
    """What the folder holds: its digest, its address, its files."""
    files = hash_tree(site).files
    lines = "".join(line + "\n" for line in sha256sum_lines(files))
    return {
        "digest": hashlib.sha256(lines.encode()).hexdigest(),
        "cid": cid_from_bytes(directory(site)[0]),
        "files": {file.path: {"size": file.size, "sha256": file.sha256} for file in files},
    }


def directory(folder: Path) -> tuple[bytes, int]:
    """A folder's binary address, and the bytes of all its blocks (`Tsize`)."""
    block, total = bytearray(), 0
    for entry in sorted(folder.iterdir(), key=lambda path: path.name.encode()):
        if entry.is_dir():
            cid, size = directory(entry)
        else:
            data = entry.read_bytes()
            if len(data) > 256 * 1024:
                raise SystemExit(f"{entry.name} is {len(data)} bytes long. Split it: one block holds 256 KiB.")
            cid, size = cid_to_bytes(raw_cid(hashlib.sha256(data).hexdigest())), len(data)
        name = entry.name.encode()
        link = b"\x0a" + varint(len(cid)) + cid + b"\x12" + varint(len(name)) + name + b"\x18" + varint(size)
        block += b"\x12" + varint(len(link)) + link
        total += size
    node = bytes(block) + _DIRECTORY
    return node_cid(node), total + len(node)


def main() -> int:
    """Build and record, or compare."""
    parser = argparse.ArgumentParser(description="Build the page, and record what was built.")
    parser.add_argument("--check", action="store_true", help="compare the folder with the record; build nothing")
    arguments = parser.parse_args()
    if not arguments.check:
        subprocess.run(
            ["node", "node_modules/vite/bin/vite.js", "build", "--logLevel", "warn"], cwd=ROOT / "web", check=True
        )
    found = described()
    text = json.dumps(found, indent=1) + "\n"
    if arguments.check and (not RECORD.is_file() or RECORD.read_text(encoding="utf-8") != text):
        print("llamafund_chain/web/site is not what was recorded. Run `make web`.", file=sys.stderr)
        return 1
    if not arguments.check:
        write_file(RECORD, text.encode())
    print(f"digest  {found['digest']}\ncid     {found['cid']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
