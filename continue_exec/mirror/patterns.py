"""The language of .gitignore (gitignore(5)), as Git matches it, on bytes.

Git's matcher is reproduced instead of asked (`git check-ignore`): a decision costs microseconds on the path of every
run, works where git is not installed, and cannot be ended by a path that git finds fatal. Its test holds it against git
itself, on generated patterns.

Patterns come from workspaces that nobody has vetted, so a match must not take long: every `*` is followed by an atomic
group that settles for the first place where the rest of the component fits, which is enough for globs and linear.
"""

from __future__ import annotations

import re
import string

_SPECIAL = b"*?[\\"
_NEVER = b"(?!)"
_MAX_PATTERN = 4096

_CLASSES: dict[bytes, frozenset[int]] = {
    name: frozenset(members)
    for name, members in {
        b"alnum": (string.ascii_letters + string.digits).encode(),
        b"alpha": string.ascii_letters.encode(),
        b"blank": b" \t",
        b"cntrl": bytes([*range(32), 127]),
        b"digit": string.digits.encode(),
        b"graph": bytes(range(33, 127)),
        b"lower": string.ascii_lowercase.encode(),
        b"print": bytes(range(32, 127)),
        b"punct": string.punctuation.encode(),
        b"space": string.whitespace.encode(),
        b"upper": string.ascii_uppercase.encode(),
        b"xdigit": string.hexdigits.encode(),
    }.items()
}


class _Invalid(Exception):
    """A pattern that can match nothing."""


def _bracket(pattern: bytes, at: int) -> tuple[bytes, int]:
    """The class that opens before `at` as a regex that matches one byte, and where the pattern goes on."""
    negated = pattern[at : at + 1] in (b"!", b"^")
    at += negated
    members: set[int] = set()
    previous = -1
    first = True
    while True:
        if at >= len(pattern):
            raise _Invalid
        byte = pattern[at]
        if byte == 0x5D and not first:  # ]
            break
        first = False
        if byte == 0x5C:  # backslash
            at += 1
            if at >= len(pattern):
                raise _Invalid
            byte = pattern[at]
            members.add(byte)
            previous = byte
        elif byte == 0x2D and previous >= 0 and pattern[at + 1 : at + 2] not in (b"", b"]"):  # a range
            at += 1
            if pattern[at] == 0x5C:
                at += 1
                if at >= len(pattern):
                    raise _Invalid
            members.update(range(previous, pattern[at] + 1))
            previous = -1
        elif pattern[at : at + 2] == b"[:":
            end = pattern.find(b"]", at + 2)
            if end < 0:
                raise _Invalid
            if end > at + 2 and pattern[end - 1] == 0x3A:  # [:name:]
                name = pattern[at + 2 : end - 1]
                if name not in _CLASSES:
                    raise _Invalid
                members |= _CLASSES[name]
                at = end
                previous = -1
            else:
                members.add(byte)
                previous = byte
        else:
            members.add(byte)
            previous = byte
        at += 1
    members = set(range(256)) - members if negated else members
    members.discard(0x2F)  # a class never matches a slash
    if not members:
        raise _Invalid
    return b"[" + b"".join(b"\\x%02x" % member for member in sorted(members)) + b"]", at + 1


def _component(pattern: bytes) -> bytes:
    """A regex for one path component (no slash in it) that must be followed by a slash or the end."""
    segments: list[bytes] = [b""]
    at = 0
    while at < len(pattern):
        byte = pattern[at]
        at += 1
        if byte == 0x2A:  # *
            if at < 2 or pattern[at - 2] != 0x2A or segments[-1]:
                segments.append(b"")
        elif byte == 0x3F:  # ?
            segments[-1] += b"[^/]"
        elif byte == 0x5B:  # [
            text, at = _bracket(pattern, at)
            segments[-1] += text
        elif byte == 0x5C:  # backslash
            if at >= len(pattern):
                raise _Invalid
            segments[-1] += re.escape(pattern[at : at + 1])
            at += 1
        else:
            segments[-1] += re.escape(bytes([byte]))
    if len(segments) == 1:
        return segments[0]
    middle = b"".join(b"(?>[^/]*?" + segment + b")" for segment in segments[1:-1] if segment)
    return segments[0] + middle + b"[^/]*" + segments[-1]


def _split(pattern: bytes) -> list[bytes]:
    """Components of a pattern. A slash inside brackets ends nothing: such a class matches no slash, hence the pattern
    matches whatever the rest allows; a backslash before a slash is dropped."""
    parts = [b""]
    at = 0
    while at < len(pattern):
        byte = pattern[at : at + 1]
        if byte == b"[":
            try:
                _, end = _bracket(pattern, at + 1)
            except _Invalid:
                end = at + 1
            parts[-1] += pattern[at:end]
            at = end
        elif byte == b"\\" and pattern[at + 1 : at + 2] != b"/":
            parts[-1] += pattern[at : at + 2]
            at += 2
        elif byte == b"\\":
            # `**/` may stand for no folder at all; Git does not take `**\\/` so, but as one folder or more.
            if _is_any_depth(parts[-1]):
                parts.append(b"*")
            at += 1
        elif byte == b"/":
            parts.append(b"")
            at += 1
        else:
            parts[-1] += byte
            at += 1
    return parts


def _is_any_depth(part: bytes) -> bool:
    return len(part) >= 2 and not part.strip(b"*")


def translate(pattern: bytes) -> bytes:
    """A regex (for fullmatch) that matches the slash-separated paths that `pattern` matches."""
    try:
        # Git compares what precedes the first special byte literally and starts its matcher after it, so that `**`
        # counts as a component of its own there, even in `a**/b`.
        literal = next((i for i, byte in enumerate(pattern) if byte in _SPECIAL), len(pattern))
        head, parts = re.escape(pattern[:literal]), _split(pattern[literal:])
        if literal == len(pattern):
            return head
        return head + _path(parts)
    except _Invalid:
        return _NEVER


def _path(parts: list[bytes]) -> bytes:
    groups: list[list[bytes]] = [[]]
    for index, part in enumerate(parts):
        if _is_any_depth(part) and index < len(parts) - 1:
            if groups[-1] or len(groups) == 1:
                groups.append([])
        else:
            groups[-1].append(part)
    text = b""
    for number, group in enumerate(groups):
        last = number == len(groups) - 1
        body = b"/".join(
            b".*" if last and index == len(group) - 1 and _is_any_depth(part) else _component(part)
            for index, part in enumerate(group)
        )
        if number == 0:
            text += body + (b"/" if group and not last else b"")
        elif last:
            text += b"(?:[^/]*/)*" + body
        else:
            text += b"(?>(?:[^/]*/)*?" + body + b"/)"
    return text


class Pattern:
    """One line."""

    __slots__ = ("basename", "folders_only", "negated", "regex", "source")

    def __init__(self, line: bytes, flags: int = 0) -> None:
        self.source = line
        self.negated = line.startswith(b"!")
        body = line[1:] if self.negated else line
        self.folders_only = body.endswith(b"/")
        if self.folders_only:
            body = body[:-1]
        self.basename = b"/" not in body
        if len(body) > _MAX_PATTERN or not body:
            text = _NEVER
        elif self.basename:
            try:
                text = _component(body)
            except _Invalid:
                text = _NEVER
        else:
            text = translate(body.removeprefix(b"/"))
        self.regex = re.compile(text, re.DOTALL | flags)


def parse(text: bytes) -> list[bytes]:
    """The lines of an ignore file that hold a pattern."""
    lines = []
    for raw in text.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        line = raw.removesuffix(b"\r")
        if line and not line.startswith(b"#"):
            lines.append(_strip(line))
    return lines


def _strip(line: bytes) -> bytes:
    """`line` without trailing spaces, except where a backslash keeps one."""
    end, at = 0, 0
    while at < len(line):
        if line[at] == 0x5C:
            at += 2
            end = min(at, len(line))
        else:
            at += 1
            end = end if line[at - 1] == 0x20 else at
    return line[:end]


class PatternList:
    """The patterns of one file, relative to one folder."""

    __slots__ = ("_any_name", "_any_path", "_patterns")

    def __init__(self, lines: list[bytes], ignore_case: bool = False) -> None:
        flags = re.IGNORECASE if ignore_case else 0
        self._patterns = [Pattern(line, flags) for line in lines]
        # Nearly no path matches any line: one combined expression says so at once.
        self._any_name = _any([p for p in self._patterns if p.basename], flags)
        self._any_path = _any([p for p in self._patterns if not p.basename], flags)

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def match(self, path: bytes, name: bytes, folder: bool) -> bool | None:
        """True: the last line that matches excludes `path`; False: it re-includes it; None: no line matches.

        `path` is relative to the list's folder, `name` its last component.
        """
        any_name, any_path = self._any_name, self._any_path
        if not ((any_name and any_name.fullmatch(name)) or (any_path and any_path.fullmatch(path))):
            return None
        for pattern in reversed(self._patterns):
            if (folder or not pattern.folders_only) and pattern.regex.fullmatch(name if pattern.basename else path):
                return not pattern.negated
        return None


def _any(patterns: list[Pattern], flags: int) -> re.Pattern[bytes] | None:
    if not patterns:
        return None
    return re.compile(b"|".join(b"(?:" + p.regex.pattern + b")" for p in patterns), re.DOTALL | flags)
