"""Nothing here needs one platform: sources are looked through, other systems are simulated."""

from __future__ import annotations

import ast
import errno
import io
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import types
from dataclasses import replace
from functools import cache
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import emtools
from conftest import REPOSITORY
from emtools import ParameterError, simulate
from emtools.batch import Store, drawing
from emtools.batch.run import name_of_file
from emtools.cli import simulating
from emtools.cli.spelling import spell_out
from emtools.figures.overlays import _same_planes
from emtools.io.writing import write_image
from emtools.process.threads import threads
from emtools.report.wording import link
from emtools.results import open_results, write_result
from emtools.results.single import picture_stem

SOURCES = sorted(path for room in ("src", "plugins/napari-emtools/src")
                 for path in (REPOSITORY / room).rglob("*.py"))

# ---- what is written in the sources -------------------------------------------------------------

POSIX_MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
POSIX_NAMES = {
    "os": {"fork", "forkpty", "getegid", "geteuid", "getgid", "getloadavg", "getpgid", "getuid",
           "getpriority", "killpg", "mkfifo", "nice", "sched_getaffinity", "sched_setaffinity",
           "setpriority", "setsid", "statvfs", "sysconf", "uname", "PRIO_PROCESS", "WNOHANG"},
    "signal": {"SIGALRM", "SIGCHLD", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGUSR1",
               "SIGUSR2", "alarm", "pause", "setitimer", "sigwait"},
}
FOLDERS_OF_ONE_SYSTEM = re.compile(r"/(tmp|proc|dev|etc|usr|home|var|sys|opt)(/|$)|[A-Z]:\\")
# A folder of Linux that is looked into where it is there: how much memory a container may use.
KNOWN = {"/sys/fs/cgroup"}


class Finder(ast.NodeVisitor):
    """Finds what works on one platform only, or by the encoding that a machine is set to."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._guards = 0

    def say(self, node: ast.AST, what: str) -> None:
        self.found.append(f"line {node.lineno}: {what}")

    def guarded(self, nodes: list[ast.AST]) -> None:
        self._guards += 1
        for node in nodes:
            self.visit(node)
        self._guards -= 1

    def visit_Try(self, node: ast.Try) -> None:
        if any(name in ast.unparse(handler.type or ast.Name("BaseException"))
               for handler in node.handlers for name in ("ImportError", "AttributeError")):
            self.guarded([*node.body, *node.handlers, *node.orelse, *node.finalbody])
        else:
            self.generic_visit(node)

    def visit_With(self, node: ast.With) -> None:
        if any("suppress" in ast.unparse(item) and "AttributeError" in ast.unparse(item)
               for item in node.items):
            self.guarded(node.body)
        else:
            self.generic_visit(node)

    def _if(self, node: ast.If | ast.IfExp) -> None:
        if re.search(r"hasattr|os\.name|sys\.platform", ast.unparse(node.test)):
            self.guarded(list(ast.iter_child_nodes(node))[1:])
        else:
            self.generic_visit(node)

    visit_If = visit_IfExp = _if

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) \
            else [node.module or ""]
        for name in POSIX_MODULES.intersection(names):
            if not self._guards:
                self.say(node, f"imports {name}, which is of POSIX alone")

    visit_Import = visit_ImportFrom = _import

    def visit_Attribute(self, node: ast.Attribute) -> None:
        owner = ast.unparse(node.value)
        if node.attr in POSIX_NAMES.get(owner, ()) and not self._guards:
            self.say(node, f"{owner}.{node.attr} is of POSIX alone")
        if owner in ("os", "os.path") and node.attr in ("sep", "altsep", "linesep"):
            self.say(node, f"{owner}.{node.attr} takes paths for text")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and FOLDERS_OF_ONE_SYSTEM.match(node.value) \
                and node.value not in KNOWN:
            self.say(node, f"{node.value!r} is a folder of one system")

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring says what it likes
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else \
            getattr(node.func, "id", "")
        said = {keyword.arg: keyword.value for keyword in node.keywords}
        texts = [one.value for one in node.args if isinstance(one, ast.Constant)]
        if None not in said and "encoding" not in said and _is_text(node, name, said):
            self.say(node, f"{name}() of text without an encoding")
        if "fork" in texts and name in ("get_context", "set_start_method"):
            self.say(node, "processes are forked")
        if name in ("Path", "open", "exists", "joinpath") and any(map(_joins, node.args)):
            self.say(node, "a path is joined as text")
        if name in ("split", "rsplit", "partition", "rpartition", "startswith", "endswith") \
                and isinstance(node.func, ast.Attribute) and set(texts) & {"/", "\\"} \
                and re.match(r"(str|os\.fspath)\(", ast.unparse(node.func.value)):
            self.say(node, "a path is taken apart as text")
        self.generic_visit(node)


def _is_text(node: ast.Call, name: str, said: dict[str | None, ast.expr]) -> bool:
    """Whether a call reads or writes text by the encoding of the machine."""
    place = {"read_text": 0, "write_text": 1}.get(name)
    if place is not None:
        return len(node.args) <= place
    if name in ("run", "Popen", "check_output", "call", "check_call"):
        return any(isinstance(said.get(key), ast.Constant) and said[key].value is True
                   for key in ("text", "universal_newlines"))
    if name not in ("open", "fdopen"):
        return False
    # Of a path, the mode is the first argument; `open` and other libraries take the file before it.
    modes = [one for one in (*node.args, said.get("mode")) if isinstance(one, ast.Constant)
             and isinstance(one.value, str) and re.fullmatch(r"[rwax][bt]?\+?[bt]?", one.value)]
    if modes:
        return not any("b" in one.value for one in modes)
    return isinstance(node.func, ast.Name) or not (node.args or said)


def _joins(node: ast.expr) -> bool:
    """Whether text is put together with slashes between."""
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(one, ast.Constant) and re.search(r"[/\\]", one.value)
                   for one in node.values)
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and any(
        isinstance(one, ast.Constant) and isinstance(one.value, str)
        and re.search(r"[/\\]", one.value) for one in ast.walk(node))


def found_in(source: str) -> list[str]:
    finder = Finder()
    finder.visit(ast.parse(source))
    return finder.found


def test_no_source_needs_a_platform_or_the_encoding_that_a_machine_is_set_to():
    found = {path: found_in(path.read_text(encoding="utf-8")) for path in SOURCES}
    assert {path.name: said for path, said in found.items() if said} == {}
    assert len(found) > 300


@pytest.mark.parametrize("source", [
    "open('a.txt')", "open('a.txt', 'w')", "path.open()", "path.open('a')", "path.read_text()",
    "path.write_text(text)", "subprocess.run(['x'], text=True)", "os.fork()", "import fcntl",
    "from resource import getrusage", "multiprocessing.get_context('fork')", "os.getuid()",
    "signal.signal(signal.SIGHUP, stop)", "open(folder + '/a.csv', 'rb')", "Path('/tmp') / 'a'",
    "Path(f'{folder}/a.csv')", "str(path).split('/')", "path.split(os.sep)",
    "with contextlib.suppress(OSError):\n    os.setpriority(0, 0, 5)",
])
def test_the_search_finds_what_it_is_for(source):
    assert len(found_in(source)) == 1


@pytest.mark.parametrize("source", [
    "open('a', 'rb')", "path.open('w', encoding='utf-8')", "path.read_text('ascii')",
    "path.write_text(text, encoding='utf-8')", "Picture.open(path)", "review.open(file, 1)",
    "try:\n    import fcntl\nexcept ImportError:\n    fcntl = None",
    "n = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else 1",
    "with contextlib.suppress(AttributeError):\n    os.setpriority(0, 0, 5)",
    "unit.split('/')", "'''In /tmp or not.'''", "Path(folder, 'a') / f'{name}.csv'",
    "multiprocessing.get_context('spawn')", "subprocess.run(['x'], capture_output=True)",
])
def test_the_search_leaves_alone_what_works_everywhere(source):
    assert found_in(source) == []


# ---- names of files -----------------------------------------------------------------------------

DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
NASTY = ["CON", "con.1.dm4", "aux.tif", "NUL", "COM1.x.y", "a:b", 'a"<>|?*', "trailing. ", "...",
         "", " ", "a\nb", "α.dm4", "x" * 300 + ".dm4", "a/b\\c", "\udcff.tif", "-o", "LPT0.b.ser"]
names = st.one_of(st.sampled_from(NASTY), st.text(max_size=300),
                  st.from_regex(r"(?i)(con|aux|com[0-9])(\.[a-z]{1,3}){0,3}", fullmatch=True))
digests = st.text("0123456789abcdef", min_size=64, max_size=64)


def fits_everywhere(name: str) -> bool:
    """Whether Windows takes it, and a folder 130 letters deep leaves it room."""
    return bool(name) and not (re.search(r'[<>:"/\\|?*\x00-\x1f]', name) or DEVICES.match(name)
                               or name[-1] in ". " or name[0] == "-" or len(name) > 120)


@given(names, digests)
def test_pictures_and_tables_have_names_that_every_system_takes(file, key):
    stem = picture_stem(file, key)
    assert fits_everywhere(f"{stem}.attachment.histogram_d_spacing.parquet")


@given(names, names, digests, digests)
def test_names_of_two_results_differ_by_more_than_capitals(one, other, key, another):
    if key[:10] != another[:10]:
        assert picture_stem(one, key).casefold() != picture_stem(other, another).casefold()


def small(seed: int = 0) -> emtools.Image:
    return simulate.chains(shape=(200, 200), n_chains=1, n_dots=(5, 5), rng=seed)[0]


@cache
def measured() -> tuple[emtools.Image, emtools.Result]:
    return small(), emtools.chains(small())


@pytest.mark.parametrize("name", NASTY)
def test_what_a_measurement_writes_has_names_that_every_system_takes(tmp_path, name):
    image, result = measured()
    signal = name.encode("utf-8", "replace").decode()
    odd = replace(image, source=replace(image.source, file=name, signal=signal))
    for path in write_result(odd, result, tmp_path, pictures=False):
        assert fits_everywhere(path.name)


def test_histograms_of_phases_that_differ_by_capitals_have_names_of_their_own():
    phases = np.repeat(["Co", "CO", "C/o", "p" * 200], 30)
    rows = pd.DataFrame({"phase": phases, "d_spacing_nm": 0.2, "d_reference_nm": 0.2, "snr": 9.0,
                         "hkl": "1 1 1"})
    found = list(_same_planes(rows))
    assert len({name.casefold() for name in found}) == 4
    assert all(fits_everywhere(f"{'x' * 20}.lattice.{name}.png") for name in found)


def images_in(folder: Path, *files: str) -> list[Path]:
    paths = [folder / file for file in files]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(small(), path)
    return paths


def test_pictures_whose_names_differ_by_capitals_do_not_replace_each_other(tmp_path, monkeypatch):
    paths = images_in(tmp_path, "before/A.tif", "after/a.tif")
    monkeypatch.setattr(drawing, "_folds_case", lambda folder: True)
    with pytest.raises(ParameterError, match="would be one file"):
        drawing.draw(paths, tmp_path / "out", drawing.Shown())
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(drawing, "_folds_case", lambda folder: False)
    assert drawing.draw(paths, tmp_path / "out", drawing.Shown()) == []
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_a_disk_is_asked_whether_it_tells_capitals_apart(tmp_path):
    (tmp_path / "a").touch()
    assert drawing._folds_case(tmp_path / "not" / "made") is (tmp_path / "A").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_tables_of_simulated_images_have_the_same_bytes_on_every_system(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "linesep", "\r\n")
    made = simulating.write(simulate.chains, {"n_chains": 1}, tmp_path / "a.tif")
    assert not any(b"\r" in path.read_bytes() for path in made if path.suffix == ".csv")


def test_a_file_has_the_same_name_in_results_on_every_system():
    windows, posix = PureWindowsPath("C:\\data"), PurePosixPath("/data")
    assert name_of_file(windows / "before" / "s1.dm4", windows) == "before/s1.dm4"
    assert name_of_file(posix / "before" / "s1.dm4", posix) == "before/s1.dm4"


def test_an_address_in_the_page_is_the_same_on_every_system():
    assert link("pictures\\µ a.png") == link("pictures/µ a.png") == "pictures/%C2%B5%20a.png"


# ---- terminals ----------------------------------------------------------------------------------

IMAGE = REPOSITORY / "sample_images" / "pbs_chains_overview.tif"
FOLDER, FILE = "Größe und Länge, σ", "µ 5 Å ± α 😀.tif"
TERMINALS = {
    "windows": {"PYTHONIOENCODING": "cp1252"},
    "dos": {"PYTHONIOENCODING": "cp437"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "c": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
    "utf8": {"PYTHONIOENCODING": "utf-8"},
}


def run_python(
    folder: Path, terminal: str, script: str, *arguments: object
) -> subprocess.CompletedProcess[bytes]:
    left = {key: value for key, value in os.environ.items()
            if key not in ("PYTHONIOENCODING", "LC_ALL", "PYTHONUTF8")}
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], cwd=folder,
        env={**left, **TERMINALS[terminal], "PYTHONUTF8": "0", "COLUMNS": "200",
             "PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, check=False)


def command(
    folder: Path, terminal: str, *arguments: object
) -> subprocess.CompletedProcess[bytes]:
    return run_python(folder, terminal, "from emtools.cli import main; main()", *arguments)


@pytest.fixture(scope="module")
def named_oddly(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("terminals")
    (folder / FOLDER).mkdir()
    shutil.copy(IMAGE, folder / FOLDER / FILE)
    return folder


@pytest.mark.parametrize("terminal", TERMINALS)
def test_any_terminal_shows_what_is_in_a_file(named_oddly, terminal):
    done = command(named_oddly, terminal, "info", f"{FOLDER}/{FILE}")
    assert (done.returncode, done.stderr) == (0, b"")
    plus_minus = {"windows": b"\xb1", "dos": b"\xf1", "utf8": "±".encode()}.get(terminal, b"+-")
    assert b"0.500 " + plus_minus + b" 0.013 nm" in done.stdout


@pytest.mark.parametrize("terminal", TERMINALS)
def test_any_terminal_gets_json_that_is_json(named_oddly, terminal):
    done = command(named_oddly, terminal, "info", "--json", f"{FOLDER}/{FILE}")
    assert (done.returncode, done.stderr) == (0, b"")
    told = json.loads(done.stdout.decode("utf-8"))["file"]
    assert os.fsencode(told).decode() == f"{FOLDER}/{FILE}"


@pytest.mark.parametrize("terminal", ["windows", "c"])
def test_any_terminal_runs_a_batch(named_oddly, terminal):
    done = command(named_oddly, terminal, "batch", FOLDER, "-o", f"{terminal} Größe α", "--measure",
                   "chains", "--workers", "1", "--log", f"{terminal} β.log")
    assert done.returncode == 0, done.stderr
    assert b"Error" not in done.stderr
    results = named_oddly / f"{terminal} Größe α"
    assert FILE in (results / "tables" / "chains.dots.csv").read_text(encoding="utf-8")
    assert FILE in (named_oddly / f"{terminal} β.log").read_text(encoding="utf-8")
    with open_results(results) as opened:
        assert list(opened.files["file"]) == [FILE]


@pytest.mark.parametrize("terminal", ["windows", "ascii", "c"])
def test_an_error_is_said_on_any_terminal(named_oddly, terminal):
    done = command(named_oddly, terminal, "export", "fehlt, α Å", "-o", "out")
    assert done.returncode == 2
    assert b"emtools: fehlt, " in done.stderr


def test_addresses_do_not_depend_on_the_encoding_of_file_names(named_oddly):
    script = "from emtools.report.wording import link; print(link(chr(181)))"
    done = run_python(named_oddly, "c", script)
    assert done.stdout.split() == [b"%C2%B5"], done.stderr


def test_what_a_stream_cannot_write_is_spelled_out():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    spell_out(stream)
    stream.write("5 ± 1 µm, 2 Å, σ, α, \udcff")
    stream.flush()
    assert raw.getvalue() == rb"5 +- 1 um, 2 A, sigma, \u03b1, \udcff"


# ---- other systems ------------------------------------------------------------------------------

# What Windows has not, in this process and, since workers begin by it, in all of them.
AS_ON_WINDOWS = """
import os, signal, sys, types

def refuse(*_):
    raise OSError("there is no fork")

os.fork = os.forkpty = refuse
for name in ("sched_getaffinity", "setpriority", "statvfs"):
    delattr(os, name)
for name in ("SIGHUP", "SIGALRM", "SIGUSR1", "SIGQUIT"):
    delattr(signal, name)
sys.modules["fcntl"] = sys.modules["pwd"] = None  # of Linux, psutil needs resource
"""


def test_a_batch_forks_nothing_and_uses_nothing_of_posix(tmp_path):
    for number in range(3):
        (tmp_path / "in" / "deep").mkdir(parents=True, exist_ok=True)
        write_image(small(number), tmp_path / "in" / "deep" / f"{number}.tif")
    script = tmp_path / "script.py"
    script.write_text(AS_ON_WINDOWS + textwrap.dedent("""
        from pathlib import Path
        from emtools import batch
        from emtools.batch.plan import Recipe

        if __name__ == "__main__":  # workers measure: some libraries take msvcrt for Windows
            sys.modules["msvcrt"] = types.SimpleNamespace(LK_NBLCK=2, locking=lambda *_: None)
            here = Path(__file__).parent
            recipe = Recipe(("chains",))
            print(batch.run(here / "in", here / "out", recipe, batch.Effort(workers=2)).measured)
        """), encoding="utf-8")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, check=False,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.split() == [b"3"]
    with open_results(tmp_path / "out") as results:
        assert sorted(results.files["file"]) == ["deep/0.tif", "deep/1.tif", "deep/2.tif"]


def test_without_fcntl_a_results_folder_is_locked_as_on_windows(tmp_path, monkeypatch):
    held = []

    def locking(handle: int, mode: int, n: int) -> None:
        if held:
            raise PermissionError(errno.EACCES, "Permission denied")
        held.append((mode, n))

    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt",
                        types.SimpleNamespace(LK_NBLCK=2, locking=locking))
    with Store(tmp_path / "results"):
        assert held == [(2, 1)]
        with pytest.raises(ParameterError, match="another batch"):
            Store(tmp_path / "results")


def test_a_system_or_a_drive_that_locks_nothing_is_said_plainly(tmp_path, monkeypatch):
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setitem(sys.modules, "fcntl",
                        types.SimpleNamespace(LOCK_EX=2, LOCK_NB=4, flock=flock))
    with pytest.raises(ParameterError, match="No locks available"):
        Store(tmp_path / "drive")
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", None)
    with pytest.raises(ParameterError, match="cannot be kept from other batches"):
        Store(tmp_path / "system")


def test_without_affinities_all_cores_are_counted(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert threads() == os.cpu_count()
