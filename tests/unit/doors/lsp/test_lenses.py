from __future__ import annotations

from continue_exec.doors.lsp import lenses
from continue_exec.doors.lsp.languages import Languages

TABLE = Languages(
    {
        "languages": [
            {"id": "python", "aliases": ["py"], "extensions": [".py"]},
            {"id": "go", "aliases": [], "extensions": [".go"]},
        ]
    }
)


def found(path: str, text: str, language: str = "") -> list[tuple[int, str]]:
    return [
        (one.line, one.command.rpartition(".")[2])
        for one in lenses.find("file://" + path, path, language, "/w", text, TABLE)
    ]


def commands(path: str, text: str) -> list[str]:
    lenses_ = lenses.find("file://" + path, path, "", "/w", text, TABLE)
    return [" ".join(one.argument.get("argv", [])) for one in lenses_]


def test_a_runnable_file_has_one_at_its_top_and_others_none() -> None:
    assert found("/w/a.py", "print(1)\n") == [(0, "runFile")]
    assert found("/w/a.txt", "text") == []
    assert found("/w/tool", "print(1)\n", "python") == [(0, "runFile")]
    assert found("/w/a.py", "") == [(0, "runFile")]


def test_pythons_tests_and_main() -> None:
    text = (
        "def test_one():\n    pass\n\n"
        "class TestMany:\n    x = 1\n    async def test_two(self):\n        def test_inner(): ...\n\n"
        "def helper():\n    def test_hidden(): ...\n\n"
        "class Other:\n    def test_no(self): ...\n\n"
        "if __name__ == '__main__':\n    pass\n"
    )
    assert [line for line, _ in found("/w/t/test_a.py", text)] == [0, 0, 3, 5, 6, 14]
    pytest = "python3 -m pytest ./t/test_a.py::"
    assert commands("/w/t/test_a.py", text) == [
        "",
        pytest + "test_one",
        pytest + "TestMany",
        pytest + "TestMany::test_two",
        pytest + "TestMany::test_inner",
        "",
    ]


def test_gos_tests_run_in_their_package() -> None:
    text = "package p\n\nfunc TestSum(t *testing.T) {}\nfunc Testing(t *testing.T) {}\nfunc TestMain(m *testing.M) {}\n"
    (lens,) = lenses.find("file:///w/p/a_test.go", "/w/p/a_test.go", "go", "/w", text, TABLE)
    assert (lens.line, lens.argument["argv"], lens.argument["cwd"]) == (
        2,
        ["go", "test", "-run", "^TestSum$", "."],
        "/w/p",
    )
    assert found("/w/p/a.go", text) == [(0, "runFile")]


def test_markdowns_fences() -> None:
    text = (
        "```python\nprint(1)\n```\n"
        "~~~~ {.py} title\n```\nx = '~~~'\n~~~~\n"
        "```text\nno\n```\n"
        "   ```py\n   indented = 1\n     more\n   ```\n"
        "```py\n\n```\n"
        "``` not `a` fence\n"
        "```py\nnever closed\n"
    )
    blocks = lenses.find("file:///w/a.md", "/w/a.md", "markdown", "/w", text, TABLE)
    assert [(one.line, one.argument["code"]) for one in blocks] == [
        (0, "print(1)\n"),
        (3, "```\nx = '~~~'\n"),
        (10, "indented = 1\n  more\n"),
    ]


def test_lines_are_lsps_and_their_number_is_bounded() -> None:
    assert found("/w/a.py", "x = '\f'\u2028\r\ndef test_a(): ...\r") == [(0, "runFile"), (1, "run")]
    assert len(found("/w/a.py", "def test_x(): ...\n" * 2000)) == lenses.LIMIT
