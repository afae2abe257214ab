"""Imports point one way: a module uses only what stands above it in the house."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import jaxflow

ROOT = Path(jaxflow.__file__).parent

# From the first to be imported to the last. `__init__` gathers and stands outside.
HOUSE = [
    "_untyped",
    "_typing",
    "_pytree",
    "_versions",
    "_without",
    "_checks",
    "_cache",
    "_words",
    "_units",
    "_views",
    "_switches",
    "_target",
    "_programs",
    "_names",
    "_paths",
    "devices",
    "graph",
    "flow",
    "statistics",
    "inputs",
    "models",
    "mixing",
    "running",
    "evaluation",
    "references",
    "attribution",
    "heads",
    "compare",
    "store",
    "sweep",
    "summary",
    "pages",
    "interop",
    "_parser",
    "_signals",
    "cli",
]


def imported_modules(path):
    """Names of jaxflow's modules that a file imports, wherever in the file it does."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the direction; write the whole name"
            module = node.module or ""
            yield module
            if module == "jaxflow":
                yield from (f"jaxflow.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def floor(module):
    return HOUSE.index(module.split(".")[1])


def test_every_module_stands_in_the_house():
    inside = [path for path in ROOT.iterdir() if not path.name.startswith("__")]
    names = {path.stem for path in inside if path.is_dir() or path.suffix == ".py"}
    assert names <= set(HOUSE)


def test_imports_point_one_way():
    checked = 0
    for path in sorted(ROOT.rglob("*.py")):
        module = ".".join(["jaxflow", *path.relative_to(ROOT).with_suffix("").parts])
        if module in ("jaxflow.__init__", "jaxflow.__main__"):
            continue
        for other in imported_modules(path):
            if other.startswith("jaxflow."):
                checked += 1
                assert floor(other) <= floor(module), f"{module} imports {other}, which stands below it"
    assert checked > 20


def test_no_circles_inside_folders_either():
    paths = {".".join(["jaxflow", *path.relative_to(ROOT).with_suffix("").parts]): path for path in ROOT.rglob("*.py")}
    # A folder's own module stands for its name, so that a module which takes from its folder what the folder takes
    # from it is a circle. jaxflow's own gathers, and no module takes from it.
    modules = {name.removesuffix(".__init__"): path for name, path in paths.items()}
    modules = {name: path for name, path in modules.items() if name not in ("jaxflow", "jaxflow.__main__")}
    imports = {name: modules_imported(path, modules) - {name} for name, path in modules.items()}
    assert sum(map(len, imports.values())) > 1000
    # Raises a CycleError that names the circle.
    assert len(tuple(TopologicalSorter(imports).static_order())) == len(modules)


def modules_imported(path, modules):
    """The modules that a file takes something from; `from folder import module` takes the module."""
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            imported |= {name if name in modules else node.module for name in names}
        elif isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
    return imported & modules.keys()


def test_only_the_command_line_prints():
    for path in ROOT.rglob("*.py"):
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        printing = [node for node in calls if isinstance(node.func, ast.Name) and node.func.id == "print"]
        assert not printing or path.parent.name == "cli", f"{path} prints"
