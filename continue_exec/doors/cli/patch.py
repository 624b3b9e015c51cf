"""One Change as lines of a unified diff, as git writes them: for a person, or for `git apply`.

A person's form names each hunk, shows every control character (what comes out of a sandbox must not draw on the
terminal of whoever reviews it) and never shows a line twice. The patch is exactly what git reads.

Changes are JSON, as `changes.list` answered. Lines end with \\n and nothing else, as in git and in the engine.
"""

from __future__ import annotations

import base64
import hashlib
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from . import say

CONTEXT = 3
"""Lines around a hunk, as in git."""

BOLD, CYAN = "1", "36"
NO_NEWLINE = "\\ No newline at end of file"

_LITERAL_BYTES = 52
"""Of one line of a binary patch (git's diff.c)."""

_HIDDEN = (*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A), 0xFEFF, 0x2028, 0x2029)
"""Characters that take no room or turn the text around them about: code could read otherwise than it runs."""


class Block(NamedTuple):
    """What stands below one `@@`: lines without their ends, each after its ` `, `-` or `+`."""

    old_start: int
    old_lines: int
    new_start: int
    new_lines: int
    ids: tuple[str, ...]
    body: list[str]

    @property
    def head(self) -> str:
        """`@@ -1,3 +1,4 @@`."""
        return f"@@ -{_span(self.old_start, self.old_lines)} +{_span(self.new_start, self.new_lines)} @@"


def split(text: str) -> list[str]:
    """Lines with their ends."""
    *lines, rest = text.split("\n")
    return [line + "\n" for line in lines] + ([rest] if rest else [])


def blocks(
    hunks: Sequence[Mapping[str, Any]], host: Sequence[str] | None, context: int = CONTEXT, *, joined: bool = False
) -> list[Block]:
    """Hunks with lines of the host's text around them.

    Args:
        host: the text's lines; None, or lines that are not those that the hunks were made from: no context.
        joined: hunks whose context would meet share one block, as git wants them; else each has its own, and the
            lines between two are shared out.
    """
    if host is None or not all(_fits(hunk, host) for hunk in hunks):
        host, context = [], 0
    found: list[Block] = []
    shown = 0  # host lines that stand in a block already
    for at, hunk in enumerate(hunks):
        start = hunk["old_start"] - 1
        end = start + hunk["old_lines"]
        next_start = hunks[at + 1]["old_start"] - 1 if at + 1 < len(hunks) else len(host)
        after = list(host[end : min(end + context, next_start, len(host))])
        if joined and found and start <= shown + context:
            before = list(host[shown:start])
        else:
            before = list(host[max(start - context, shown, 0) : start])
        body = [*_lines(" ", before), *_lines("-", split(hunk["old_text"])), *_lines("+", split(hunk["new_text"]))]
        body += _lines(" ", after)
        old = len(before) + hunk["old_lines"] + len(after)
        new = len(before) + hunk["new_lines"] + len(after)
        if joined and found and start <= shown + context:
            last = found[-1]
            found[-1] = last._replace(
                old_lines=last.old_lines + old,
                new_lines=last.new_lines + new,
                ids=(*last.ids, hunk["id"]),
                body=last.body + body,
            )
        else:
            found.append(Block(start - len(before), old, hunk["new_start"] - 1 - len(before), new, (hunk["id"],), body))
        shown = end + len(after)
    return found


def _fits(hunk: Mapping[str, Any], host: Sequence[str]) -> bool:
    start = hunk["old_start"] - 1
    there: str = "".join(host[start : start + hunk["old_lines"]])
    return start >= 0 and bool(there == hunk["old_text"])


def _lines(mark: str, lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        yield mark + line.removesuffix("\n")
        if not line.endswith("\n"):
            yield NO_NEWLINE


def _span(start: int, lines: int) -> str:
    # Without lines it is the line before (POSIX diff), and `start` counts from 0 already.
    first = start if lines == 0 else start + 1
    return str(first) if lines == 1 else f"{first},{lines}"


# For a person


class Paint:
    """Colours, or none."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour

    def __call__(self, text: str, code: str) -> str:
        """`text` in the colour of an SGR code."""
        return f"\x1b[{code}m{text}\x1b[m" if self._colour and text else text


def shown(change: Mapping[str, Any], host: str | None, paint: Paint, context: int = CONTEXT) -> Iterator[str]:
    """The lines that a person sees, without ends."""
    yield from about(change, paint)
    found = change.get("hunks") or ()
    if found:
        yield from (paint(line, BOLD) for line in _names(change))
    elif change.get("insertions") or change.get("deletions"):
        yield f"Not UTF-8: lines +{change['insertions']} -{change['deletions']} (--patch has them)"
    for block in blocks(found, None if host is None else split(host), context):
        yield from shown_block(block, paint)


def about(change: Mapping[str, Any], paint: Paint) -> Iterator[str]:
    """What there is to say of a change besides its lines."""
    old, new = change.get("old_path") or change["path"], change["path"]
    yield paint(visible(f"diff --git {quoted('a/', old)} {quoted('b/', new)}"), BOLD)
    yield from (paint(visible(line), BOLD) for line in _extended(change, exact=True))
    if change.get("old_type") and change["old_type"] != change["type"]:
        yield paint(f"was a {change['old_type']}, is a {change['type']}", BOLD)
    if change.get("binary"):
        yield f"Binary files differ ({say.size(change.get('size', 0))} in the sandbox)"
    for word, code, label in (
        ("conflict", say.RED, "conflict"),
        ("needs_yes", say.YELLOW, "needs a yes of its own"),
        ("refused", say.RED, "cannot come home"),
    ):
        if change.get(word):
            yield paint(f"! {label}: {visible(change[word])}", code)


def shown_block(block: Block, paint: Paint) -> Iterator[str]:
    """`@@ … @@ [id]` and the lines below."""
    yield f"{paint(block.head, CYAN)} [{' '.join(block.ids)}]"
    for line in block.body:
        if line.startswith("+"):
            yield paint(visible(line), say.GREEN)
        elif line.startswith("-"):
            yield paint(visible(line), say.RED)
        else:
            yield visible(line.removesuffix("\r"))


def markers(merged: str) -> Iterator[str]:
    """The parts of a merged text between conflict markers, markers included, with line numbers."""
    inside = False
    for number, line in enumerate(split(merged), 1):
        inside = inside or line.startswith("<<<<<<< ")
        if inside:
            yield f"{number:>6} {visible(line.removesuffix(chr(10)))}"
        if line.startswith(">>>>>>> "):
            inside = False


def visible(text: str) -> str:
    """Nothing that a terminal would obey, and nothing that hides."""
    return text if text.isascii() and text.isprintable() else text.translate(_VISIBLE)


class _Visible(dict[int, str | int]):
    def __missing__(self, code: int) -> str | int:
        if code == 9:
            return code
        if code < 32:
            return f"^{chr(code + 64)}"
        if code == 127:
            return "^?"
        if 0xDC80 <= code <= 0xDCFF:
            return f"\\{code - 0xDC00:03o}"
        if 128 <= code < 160 or code in _HIDDEN or 0xD800 <= code <= 0xDFFF:
            return f"<U+{code:04X}>"
        return code


_VISIBLE = _Visible()


# For git


def patch(change: Mapping[str, Any], host: Mapping[str, Any] | None, inside: Mapping[str, Any] | None) -> Iterator[str]:
    """Lines that `git apply` takes, without ends. `host` and `inside` are the two sides' Content; of a change with
    hunks only the host's is needed, and none of one that is added or deleted.

    Git knows no empty folders, so a folder gives nothing.
    """
    kind, old_type = change["kind"], change.get("old_type") or change["type"]
    if kind != "added" and kind != "deleted" and old_type != change["type"]:
        # Another type is another file: git, too, deletes the one and makes the other.
        gone = {**change, "kind": "deleted", "type": old_type, "old_type": None, "mode": None, "old_path": None}
        gone["path"] = change.get("old_path") or change["path"]
        yield from patch({**gone, "hunks": ()}, host, None)
        yield from patch({**change, "kind": "added", "old_type": None, "old_path": None, "hunks": ()}, None, inside)
        return
    if change["type"] == "folder":
        return
    old, new = change.get("old_path") or change["path"], change["path"]
    yield f"diff --git {quoted('a/', old)} {quoted('b/', new)}"
    yield from _extended(change, exact=False)
    if hunks := change.get("hunks"):
        yield from _names(change)
        text = (host or {}).get("text")
        yield from _written(blocks(hunks, None if text is None else split(text), joined=True))
        return
    before, after = _blob(host), _blob(inside)
    if kind == "deleted":
        after = b""
    if before == after:
        if kind in ("added", "deleted"):
            yield f"index {_hash(before, kind != 'added')[:7]}..{_hash(after, kind != 'deleted')[:7]}"
        return
    try:
        texts = before.decode(), after.decode()
        if "\0" in texts[0] + texts[1]:
            raise ValueError
    except ValueError:
        yield f"index {_hash(before, kind != 'added')}..{_hash(after, kind != 'deleted')}"
        yield from _binary(after)
        return
    yield from _names(change)
    yield from _written(blocks(_whole(*texts), split(texts[0]), joined=True))


def _written(found: Sequence[Block]) -> Iterator[str]:
    for block in found:
        yield block.head
        yield from block.body


def _whole(old: str, new: str) -> list[dict[str, Any]]:
    """Everything as one hunk."""
    return [
        {
            "id": "",
            "old_start": 1,
            "old_lines": len(split(old)),
            "old_text": old,
            "new_start": 1,
            "new_lines": len(split(new)),
            "new_text": new,
        }
    ]


def _blob(content: Mapping[str, Any] | None) -> bytes:
    if content is None or not content.get("exists"):
        return b""
    if content.get("target") is not None:
        return os.fsencode(content["target"])
    if content.get("text") is not None:
        return str(content["text"]).encode("utf-8", "surrogatepass")
    return base64.b64decode(content.get("base64") or "")


def _hash(data: bytes, exists: bool) -> str:
    # Git's name of the bytes. SHA-1 names them, it does not protect them.
    return hashlib.sha1(b"blob %d\0%b" % (len(data), data), usedforsecurity=False).hexdigest() if exists else "0" * 40


def _binary(data: bytes) -> Iterator[str]:
    yield "GIT binary patch"
    yield f"literal {len(data)}"
    packed = zlib.compress(data)
    for at in range(0, len(packed), _LITERAL_BYTES):
        piece = packed[at : at + _LITERAL_BYTES]
        length = chr(64 + len(piece)) if len(piece) <= 26 else chr(70 + len(piece))
        yield length + base64.b85encode(piece, pad=True).decode()
    yield ""


def _extended(change: Mapping[str, Any], *, exact: bool) -> Iterator[str]:
    """git's extended header. `exact`: permission bits as they are; else as git keeps them, which is one bit."""
    kind = change["kind"]
    new = _mode(change["type"], change.get("mode"), exact)
    old = _mode(change.get("old_type") or change["type"], change.get("old_mode"), exact)
    if kind == "added":
        yield f"new file mode {new}"
    elif kind == "deleted":
        yield f"deleted file mode {old}"
    elif old != new and change.get("mode") is not None and change.get("old_mode") is not None:
        yield f"old mode {old}"
        yield f"new mode {new}"
    if kind == "renamed":
        yield f"rename from {quoted('', change['old_path'])}"
        yield f"rename to {quoted('', change['path'])}"


def _mode(type_: str, mode: int | None, exact: bool) -> str:
    if type_ == "symlink":
        return "120000"
    if type_ == "folder":
        return "040000"
    if exact and mode is not None:
        return f"100{mode & 0o7777:03o}" if mode & 0o7777 < 0o1000 else f"10{mode & 0o7777:04o}"
    return "100755" if (mode or 0) & 0o100 else "100644"


def _names(change: Mapping[str, Any]) -> Iterator[str]:
    old, new = change.get("old_path") or change["path"], change["path"]
    yield "--- " + ("/dev/null" if change["kind"] == "added" else _ended(quoted("a/", old)))
    yield "+++ " + ("/dev/null" if change["kind"] == "deleted" else _ended(quoted("b/", new)))


def _ended(name: str) -> str:
    return name + "\t" if " " in name and not name.startswith('"') else name  # or git would not see where it ends


_ESCAPES = {7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r", 34: '"', 92: "\\"}


def quoted(prefix: str, path: str) -> str:
    """A path as git writes it: in quotes, with escapes, if it holds what could not be read back."""
    data = os.fsencode(prefix + path)
    plain = not any(byte < 32 or byte in (34, 92, 127) for byte in data)
    try:
        if plain:
            return data.decode()
    except UnicodeDecodeError:
        pass
    out = [
        "\\" + _ESCAPES[byte] if byte in _ESCAPES else chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}"
        for byte in data
    ]
    return f'"{"".join(out)}"'
