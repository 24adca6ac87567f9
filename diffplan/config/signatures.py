"""Reads which settings a class takes from its source text.

Importing torch, Lightning and diffusers takes seconds, and a mistyped setting must be refused at once. So a class's
file is parsed and not run. What cannot be found in the text is imported.
"""

import ast
import dataclasses
import functools
import importlib
import importlib.util
import inspect
import pkgutil
import sys
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

_BASES_WITHOUT_SETTINGS = ("ABC", "Protocol", "object", "nn.Module")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One setting of a class or function.

    Attributes:
        hint: The type of its value; ``Any`` where it is not known.
        required: Whether it must be given.
    """

    hint: Any
    required: bool


@dataclasses.dataclass(frozen=True)
class Signature:
    """The settings that a class or function takes.

    Attributes:
        parameters: By name.
        open_ended: Whether it takes others too.
    """

    parameters: Mapping[str, Parameter]
    open_ended: bool


@functools.cache
def signature(target: str) -> Signature:
    """Finds the settings of a class or function.

    Args:
        target: Import path.

    Raises:
        Exception: whatever its import raises, where its file does not tell.
    """
    found = _find(target)
    read = _read(*found) if found is not None else None
    return _imported(target) if read is None else read


class _File:
    """The names that a module defines or imports, each with the statement that does."""

    def __init__(self, path: Path, package: str) -> None:
        self.package = package
        self.statements: dict[str, ast.stmt] = {}
        for statement in _statements(ast.parse(path.read_bytes()).body):
            for name in _bound_names(statement):
                self.statements.setdefault(name, statement)

    def origin(self, name: str) -> str | None:
        """Where an imported name comes from, as a dotted path."""
        statement = self.statements.get(name)
        if not isinstance(statement, (ast.Import, ast.ImportFrom)):
            return None
        alias = next(alias for alias in statement.names if (alias.asname or alias.name.split(".")[0]) == name)
        if isinstance(statement, ast.Import):
            return alias.name if alias.asname else name
        above = self.package.split(".")[: len(self.package.split(".")) - statement.level + 1] if statement.level else []
        return ".".join([*above, *([statement.module] if statement.module else []), alias.name])


def _statements(body: Sequence[ast.AST]) -> Iterator[ast.stmt]:
    """Statements of a module, also those below ``if`` and ``try``: `if TYPE_CHECKING` often names lazy imports."""
    for statement in body:
        if isinstance(statement, ast.stmt):
            yield statement
        for block in ("body", "orelse", "handlers"):
            if isinstance(statement, (ast.If, ast.Try, ast.ExceptHandler)):
                yield from _statements(getattr(statement, block, []))


def _bound_names(statement: ast.stmt) -> list[str]:
    if isinstance(statement, (ast.ClassDef, *_FUNCTIONS)):
        return [statement.name]
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return [alias.asname or alias.name.split(".")[0] for alias in statement.names]
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return [target.id for target in targets if isinstance(target, ast.Name)]


@functools.cache
def _file(module: str) -> _File | None:
    root, *below = module.split(".")
    spec = importlib.util.find_spec(root)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    path = Path(spec.origin)
    if below:
        place = path.parent.joinpath(*below)
        path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    if not path.is_file() or (below and not spec.submodule_search_locations):
        return None
    return _File(path, module if path.name == "__init__.py" else module.rpartition(".")[0])


def _find(target: str) -> tuple[_File, ast.stmt] | None:
    """The statement that defines a class, function or alias, through any number of imports."""
    for _ in range(10):
        module, _, name = target.rpartition(".")
        file = _file(module) if module else None
        if file is None or name not in file.statements:
            return None
        origin = file.origin(name)
        if origin is None:
            return file, file.statements[name]
        target = origin
    return None


def _read(file: _File, definition: ast.stmt) -> Signature | None:
    if isinstance(definition, _FUNCTIONS):
        return _of_arguments(file, definition.args)
    if not isinstance(definition, ast.ClassDef):
        return None
    for statement in definition.body:
        if isinstance(statement, _FUNCTIONS) and statement.name == "__init__":
            return _of_arguments(file, statement.args, skip=1)
    bases = [base for base in map(ast.unparse, definition.bases) if base not in _BASES_WITHOUT_SETTINGS]
    found = [_find_name(file, base) for base in bases]
    inherited = [_read(*base) for base in found if base is not None]
    known = [each for each in inherited if each is not None]
    if len(known) < len(bases):
        return None
    if any("dataclass" in ast.unparse(decorator) for decorator in definition.decorator_list):
        of_bases = {name: parameter for each in known for name, parameter in each.parameters.items()}
        return Signature(of_bases | _fields(file, definition), False)
    return next((each for each in known if each.parameters or each.open_ended), Signature({}, False))


def _of_arguments(file: _File, arguments: ast.arguments, skip: int = 0) -> Signature:
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults
    pairs = list(zip(positional, defaults, strict=True))
    pairs = pairs[skip:] + list(zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True))
    parameters = {each.arg: Parameter(_hint(file, each.annotation), default is None) for each, default in pairs}
    return Signature(parameters, arguments.kwarg is not None)


def _fields(file: _File, definition: ast.ClassDef) -> dict[str, Parameter]:
    """The fields that a dataclass adds to those of its bases."""
    found = {}
    for statement in definition.body:
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        value, has_default, is_setting = statement.value, statement.value is not None, True
        if isinstance(value, ast.Call) and ast.unparse(value.func).endswith("field"):
            options = {keyword.arg: ast.unparse(keyword.value) for keyword in value.keywords}
            has_default = "default" in options or "default_factory" in options
            is_setting = options.get("init") != "False"
        if is_setting:
            found[statement.target.id] = Parameter(_hint(file, statement.annotation), not has_default)
    return found


def _find_name(file: _File, name: str) -> tuple[_File, ast.stmt] | None:
    """The definition of a name, dotted or not, as one file uses it."""
    head, _, rest = name.partition(".")
    origin = file.origin(head)
    if origin is not None:
        return _find(f"{origin}.{rest}" if rest else origin)
    return (file, file.statements[head]) if head in file.statements and not rest else None


class _NoYaml(type):
    """A class that no value of a YAML file is an instance of; its attributes and items are such classes too."""

    def __getattr__(cls, name: str) -> "type[Any]":
        if name.startswith("__"):
            raise AttributeError(name)
        return _no_yaml(f"{cls.__name__}.{name}")

    def __getitem__(cls, item: Any) -> "type[Any]":
        return cls


def _no_yaml(name: str) -> "type[Any]":
    return _NoYaml(name, (), {"__module__": "builtins", "__qualname__": name})


class _Names(dict[str, Any]):
    """Values of the names in a file's annotations, for ``eval``."""

    def __init__(self, file: _File) -> None:
        super().__init__()
        self.file = file

    def __missing__(self, name: str) -> Any:
        origin = self.file.origin(name)
        if origin is not None and origin.split(".")[0] in sys.stdlib_module_names:
            return pkgutil.resolve_name(origin)
        if origin is not None and ("." not in origin or _file(origin) is not None):
            return _no_yaml(name)
        found = _find_name(self.file, name)
        if found is None:
            if name in self.file.statements:
                return Any
            raise KeyError(name)
        file, definition = found
        if isinstance(definition, ast.ClassDef):
            return _no_yaml(name)
        return _hint(file, getattr(definition, "value", None))


def _hint(file: _File, annotation: ast.expr | None) -> Any:
    """The type that an annotation means, without importing what it names."""
    if annotation is None or any(isinstance(node, ast.Call) for node in ast.walk(annotation)):
        return Any
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        annotation = ast.parse(annotation.value, mode="eval").body
    try:
        return eval(ast.unparse(annotation), {}, _Names(file))
    except (NameError, TypeError, AttributeError, SyntaxError, ImportError):
        # A foreign annotation need not be readable; its constructor still checks its own values.
        return Any


def _imported(target: str) -> Signature:
    made: Any = pkgutil.resolve_name(target)
    parameters = inspect.signature(made).parameters
    try:
        hints = typing.get_type_hints(made.__init__ if inspect.isclass(made) else made)
    except (NameError, TypeError, AttributeError):
        hints = {}
    named = {
        name: Parameter(hints.get(name, Any), parameter.default is parameter.empty)
        for name, parameter in parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    return Signature(named, any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()))
