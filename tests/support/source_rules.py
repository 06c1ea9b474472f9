"""The rules that the source tree obeys, as functions of a folder, so that they can be tried on made-up trees too."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# The design's table: a package imports packages of lower levels only.
LEVELS = {
    "core": 0,
    "video": 1,
    "assets": 1,
    "diffusion": 1,
    "models": 2,
    "dataset": 2,
    "checkpoints": 3,
    "conditioners": 3,
    "inference": 3,
    "measures": 3,
    "synthetic": 3,
    "tasks": 4,
    "pipelines": 5,
    "generation": 6,
    "training": 6,
    "curation": 6,
    "evaluation": 6,
    "preference": 6,
    "recipes": 7,
    "web": 8,
    "study": 8,
    "cli": 9,
}
MAX_LINES = 400
MAX_INIT_LINES = 5


@dataclass(frozen=True)
class Import:
    """`module` is imported in line `line` of `path`, wherever in the file that is."""

    path: Path
    line: int
    module: str


def imports_in(path: Path) -> list[Import]:
    """Every import in the file: also those inside functions and for type checkers, as they are dependencies too."""
    found: list[Import] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))):
        if isinstance(node, ast.Import):
            found += [Import(path, node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            # `from videoldm import core` names the package only after the word import.
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "videoldm" else [module]
            found += [Import(path, node.lineno, name) for name in names]
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) in ("import_module", "importlib.import_module", "__import__")
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            found.append(Import(path, node.lineno, str(node.args[0].value)))
    return found


def layer_violations(source: Path, exceptions: dict[tuple[str, str], str]) -> list[str]:
    """What breaks the layers below `source`, the folder `videoldm`; `exceptions` are allowed (file, module) pairs."""
    problems: list[str] = []
    used: set[tuple[str, str]] = set()
    for path in _files(source):
        name = path.relative_to(source).as_posix()
        package = _package(name)
        if package not in LEVELS and package != "":
            problems.append(f"{name}: package {package!r} has no level")
            continue
        for found in imports_in(path):
            problem = _layer_problem(package, found.module)
            if problem is None:
                continue
            if (name, found.module) in exceptions:
                used.add((name, found.module))
            else:
                problems.append(f"{name}:{found.line}: {problem}")
    return problems + [f"exception {pair} is not needed any more" for pair in exceptions if pair not in used]


def _package(name: str) -> str:
    first, _, rest = name.partition("/")
    return first if rest else ""


def _layer_problem(package: str, module: str) -> str | None:
    if module.startswith("."):
        return "imports are absolute"
    top, _, inner = module.partition(".")
    if top != "videoldm":
        return None
    other = inner.split(".")[0]
    if other in ("", "__version__", package):
        return None
    if other not in LEVELS:
        return f"{module} belongs to no package with a level"
    if package == "":
        return f"the top module imports {module}, it should import nothing"
    if LEVELS[other] > LEVELS[package]:
        return f"{package} (L{LEVELS[package]}) imports {module} (L{LEVELS[other]}), imports point down"
    if LEVELS[other] == LEVELS[package]:
        return f"{package} imports {module}, packages of one level do not import each other"
    return None


def full_inits(source: Path) -> list[str]:
    """`__init__.py` files that hold more than a docstring; the top one may also name the version."""
    problems: list[str] = []
    for path in _files(source):
        if path.name != "__init__.py":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        body = tree.body[1:] if ast.get_docstring(tree) is not None else tree.body
        if path.parent == source:
            body = [node for node in body if not (isinstance(node, ast.Assign) and "__version__" in ast.unparse(node))]
        if body or len(path.read_text(encoding="utf-8").splitlines()) > MAX_INIT_LINES:
            problems.append(f"{path.relative_to(source).as_posix()}: should hold one docstring only")
    return problems


def missing_inits(source: Path) -> list[str]:
    """Folders with modules but without `__init__.py`."""
    folders = {path.parent for path in _files(source)}
    return sorted(folder.relative_to(source).as_posix() for folder in folders if not (folder / "__init__.py").is_file())


def long_files(source: Path, exceptions: dict[str, str]) -> list[str]:
    """Files of more than 400 lines; `exceptions` says for a file why it may."""
    lengths = {
        p.relative_to(source).as_posix(): len(p.read_text(encoding="utf-8").splitlines()) for p in _files(source)
    }
    too_long = {name: length for name, length in lengths.items() if length > MAX_LINES}
    problems = [f"{name}: {length} lines, split it" for name, length in too_long.items() if name not in exceptions]
    return problems + [f"exception {name} is not needed any more" for name in exceptions if name not in too_long]


def torch_configs(source: Path) -> list[str]:
    """Configuration files that import torch."""
    return [
        f"{found.path.relative_to(source).as_posix()}:{found.line}: imports {found.module}"
        for path in _files(source)
        if path.name == "config.py"
        for found in imports_in(path)
        if found.module.partition(".")[0] == "torch"
    ]


def unresolved_shapes(source: Path) -> list[str]:
    """Annotated shapes that are not checked while tests run.

    jaxtyping evaluates an annotation when it decorates the function: a name that the module binds further down, or for
    type checkers only, turns the whole annotation into `Any` without a word.
    """
    return [
        f"{path.relative_to(source).as_posix()}:{annotation.lineno}: {ast.unparse(annotation)} is not checked, as "
        f"{', '.join(names)} cannot be resolved there"
        for path in _files(source)
        for annotation, names in _unresolved(ast.parse(path.read_text(encoding="utf-8")))
    ]


def _unresolved(tree: ast.Module) -> Iterator[tuple[ast.expr, list[str]]]:
    bound: dict[str, int] = {}
    shapes: set[str] = set()
    for statement in tree.body:
        names = _names_bound_by(statement)
        bound = {**dict.fromkeys(names, statement.lineno), **bound}
        is_jaxtyping = isinstance(statement, ast.ImportFrom) and statement.module == "jaxtyping"
        if is_jaxtyping or (isinstance(statement, ast.Assign) and _names_in(statement.value) & shapes):
            shapes.update(names)
    known = set(bound) | set(dir(builtins))
    for statement in tree.body:
        for annotation in _annotations(statement):
            names = _names_in(annotation)
            late = sorted(name for name in names if name not in known or bound.get(name, 0) >= statement.lineno)
            if names & shapes and late:
                yield annotation, late


def _names_bound_by(statement: ast.stmt) -> list[str]:
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return [(alias.asname or alias.name).partition(".")[0] for alias in statement.names]
    if isinstance(statement, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        return [statement.name]
    if isinstance(statement, (ast.Assign, ast.AnnAssign)):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return [name for target in targets for name in _names_in(target)]
    return []


def _annotations(statement: ast.stmt) -> Iterator[ast.expr]:
    """Annotations of arguments, results and fields that are evaluated with the `statement` at the top of a module."""
    match statement:
        case ast.ClassDef(body=body):
            for inner in body:
                yield from _annotations(inner)
        case ast.FunctionDef(args=arguments, returns=result) | ast.AsyncFunctionDef(args=arguments, returns=result):
            parts = (node.annotation for node in ast.walk(arguments) if isinstance(node, ast.arg))
            yield from (part for part in (*parts, result) if part is not None)
        case ast.AnnAssign(annotation=annotation):
            yield annotation
        case _:
            pass


def _names_in(expression: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(expression) if isinstance(node, ast.Name)}


def shared_class_names(source: Path, exceptions: dict[str, str]) -> list[str]:
    """Public classes of one name in several modules; `exceptions` gives reasons by name."""
    modules: dict[str, list[str]] = {}
    for path in _files(source):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                modules.setdefault(node.name, []).append(path.relative_to(source).as_posix())
    shared = {name: places for name, places in modules.items() if len(places) > 1}
    stale = [f"exception {name} is not needed any more" for name in exceptions if name not in shared]
    return [f"{name}: {', '.join(places)}" for name, places in sorted(shared.items()) if name not in exceptions] + stale


def third_party(source: Path) -> dict[str, set[str]]:
    """For each foreign top-level module, the packages of ours that import it."""
    result: dict[str, set[str]] = {}
    for path in _files(source):
        for found in imports_in(path):
            top = found.module.partition(".")[0]
            if top and top != "videoldm":
                result.setdefault(top, set()).add(_package(path.relative_to(source).as_posix()))
    return result


def _files(source: Path) -> list[Path]:
    return sorted(source.rglob("*.py"))
