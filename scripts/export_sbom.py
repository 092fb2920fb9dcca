"""Write the software bill of materials that the wheel carries (PEP 770): packaging/llamafund.cdx.json, CycloneDX 1.6.

It names what the wheel holds of others, and what an installation brings: the packages of the base install and of the
extra `trainer`, at the versions of constraints.txt, with which the project is tested. `--check` compares only.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
SBOM = ROOT / "packaging" / "llamafund.cdx.json"

# What the wheel itself holds that others wrote, beside what package-lock.json says of it.
TOPICS = ("CPython's pydoc topics", "Python documentation, the text of the sample project", "PSF-2.0")

# For whom it is written: the same bill comes out on every system that writes it.
SYSTEM = {
    "extra": "",
    "implementation_name": "cpython",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.11.0",
    "python_version": "3.11",
    "sys_platform": "linux",
}


def build() -> str:
    """The bill, as JSON with a newline at its end; the same whenever nothing in it changed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = dict(_pinned())
    root = Component(
        type=ComponentType.APPLICATION,
        name=project["name"],
        version=project["version"],
        licenses=[LicenseFactory().make_from_string(project["license"])],
        purl=PackageURL("pypi", None, project["name"], project["version"]),
        bom_ref=project["name"],
    )
    bom = Bom(serial_number=uuid5(NAMESPACE_URL, json.dumps([project["version"], pinned], sort_keys=True)))
    bom.metadata.timestamp = None  # type: ignore[assignment] # the build has to be reproducible
    bom.metadata.component = root
    made = dict[str, Component]()
    base = set(_needed(project["dependencies"]))
    everything = base | set(_needed(project["optional-dependencies"]["trainer"]))
    for name in sorted(everything & pinned.keys()):
        made[name] = Component(
            type=ComponentType.LIBRARY,
            name=name,
            version=pinned[name],
            scope=ComponentScope.REQUIRED if name in base else ComponentScope.OPTIONAL,
            purl=PackageURL("pypi", None, name, pinned[name]),
            bom_ref=name,
        )
        bom.components.add(made[name])
    for component in made.values():
        wanted = (canonicalize_name(one.name) for one in _requirements(component.name))
        bom.register_dependency(component, [made[name] for name in sorted(set(wanted)) if name in made])
    held = list(_held())
    bom.components.update(held)
    direct = {canonicalize_name(Requirement(line).name) for line in project["dependencies"]}
    bom.register_dependency(root, [*(made[name] for name in sorted(direct & made.keys())), *held])
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def _held() -> Iterator[Component]:
    """What the wheel holds of others."""
    lock = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    contracts = lock["node_modules/@openzeppelin/contracts"]
    yield Component(
        type=ComponentType.LIBRARY,
        group="@openzeppelin",
        name="contracts",
        version=contracts["version"],
        description="Compiled into the contracts' code",
        licenses=[LicenseFactory().make_from_string(contracts["license"])],
        purl=PackageURL("npm", "@openzeppelin", "contracts", contracts["version"]),
        bom_ref="@openzeppelin/contracts",
    )
    name, description, license_ = TOPICS
    yield Component(
        type=ComponentType.DATA,
        name=name,
        description=description,
        licenses=[LicenseFactory().make_from_string(license_)],
        external_references=[
            ExternalReference(type=ExternalReferenceType.WEBSITE, url=XsUri("https://docs.python.org/"))
        ],
        bom_ref=name,
    )


def _pinned() -> Iterator[tuple[str, str]]:
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        match = re.fullmatch(r"([\w.-]+)==([^\s;]+)\s*(?:;.*)?", line)
        if match:
            yield canonicalize_name(match[1]), match[2]


def _requirements(name: str) -> Iterator[Requirement]:
    """What a package that is installed here needs, its extras aside."""
    try:
        lines = distribution(name).requires or ()
    except PackageNotFoundError:
        return
    for line in lines:
        one = Requirement(line)
        if one.marker is None or one.marker.evaluate(SYSTEM):
            yield one


def _needed(lines: list[str]) -> Iterator[str]:
    """The packages that these requirements bring, all of what those need with them."""
    waiting, seen = [canonicalize_name(Requirement(line).name) for line in lines], set[str]()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            yield name
            waiting += [canonicalize_name(one.name) for one in _requirements(name)]


def main() -> None:
    """Write the file, or with `--check` compare it."""
    text = build()
    if sys.argv[1:] == ["--check"]:
        if SBOM.read_text(encoding="utf-8") != text:
            raise SystemExit(f"{SBOM.relative_to(ROOT)} is out of date: python scripts/export_sbom.py")
        return
    SBOM.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
