"""A software bill of materials of one program, as SPDX 2.3 JSON, of what really went into it.

    sbom.py BUILD PROGRAM OUTPUT

BUILD is a folder that Ninja built PROGRAM in. What the program is linked with is asked of the dynamic loader; what was compiled
in besides, of Ninja, which knows each header that the compiler read. dpkg says which package every such file is of. A package of
headers whose library is not linked is in the program for good; one whose library is linked was needed to build it. Licences are
those that /usr/share/doc/PACKAGE/copyright states in Debian's machine-readable form, NOASSERTION where it does not.
"""

import collections
import datetime
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import urllib.parse

# Names that Debian gives to licences of SPDX's list, in lower case, and SPDX's.
SPDX = {
    "apache-2.0": "Apache-2.0",
    "bsd-2": "BSD-2-Clause",
    "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "bsd-3-clause~google": "BSD-3-Clause",
    "bsd-c3": "BSD-3-Clause",
    "bsl-1.0": "BSL-1.0",
    "cc0-1.0": "CC0-1.0",
    "curl": "curl",
    "expat": "MIT",
    "gpl-2": "GPL-2.0-only",
    "gpl-2+": "GPL-2.0-or-later",
    "gpl-3+": "GPL-3.0-or-later",
    "isc": "ISC",
    "lgpl-2+": "LGPL-2.0-or-later",
    "lgpl-2.1": "LGPL-2.1-only",
    "lgpl-2.1+": "LGPL-2.1-or-later",
    "lgpl-3+": "LGPL-3.0-or-later",
    "mit": "MIT",
    "mpl-2.0": "MPL-2.0",
    "postgresql": "PostgreSQL",
    "zlib": "Zlib",
}
WAYBILL_LICENCE = "Apache-2.0"  # LICENSE

# expression: of SPDX; texts: {LicenseRef-…: text} for those not on its list; notice: whose it is, and the licences' texts.
Licence = collections.namedtuple("Licence", "expression texts notice")


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}).stdout


def licence_of_copyright(text):
    """The Licence of `Files: *` in a copyright file of Debian; None where that is not machine-readable."""
    # A line of blanks separates paragraphs too.
    paragraphs = [dict(fields(paragraph)) for paragraph in re.split(r"\n\s*\n", text)]
    if "copyright-format" not in paragraphs[0].get("format", ""):
        return None
    texts = {}
    for paragraph in paragraphs:
        name, _, body = paragraph.get("license", "").partition("\n")
        if name and body:
            texts.setdefault(name.strip().lower(), body)
    of_all = [one for one in paragraphs if "*" in one.get("files", "").split()] or [paragraphs[0]]
    synopsis = of_all[0].get("license", "").partition("\n")[0].strip()
    if not synopsis:
        return None
    used = {}

    def spdx(name):
        if name.lower() in SPDX:
            return SPDX[name.lower()]
        reference = "LicenseRef-debian-" + re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-")
        used[reference] = texts.get(name.lower(), name).strip()
        return reference

    # With commas "and" and "or" bind otherwise than in SPDX.
    words = [synopsis] if "," in synopsis else re.split(r"\s+(and|or)\s+", synopsis)
    expression = " ".join(word.upper() if n % 2 else spdx(word) for n, word in enumerate(words))
    notice = [of_all[0].get("copyright", "").strip(), *(texts.get(word.lower(), "").rstrip() for word in words[::2])]
    return Licence(expression, used, "\n\n".join(part for part in notice if part))


def fields(paragraph):
    """(name in lower case, value) of each field; a value's further lines stay as they are."""
    for match in re.finditer(r"^([A-Za-z-]+):[ \t]*(.*(?:\n[ \t].*)*)", paragraph, re.MULTILINE):
        yield match[1].lower(), match[2]


def licence_of_package(package):
    path = pathlib.Path("/usr/share/doc") / package / "copyright"
    return licence_of_copyright(path.read_text("utf-8", "replace")) if path.exists() else None


def owners():
    """{file without a leading /usr: package}, since /lib is a link to /usr/lib and dpkg knows either name."""
    owner = {}
    for path in pathlib.Path("/var/lib/dpkg/info").glob("*.list"):
        for line in path.read_text("utf-8").splitlines():
            owner[line.removeprefix("/usr")] = path.stem
    return owner


class Dpkg:
    FORMAT = r"${binary:Package}\t${Package}\t${Version}\t${Architecture}\t${source:Package}\t${source:Version}\n"
    Package = collections.namedtuple("Package", "name version architecture source source_version")

    def __init__(self):
        self._owner = owners()
        self._packages = {}
        for line in run("dpkg-query", "-W", "-f", self.FORMAT).splitlines():
            key, *values = line.split("\t")
            self._packages[key] = self._packages[f"{values[0]}:{values[2]}"] = self.Package(*values)

    def all(self):
        return set(self._packages.values())

    def package_of(self, file):
        """None: no package brought this file."""
        for path in (os.path.normpath(file), os.path.realpath(file)):
            if path.removeprefix("/usr") in self._owner:
                return self._packages[self._owner[path.removeprefix("/usr")]]
        return None


def linked(program):
    """Paths of the shared libraries: those that the program names, and those that these bring along."""
    named = set(re.findall(r"^\s+NEEDED\s+(\S+)", run("objdump", "-p", program), re.MULTILINE))
    loaded = dict(re.findall(r"^\s*(\S+) => (/\S+)", run("ldd", program), re.MULTILINE))
    if named - set(loaded) - {"ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}:
        sys.exit(f"sbom: libraries of {program} are not found: {named - set(loaded)}")
    direct = {path for name, path in loaded.items() if name in named}
    return direct, set(loaded.values()) - direct


def headers(build, program):
    """Every file outside of the build and its sources that the compiler read to make the program."""
    if not (build / "build.ninja").exists():
        sys.exit(f"sbom: {build} was not built by Ninja, which alone knows what a program was made of")
    inputs = run("ninja", "-C", build, "-t", "inputs", os.path.relpath(program, build)).splitlines()
    made = [name for name in inputs if name.endswith((".o", ".gch", ".pch"))]
    read = set()
    for line in run("ninja", "-C", build, "-t", "deps", *made).splitlines():
        if line.startswith("    /"):
            read.add(line.strip())
    return read


def spdx_id(package):
    return "SPDXRef-Package-" + re.sub(r"[^A-Za-z0-9.-]", lambda odd: f"-{ord(odd[0]):x}-", package)


def describe(package, licence):
    entry = {
        "SPDXID": spdx_id(package.name),
        "name": package.name,
        "versionInfo": package.version,
        "supplier": "Organization: Debian",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "sourceInfo": f"source package {package.source} {package.source_version}",
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": licence.expression if licence else "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "externalRefs": [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": f"pkg:deb/debian/{urllib.parse.quote(package.name, safe='')}"
                f"@{urllib.parse.quote(package.version, safe='')}?arch={package.architecture}",
            }
        ],
    }
    if licence:
        entry["licenseComments"] = f"of most files; /usr/share/doc/{package.name}/copyright has all"
    return entry


def bill_of(build, program, now):
    said = re.fullmatch(r"(\S+) (\S+) \(commit (\S+)\)\n", run(program, "--version"))
    name, version, commit = said.groups()
    dpkg = Dpkg()
    direct, indirect = ({dpkg.package_of(file) for file in files} - {None} for files in linked(program))
    compiled = {dpkg.package_of(file) for file in headers(build, program)} - {None}
    indirect -= direct
    libraries = {package.source for package in direct}

    root = spdx_id(name)
    relations = [("SPDXRef-DOCUMENT", "DESCRIBES", root, "")]
    relations += [(root, "DYNAMIC_LINK", spdx_id(one.name), "") for one in sorted(direct)]
    relations += [(root, "DEPENDS_ON", spdx_id(one.name), "loaded along with a library that is linked") for one in sorted(indirect)]
    for one in sorted(compiled - direct - indirect):
        if one.source in libraries:
            relations.append((spdx_id(one.name), "BUILD_DEPENDENCY_OF", root, "headers of a library that is linked"))
        else:
            relations.append((root, "STATIC_LINK", spdx_id(one.name), "headers that are compiled in"))

    packages = [
        {
            "SPDXID": root,
            "name": name,
            "versionInfo": version,
            "supplier": "Organization: Waybill",
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": False,
            "sourceInfo": f"commit {commit}",
            "licenseConcluded": WAYBILL_LICENCE,
            "licenseDeclared": WAYBILL_LICENCE,
            "copyrightText": "NOASSERTION",
            "primaryPackagePurpose": "APPLICATION",
        }
    ]
    inside = {b for a, kind, b, _ in relations if kind == "STATIC_LINK"}
    extracted = {}
    for one in sorted(direct | indirect | compiled):
        licence = licence_of_package(one.name)
        packages.append(describe(one, licence))
        if spdx_id(one.name) in inside:  # their licences want their notices to go along with the binary
            packages[-1]["attributionTexts"] = [licence.notice] if licence else []
        extracted.update(licence.texts if licence else {})

    body = {
        "packages": packages,
        "relationships": [
            {"spdxElementId": a, "relationshipType": kind, "relatedSpdxElement": b, **({"comment": why} if why else {})}
            for a, kind, b, why in relations
        ],
        "hasExtractedLicensingInfos": [
            {"licenseId": reference, "name": reference.removeprefix("LicenseRef-debian-"), "extractedText": text}
            for reference, text in sorted(extracted.items())
        ],
    }
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"{name}-{version}",
        # A name and no place: one for each content.
        "documentNamespace": f"https://waybill.example.invalid/spdx/{name}-{version}-{digest[:32]}",
        "creationInfo": {"created": now.strftime("%Y-%m-%dT%H:%M:%SZ"), "creators": ["Tool: waybill-sbom", "Organization: Waybill"]},
        **body,
    }


if __name__ == "__main__":
    # Who builds reproducibly says what time it is.
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    utc = datetime.timezone.utc
    made_at = datetime.datetime.fromtimestamp(int(epoch), utc) if epoch else datetime.datetime.now(utc)
    output = pathlib.Path(sys.argv[3])
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(bill_of(pathlib.Path(sys.argv[1]), sys.argv[2], made_at), indent=1) + "\n", "utf-8")
