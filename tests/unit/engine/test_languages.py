"""Every language whose toolchain is on this machine is run through its plan; every other one is refused in words."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from continue_exec.engine import languages
from continue_exec.engine.languages import LANGUAGES, by_name, by_path, plan
from continue_exec.errors import InvalidRequest, ToolchainMissing

# What prints 42 in each, as a person would type it: whole programs are not needed.
SNIPPETS = {
    "python": "    import sys\n    print(6 * 7)",
    "javascript": "console.log(6 * 7)",
    "typescript": "const answer: number = 6 * 7;\nconsole.log(answer)",
    "bash": "[[ 1 == 1 ]] && echo $((6 * 7))",
    "sh": "echo $((6 * 7))",
    "zsh": "echo $((6 * 7))",
    "fish": "math 6 x 7",
    "go": 'import "fmt"\nfmt.Println(6 * 7)',
    "rust": 'use std::cmp::max;\nlet x = max(6, 1) * 7;\nprintln!("{}", x);',
    "c": 'int x = 6 * 7;\nprintf("%d\\n", x);',
    "cpp": "#include <numeric>\nint x = 6 * 7;\ncout << x << endl;",
    "java": "import java.util.List;\nvar xs = List.of(6, 7);\nSystem.out.println(xs.get(0) * xs.get(1));",
    "ruby": "puts 6 * 7",
    "perl": 'print 6 * 7, "\\n";',
    "raku": "say 6 * 7",
    "php": "echo 6 * 7;",
    "lua": "print(6 * 7)",
    "r": "cat(6 * 7)",
    "julia": "println(6 * 7)",
    "swift": "print(6 * 7)",
    "kotlin": "println(6 * 7)",
    "scala": "@main def run = println(6 * 7)",
    "groovy": "println 6 * 7",
    "clojure": "(println (* 6 7))",
    "csharp": "System.Console.WriteLine(6 * 7);",
    "fsharp": 'printfn "%d" (6 * 7)',
    "haskell": "main = print (6 * 7)",
    "elixir": "IO.puts(6 * 7)",
    "erlang": '#!/usr/bin/env escript\nmain(_) -> io:format("~p~n", [6 * 7]).',
    "dart": "void main() => print(6 * 7);",
    "powershell": "6 * 7",
    "sql": "select 6 * 7;",
    "awk": "BEGIN { print 6 * 7 }",
    "make": "all:\n\t@echo 42",
    "nim": "echo 6 * 7",
    "zig": 'std.debug.print("{}\\n", .{6 * 7});',
    "ocaml": "print_int (6 * 7)",
    "d": "import std.stdio; void main() { writeln(6 * 7); }",
    "crystal": "puts 6 * 7",
    "fortran": "program a\nprint *, 6 * 7\nend program",
    "tcl": "puts [expr {6 * 7}]",
    "octave": "disp(6 * 7)",
}
# Of these the machine that runs the tests always has a toolchain (they are what building the project needs).
ALWAYS = {"python", "bash", "sh", "awk", "perl"}


def version(program: str) -> tuple[int, ...] | None:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30)
    match = re.search(r"(\d+)\.(\d+)", done.stdout + done.stderr)
    return tuple(map(int, match.groups())) if match else None


def run(made: languages.SnippetPlan, cwd: Path) -> subprocess.CompletedProcess[str]:
    for path, content in made.files.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(content)
    # HOME as it is: a toolchain may be reached through a shim that reads its settings there.
    return subprocess.run(
        made.argv, cwd=cwd, capture_output=True, text=True, timeout=100, env={**os.environ, **made.env}
    )


def test_every_language_has_a_snippet() -> None:
    assert set(SNIPPETS) == {spec.id for spec in LANGUAGES}


@pytest.mark.parametrize("name", sorted(SNIPPETS))
def test_runs_or_says_what_is_missing(name: str, tmp_path: Path) -> None:
    spec = by_name(name)
    folder = tmp_path / 'it\'s a "folder" $(touch no)'
    try:
        made = plan(
            spec, code=SNIPPETS[name], which=shutil.which, version=version, folder=str(folder), cwd=str(tmp_path)
        )
    except ToolchainMissing as error:
        assert name not in ALWAYS
        assert not any(
            all(shutil.which(program) for program in way.programs) and not way.minimum for way in spec.ways
        ), "a toolchain is here and was not found"
        assert spec.title in error.message and f"`{spec.programs[0]}`" in error.message
        assert error.hint.startswith(spec.install)
        return
    done = run(made, tmp_path)
    assert (done.stdout.strip(), done.returncode) == ("42", 0), done.stderr
    assert not (tmp_path / "no").exists()


def test_nothing_is_there() -> None:
    for spec in LANGUAGES:
        with pytest.raises(ToolchainMissing) as caught:
            plan(spec, code="", which=lambda program: None, folder="/f")
        assert caught.value.data["programs"] == list(spec.programs)


def test_too_old_is_said() -> None:
    only_node = {"node": "/usr/bin/node"}.get
    with pytest.raises(ToolchainMissing, match=r"node is 20\.1, needs 22\.6"):
        plan("ts", code="1", which=only_node, version=lambda program: (20, 1), folder="/f")
    assert (
        "--experimental-strip-types"
        in plan("ts", code="1", which=only_node, version=lambda _: (22, 6), folder="/f").argv
    )


@pytest.mark.parametrize(
    "text", ["$(touch pwned)", "`touch pwned`", "a b", "-rf", "'", '"; touch pwned; "', "{file}", "{0}"]
)
def test_no_value_reaches_a_shell(text: str, tmp_path: Path) -> None:
    source = tmp_path / f"{text}.c"
    source.write_text('#include <stdio.h>\nint main(int c, char **v) { printf("%s", v[1]); return 3; }\n')
    made = plan("c", file=str(source), which=shutil.which, folder=str(tmp_path / text), args=[text])
    done = run(made, tmp_path)
    assert (done.stdout, done.returncode) == (text, 3), done.stderr
    assert not (tmp_path / "pwned").exists()


def test_a_failed_build_is_the_result(tmp_path: Path) -> None:
    made = plan("c", code="int main(void) { return nope; }", which=shutil.which, folder=str(tmp_path))
    assert len(made.steps) == 2
    done = run(made, tmp_path)
    assert done.returncode != 0
    assert "nope" in done.stderr


def test_lines_keep_their_numbers(tmp_path: Path) -> None:
    made = plan("c", code="#include <math.h>\n\nint x = 1;\nboom();", which=shutil.which, folder=str(tmp_path))
    assert re.search(r"main\.c:4:", run(made, tmp_path).stderr)


def test_snippets_import_from_the_workspace(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("answer = 42\n")
    made = plan(
        "python",
        code="import mine\nprint(mine.answer)",
        which=shutil.which,
        folder=str(tmp_path / "s"),
        cwd=str(tmp_path),
    )
    assert run(made, tmp_path).stdout == "42\n"


def test_files_run_as_they_are(tmp_path: Path) -> None:
    made = plan("python", file="/w/a.py", which=lambda program: f"/bin/{program}", folder="/f", args=("x",))
    assert made.argv == ("/bin/python3", "-u", "/w/a.py", "x")
    assert (made.files, made.env) == ({}, {})


def test_exactly_one_source() -> None:
    for both in ({}, {"code": "", "file": "/x"}):
        with pytest.raises(InvalidRequest):
            plan("python", which=shutil.which, folder="/f", **both)


def test_names_are_unique() -> None:
    for names in (
        [name for spec in LANGUAGES for name in (spec.id, *spec.aliases)],
        [extension for spec in LANGUAGES for extension in spec.extensions],
        [name for spec in LANGUAGES for name in spec.filenames],
    ):
        assert len(names) == len(set(names))


def test_by_name() -> None:
    assert by_name(" JS ").id == "javascript"
    assert by_name("shellscript").id == "bash"
    with pytest.raises(InvalidRequest, match="klingon"):
        by_name("klingon")


@pytest.mark.parametrize(
    ("path", "head", "expected"),
    [
        ("a/b.py", "", "python"),
        ("B.PY", "", "python"),
        ("a.R", "", "r"),
        ("a.C", "", "cpp"),
        ("a.c", "", "c"),
        ("Makefile", "", "make"),
        ("tool", "#!/usr/bin/env python3.12\n", "python"),
        ("tool", "#!/usr/bin/env -S node --inspect\n", "javascript"),
        ("tool", "#! /bin/sh -e\n", "sh"),
        ("tool.sh", "#!/usr/bin/zsh\n", "zsh"),
        ("tool.py", "#!/opt/unknown\n", "python"),
        ("x.rb", "#!", "ruby"),
    ],
)
def test_by_path(path: str, head: str, expected: str) -> None:
    assert by_path(path, head).id == expected


@pytest.mark.parametrize("path", ["README", "a.xyz", ".py", "", "dir/"])
def test_unknown_paths(path: str) -> None:
    with pytest.raises(InvalidRequest):
        by_path(path)


def test_every_language_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "languages.md").read_text()
    for spec in LANGUAGES:
        row = next((line for line in page.splitlines() if line.startswith(f"| `{spec.id}` |")), "")
        for word in (*spec.aliases, *spec.extensions, *spec.filenames, *spec.programs):
            assert f"`{word}`" in row, f"docs/reference/languages.md lacks {word} in the row of {spec.id}"
