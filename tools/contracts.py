"""Import-linter contracts of our own: files of a module, private files, and lists of allowed imports."""

import sys
from collections.abc import Iterable
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output
from importlinter.contracts.layers import LayersContract
from importlinter.domain.fields import ModuleExpressionField

OWN, STDLIB = "own", "stdlib"


def matches(module: str, pattern: str) -> bool:
    """Whether a module is, or lies below, what the pattern names; `*` stands for one part of the name."""
    parts, wanted = module.split("."), pattern.split(".")
    return len(parts) >= len(wanted) and all(
        want in {"*", part} for want, part in zip(wanted, parts, strict=False)
    )


def matches_any(module: str, patterns: Iterable[str]) -> bool:
    return any(matches(module, pattern) for pattern in patterns)


def folder_of(module: str) -> str:
    """The module of the house a file lies in: `forecourt.sales` of `forecourt.sales.service.voids`."""
    return ".".join(module.split(".")[:2])


def strings(*, required: bool = True) -> Any:
    """A set of strings; the library puts the parsed set in the place of the field."""
    return fields.SetField(subfield=fields.StringField(), required=required)


class FilesContract(LayersContract):
    """Layers inside every folder that `containers` match, apart from those named `outside`."""

    outside = strings(required=False)

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: FBT001  (The library's form.)
        packages = {
            module
            for module in graph.modules
            if not graph.is_module_squashed(module) and graph.find_children(module)
        }
        containers: Any = self.containers  # By now the parsed list.
        wanted = {
            module
            for expression in containers
            for module in packages
            if module.count(".") == str(expression).count(".") and matches(module, str(expression))
        }
        kept = sorted(wanted - set(self.outside or ()))
        parsed: Any = [ModuleExpressionField().parse(module) for module in kept]
        self.containers = parsed
        return super().check(graph, verbose)


class PrivateFilesContract(Contract):
    """Some names of files and folders are private to the module that holds them.

    `readers` are exceptions, each `importer -> name`.
    """

    containers = strings()
    outside = strings(required=False)
    private = strings()
    readers = strings(required=False)

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: FBT001  (The library's form.)
        del verbose
        allowed = [tuple(map(str.strip, line.split("->"))) for line in self.readers or ()]
        broken = []
        for module in sorted(graph.modules):
            names = set(module.split(".")[2:]) & self.private
            if (
                not names
                or not matches_any(module, self.containers)
                or folder_of(module) in (self.outside or ())
            ):
                continue
            broken += [
                (importer, module)
                for importer in sorted(graph.find_modules_that_directly_import(module))
                if folder_of(importer) != folder_of(module)
                and not any(name in names and matches(importer, reader) for reader, name in allowed)
            ]
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer, module in check.metadata["broken"]:
            output.print_error(
                f"{importer} imports {module}, which is private to {folder_of(module)}: "
                "ask its service, queries or types"
            )


class AllowedImportsContract(Contract):
    """What `importers` may import directly. `own` in `allowed` is the importer's own module.

    Without `externals` every library is allowed; with it, those listed (`stdlib`: the standard library).
    """

    importers = strings()
    outside = strings(required=False)
    allowed = strings()
    externals = strings(required=False)

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: FBT001  (The library's form.)
        del verbose
        broken = [
            (importer, imported)
            for importer in sorted(graph.modules)
            if matches_any(importer, self.importers) and not matches_any(importer, self.outside or ())
            for imported in sorted(graph.find_modules_directly_imported_by(importer))
            if not self._may(importer, imported)
        ]
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def _may(self, importer: str, imported: str) -> bool:
        if imported.partition(".")[0] not in self.session_options["root_packages"]:
            listed = self.externals
            return (
                not listed or imported in listed or (STDLIB in listed and imported in sys.stdlib_module_names)
            )
        if OWN in self.allowed and folder_of(importer) == folder_of(imported):
            return True
        return matches_any(imported, self.allowed)

    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer, imported in check.metadata["broken"]:
            output.print_error(f"{importer} imports {imported}, which is not on its list")
        output.print("Allowed: " + ", ".join(sorted(self.allowed)))
        if self.externals:
            output.print("Libraries: " + ", ".join(sorted(self.externals)))
