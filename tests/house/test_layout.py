"""The layers of the package: who may import whom, what loads when, what every module keeps to."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from house import FIGURE, ORDER, drawing

import neurocodec as nc

PACKAGE = Path(nc.__file__).parent
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if not {"models", "datasets"} & {*p.parts})

RANK = {part: rank for rank, row in enumerate(ORDER) for part in row}
OUTSIDE = {
    "kernels": {"numpy", "scipy"},
    "nn": {"numpy", "scipy", "sklearn", "torch", "safetensors", "threadpoolctl", "tqdm"},
}
"""Libraries that these parts may use, beside Python's own."""
INSIDE = {
    "kernels": {"errors", "arguments", "kernels"},
    "nn": {"errors", "vocabulary", "arguments", "kernels", "nn"},
}
"""Parts of the package that do not load xarray."""


def name_of(path: Path) -> str:
    """Dotted name of a module inside the package: "nn.capture"."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__")


def part_of(path: Path) -> str:
    return name_of(path).split(".")[0]


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """All of a module, parsed and walked once."""
    return tuple(ast.walk(parsed(path)))


def imports(path: Path) -> Iterator[str]:
    """Dotted names of all modules that a module imports, also inside its functions."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def inner_imports(path: Path) -> set[str]:
    names = (name.split(".") for name in imports(path))
    return {parts[1] for parts in names if parts[0] == "neurocodec" and len(parts) > 1}


def outer_imports(path: Path) -> set[str]:
    tops = {name.split(".")[0] for name in imports(path)}
    return tops - {"neurocodec"} - sys.stdlib_module_names


INNER = [p for p in MODULES if part_of(p)]
HALL = [
    p
    for p in MODULES
    if p.parent == PACKAGE or (p.name == "__init__.py" and p.parent.parent == PACKAGE)
]


def each_module(check: Callable[[Path], None]) -> Callable[[], None]:
    """Check all modules in one test, as thousands of tests take their time; the first is named."""

    def test() -> None:
        for path in INNER:
            try:
                check(path)
            except AssertionError as error:
                error.add_note(f"in {name_of(path)}")
                raise

    test.__name__, test.__doc__ = check.__name__, check.__doc__
    return test


@each_module
def test_imports_point_upwards(path: Path) -> None:
    assert part_of(path) in RANK, "give the new module its place in ORDER"
    own = part_of(path)
    below = {p for p in inner_imports(path) if p != own and RANK[p] >= RANK[own]}
    assert not below


@each_module
def test_inner_layers_use_few_libraries(path: Path) -> None:
    part = part_of(path)
    if part in OUTSIDE:
        assert outer_imports(path) <= OUTSIDE[part]
        assert inner_imports(path) <= INSIDE[part]
    if part not in {"plotting", "reports", "cli"}:
        assert "matplotlib" not in outer_imports(path)


def test_no_module_imports_itself_in_a_circle() -> None:
    known = {name_of(p).removesuffix(".") for p in INNER}

    def inside(path: Path) -> set[str]:
        names = {
            n.removeprefix("neurocodec.") for n in imports(path) if n.startswith("neurocodec.")
        }
        return {n if n in known else n.rpartition(".")[0] for n in names} & known

    graph = {
        name_of(p).removesuffix("."): inside(p) - {name_of(p).removesuffix(".")} for p in INNER
    }
    TopologicalSorter(graph).prepare()  # raises CycleError


def code_lines(path: Path) -> int:
    """Lines that are neither blank nor comment, docstring or import."""
    told: set[int] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import | ast.ImportFrom) or (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        ):
            told.update(range(node.lineno, (node.end_lineno or 0) + 1))
    lines = enumerate(map(str.strip, path.read_text("utf-8").splitlines()), start=1)
    return sum(number not in told and line[:1] not in {"", "#"} for number, line in lines)


@each_module
def test_modules_are_short_and_say_what_they_are(path: Path) -> None:
    assert code_lines(path) <= 350
    assert ast.get_docstring(parsed(path))
    assert path.stem not in {"utils", "helpers", "misc", "common"}


@each_module
def test_no_function_is_long(path: Path) -> None:
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef):
            assert body_length(node) <= 45, node.name


def body_length(function: ast.FunctionDef) -> int:
    """Lines of the function after its signature and docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_the_median_function_is_short() -> None:
    every = (node for path in MODULES for node in nodes(path))
    lengths = sorted(body_length(n) for n in every if isinstance(n, ast.FunctionDef))
    assert lengths[len(lengths) // 2] < 10


@each_module
def test_no_checks_by_assert_and_no_prints(path: Path) -> None:
    for node in nodes(path):
        assert not isinstance(node, ast.Assert), f"line {node.lineno}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print" or part_of(path) == "cli", f"line {node.lineno}"


def test_the_drawing_of_the_house_is_of_this_order() -> None:
    """Else: python tests/support/house.py."""
    assert FIGURE.read_text("utf-8") == drawing()


def loaded_by(code: str) -> set[str]:
    """Top-level packages in memory after some code has run in a fresh interpreter."""
    code += "\nimport sys; sys.stdout.write(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.split()}


def test_import_is_light() -> None:
    heavy = {
        "torch",
        "matplotlib",
        "sklearn",
        "scipy",
        "xarray",
        "numpy",
        "h5netcdf",
        "netCDF4",
        "zarr",
    }
    assert not heavy & loaded_by("import neurocodec")


def test_files_are_opened_without_torch() -> None:
    code = "import neurocodec as nc; nc.open, nc.save, nc.labels, nc.vocabulary"
    assert not {"torch", "matplotlib", "sklearn", "zarr"} & loaded_by(code)


def test_tensors_are_computed_without_xarray() -> None:
    names = [m.name for m in pkgutil.walk_packages([str(PACKAGE / "nn")], "neurocodec.nn.")]
    code = "import " + ", ".join([*names, "neurocodec.kernels"])
    assert not {"xarray", "matplotlib"} & loaded_by(code)


@pytest.mark.parametrize("name", nc.__all__)
def test_public_names_resolve_and_are_documented(name: str) -> None:
    value = getattr(nc, name)
    assert name in dir(nc)
    if name != "__version__":
        assert inspect.getdoc(value)


def test_the_stub_names_the_file_that_a_public_name_lives_in() -> None:
    """A door may hand a name on; else the name is defined, or is itself, where the stub says."""
    for name in {*nc.__all__} - {"__version__"}:
        place, value = nc._PUBLIC[name], getattr(nc, name)
        own = value.__name__ if inspect.ismodule(value) else value.__module__
        handed_on = own.startswith(f"{place}.") and name in sys.modules[place].__all__
        assert own in {place, f"{place}.{name}"} or handed_on, name


def doors() -> Iterator[tuple[str, Path]]:
    for path in MODULES:
        if path.name == "__init__.py" and path.parent != PACKAGE:
            yield ".".join(path.parent.relative_to(PACKAGE).parts), path


DOORS = dict(doors())
each_door = pytest.mark.parametrize("room", DOORS)


def front_of(room: str) -> dict[str, str]:
    """Front files and wings of a room, as its door lists them: name -> what it is for."""
    doc = ast.get_docstring(parsed(DOORS[room])) or ""
    return dict(re.findall(r"^- `(\w+)/?`: (.*)", doc, flags=re.MULTILINE))


@each_door
def test_doors_say_what_a_room_is_for_and_list_its_front_files(room: str) -> None:
    folder, front = DOORS[room].parent, front_of(room)
    assert all((folder / f"{n}.py").exists() or f"{room}.{n}" in DOORS for n in front)
    wings = {d.rpartition(".")[2] for d in DOORS if d.rpartition(".")[0] == room}
    assert wings <= {*front}
    tree = parsed(DOORS[room])
    handing = any(isinstance(node, ast.ImportFrom) for node in nodes(DOORS[room]))
    if front and not handing:
        listed = [ast.literal_eval(n.value) for n in tree.body if isinstance(n, ast.Assign)]
        assert listed == [sorted(front)]


@each_module
def test_imports_across_rooms_name_front_files(path: Path) -> None:
    own = name_of(path).split(".")
    for name in imports(path):
        parts = name.split(".")[1:]
        if not name.startswith("neurocodec.") or parts[0] not in DOORS or parts[0] == own[0]:
            continue
        room = parts[0]
        while len(parts) > 1 and f"{room}.{parts[1]}" in DOORS:
            assert parts[1] in front_of(room), name
            room, parts = f"{room}.{parts[1]}", parts[1:]
        behind = DOORS[room].parent / f"{parts[1]}.py" if len(parts) > 1 else None
        assert behind is None or not behind.exists() or parts[1] in front_of(room), name


def test_no_room_and_no_file_of_the_hall_has_the_name_of_a_public_function() -> None:
    """Python puts a submodule in the place of the function when it is first imported."""
    hall = {p.stem if p.name != "__init__.py" else p.parent.name for p in HALL}
    functions = {n for n in nc.__all__ if not inspect.ismodule(getattr(nc, n))}
    assert not hall & functions


def test_the_hall_is_small() -> None:
    files = {p.name for p in HALL if p.parent == PACKAGE} - {"__init__.py", "__main__.py"}
    assert len(files) <= 10


def test_rooms_have_about_a_dozen_files() -> None:
    for room, path in DOORS.items():
        files = [p for p in path.parent.glob("*.py") if p.name != "__init__.py"]
        assert len(files) <= 14 or room in {"kernels", "plotting"}, room


def test_helpers_do_not_repeat_the_word_of_their_room() -> None:
    for path in INNER:
        *rooms, own = name_of(path).strip(".").split(".")
        named = own in nc.__all__ or own.startswith("deep_retina")  # a function; a package's name
        words = {room.removesuffix("s") for room in rooms} - {"analyse"}  # the one verb of its room
        assert named or not words & {*own.split("_")}, name_of(path)


def test_near_names_are_offered() -> None:
    with pytest.raises(AttributeError, match="'save'"):
        _ = nc.sav


def public_callables() -> Iterator[tuple[str, object]]:
    """Functions and classes that users reach by `nc.name` or `nc.module.name`."""
    for name in nc.__all__:
        value = getattr(nc, name)
        if not inspect.ismodule(value):
            yield name, value
            continue
        own = [k for k, v in vars(value).items() if getattr(v, "__module__", "") == value.__name__]
        for inner in getattr(value, "__all__", own):
            if not inner.startswith("_"):
                yield f"{name}.{inner}", getattr(value, inner)


def does_something(value: object) -> bool:
    """Functions and classes, without abstract ones and mere records of fields."""
    if inspect.isclass(value):
        methods = (k for k, v in vars(value).items() if callable(v) and not k.startswith("_"))
        return not inspect.isabstract(value) and any(methods)
    return callable(value)


PUBLIC = {name: value for name, value in public_callables() if does_something(value)}


@pytest.mark.parametrize("name", PUBLIC)
def test_public_callables_have_numpydoc_and_an_example(name: str) -> None:
    doc = inspect.getdoc(PUBLIC[name]) or ""
    parameters = inspect.signature(PUBLIC[name]).parameters  # type: ignore[arg-type]
    assert ">>>" in doc
    assert "Parameters\n---" in doc or len(parameters) < 3


def reached(value: object) -> Iterator[tuple[str, str]]:
    """Module and qualified name of everything that a user reaches by a value."""
    if inspect.isclass(value):
        for kind in value.__mro__:
            if kind.__module__.startswith("neurocodec"):
                yield kind.__module__, kind.__qualname__
                names = (n for n in vars(kind) if n == "__call__" or not n.startswith("_"))
                yield from ((kind.__module__, f"{kind.__qualname__}.{n}") for n in names)
    elif inspect.isfunction(value):
        yield value.__module__, inspect.unwrap(value).__qualname__


RESULTS = (
    "engine.estimate.Estimate",
    "analyses.retina.findings.RetinaAnalysis",
    "analyses.images.findings.ImageAnalysis",
    "fitting.results.RetinaFit",
    "maps.mosaics.Mosaics",
    "nn.sparse.config.SparseConfig",
)
"""Classes of what users are given, beside those that they make."""


def reached_by_users() -> set[tuple[str, str]]:
    found = {pair for _, value in public_callables() for pair in reached(value)}
    modules = [nc.labels, nc.plotting, importlib.import_module("neurocodec.simulation")]
    for module in modules:
        found |= {pair for value in vars(module).values() for pair in reached(value)}
    for name in RESULTS:
        module, _, kind = f"neurocodec.{name}".rpartition(".")
        found |= {*reached(getattr(importlib.import_module(module), kind))}
    return found


REACHED = reached_by_users()


Definition = ast.FunctionDef | ast.ClassDef


def definitions(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, Definition]]:
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, Definition):
            yield prefix + inner.name, inner
            yield from definitions(inner, f"{prefix}{inner.name}.")


@each_module
def test_helpers_are_documented_in_a_line_or_two(path: Path) -> None:
    """Sections of parameters are for what a user reaches; a helper's are read by nobody."""
    module = f"neurocodec.{name_of(path)}".removesuffix(".")
    for name, node in definitions(parsed(path)):
        doc = ast.get_docstring(node) or ""
        if (module, name) not in REACHED:
            assert len(doc.splitlines()) <= 5, name
            assert "---" not in doc, name


@each_module
def test_every_public_function_is_documented(path: Path) -> None:
    for node in parsed(path).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name
