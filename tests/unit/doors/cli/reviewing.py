"""A workspace under review, for the tests of diff, apply and discard."""

from __future__ import annotations

from pathlib import Path

from tests.support.local_engine import LocalEngine
from tests.support.two_sides import Entry, TwoSides

TEN = "".join(f"line {n}\n" for n in range(1, 11))


def begin(engine: LocalEngine, folder: Path) -> TwoSides:
    """Two hunks in `a.txt`, `bin` binary, `sub/new` added, `gone` deleted; `.envrc` needs a yes, `both` conflicts.

    `changes.apply` and `changes.discard` do as they are told, but for conflicts and what lacks its yes.
    """
    both = TwoSides(
        str(folder),
        {
            "a.txt": Entry(TEN.encode()),
            "bin": Entry(b"\0"),
            "gone": Entry(b"bye\n"),
            ".envrc": Entry(b"x\n"),
            "both": Entry(b"mine\n"),
        },
        {
            "a.txt": Entry(TEN.replace("line 2\n", "two\n").replace("line 9\n", "nine\n").encode()),
            "bin": Entry(b"\0\1\2"),
            "sub/new": Entry(b"new\n", 0o755),
            ".envrc": Entry(b"y\n"),
            "both": Entry(b"theirs\n"),
        },
    )
    both.merged["both"] = "<<<<<<< yours\nmine\n=======\ntheirs\n>>>>>>> sandbox\n"
    both.words = {".envrc": {"needs_yes": "direnv executes it"}, "both": {"conflict": "both changed line 1"}}
    for name, entry in both.host.items():
        (folder / name).write_bytes(entry.data)
    (folder / "same").write_text("")
    engine.answers |= both.answers()

    def act(params: dict[str, object]) -> dict[str, object]:
        picks = {one["path"]: one for one in params["picks"]}  # type: ignore[attr-defined]
        applied, left = [], []
        for change in both.list({})["changes"]:
            path, pick = change["path"], picks.get(change["path"])
            if pick is None and not params["all"]:
                continue
            if change.get("conflict") and not (pick and (pick.get("version") or pick["take"] == "merged")):
                left.append({"path": path, "code": "conflict", "message": "Both sides changed it.", "hint": "Look."})
            elif change.get("needs_yes") and path not in params["yes"]:  # type: ignore[operator]
                left.append({"path": path, "code": "refused", "message": "It needs its own yes.", "hint": ""})
            else:
                applied.append(path)
        return {"applied": applied, "left": left}

    engine.answers["changes.apply"] = act
    engine.answers["changes.discard"] = lambda params: act({**params, "yes": [one["path"] for one in params["picks"]]})
    return both


def asked(engine: LocalEngine, method: str) -> dict[str, object]:
    """The parameters of the last call."""
    return [body for name, body in engine.calls if name == method][-1]
