"""Bills of materials are SPDX and name what is in the programs; docs/licences.md names every dependency and its licence.

    sbom_test.py BUILD

WAYBILL_UPDATE_DOCS=1 writes the table of docs/licences.md anew. Exit code 77: skipped, as dpkg or objdump is not there.
"""

import copy
import datetime
import functools
import os
import pathlib
import re
import shutil
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "deploy/debian"), str(ROOT / "tests/deploy")]
sys.dont_write_bytecode = True

import sbom  # noqa: E402
import spdx  # noqa: E402

BUILD = pathlib.Path(sys.argv[1]).resolve()
COPYRIGHTS = pathlib.Path("/usr/share/doc")
LICENCES = ROOT / "docs/licences.md"
# CMake's name: Debian's package (its headers, where there are several), and what for.
DEPENDENCIES = {
    "absl": ("libabsl-dev", "linked"),
    "Boost": ("libboost1.81-dev", "headers compiled in"),
    "CLI11": ("libcli11-dev", "headers compiled in"),
    "fmt": ("libfmt-dev", "linked"),
    "gRPC": ("libgrpc++-dev", "linked"),
    "GTest": ("libgtest-dev", "tests only"),
    "hiredis": ("libhiredis-dev", "linked"),
    "jemalloc": ("libjemalloc-dev", "linked"),
    "libcares": ("libc-ares-dev", "linked"),
    "libcurl": ("libcurl4-openssl-dev", "bench only"),
    "libpq": ("libpq-dev", "linked"),
    "librabbitmq": ("librabbitmq-dev", "linked"),
    "nlohmann_json": ("nlohmann-json3-dev", "headers compiled in"),
    "OpenSSL": ("libssl-dev", "linked"),
    "prometheus-cpp": ("prometheus-cpp-dev", "linked"),
    "Protobuf": ("libprotobuf-dev", "linked"),
    "pugixml": ("libpugixml-dev", "linked"),
    "rapidcheck": ("librapidcheck-dev", "tests only"),
    "spdlog": ("libspdlog-dev", "linked"),
    "tomlplusplus": ("libtomlplusplus-dev", "headers compiled in"),
    "ZLIB": ("zlib1g-dev", "linked"),
}
# Whose copyright file is prose: what a person reads in it, and a phrase by which it is still that text.
IN_PROSE = {"libc-ares-dev": ("MIT", "The project in general is under the MIT License")}
NO_LIBRARIES = {"PkgConfig", "Python3", "Threads"}  # tools of the build, and libc itself

COPYRIGHT = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files:     *
Copyright: somebody
License:   {}

Files: debian/*
License: GPL-2+
 the text of the GPL

License: Odd Licence 1
 the text
 of the odd one
"""


@functools.cache
def bill(program):
    return sbom.bill_of(BUILD, BUILD / "bin" / program, datetime.datetime.now(datetime.timezone.utc))


class LicenceTest(unittest.TestCase):
    def test_of_all_files_counts(self):
        self.assertEqual(sbom.licence_of_copyright(COPYRIGHT.format("Expat")), ("MIT", {}, "somebody"))

    def test_several_become_an_expression(self):
        found = sbom.licence_of_copyright(COPYRIGHT.format("GPL-2+ or BSD-3-clause and Expat"))
        self.assertEqual(found.expression, "GPL-2.0-or-later OR BSD-3-Clause AND MIT")

    def test_one_on_no_list_keeps_its_text(self):
        found = sbom.licence_of_copyright(COPYRIGHT.format("Odd Licence 1"))
        self.assertEqual(found.expression, "LicenseRef-debian-Odd-Licence-1")
        self.assertEqual(found.texts, {"LicenseRef-debian-Odd-Licence-1": "the text\n of the odd one"})
        self.assertEqual(found.notice, "somebody\n\n the text\n of the odd one")

    def test_prose_is_not_guessed_at(self):
        self.assertIsNone(sbom.licence_of_copyright("This is free software.\n\nLicense: MIT, somewhere\n"))


class BillTest(unittest.TestCase):
    def test_it_is_spdx_and_names_what_is_in(self):
        for program in ("waybill", "waybill-order"):
            with self.subTest(program):
                document = bill(program)
                self.assertEqual(spdx.complaints(document), [])
                self.assertEqual(document["packages"][0]["name"], program)
                self.assertLessEqual({"libgrpc++1.51", "libpq5", "libstdc++6"}, spdx.related(document, "DYNAMIC_LINK"))
                self.assertLessEqual({"libcli11-dev", "nlohmann-json3-dev"}, spdx.related(document, "STATIC_LINK"))
                (cli11,) = (one for one in document["packages"] if one["name"] == "libcli11-dev")
                self.assertIn("Redistributions in binary form", cli11["attributionTexts"][0])
                self.assertIn("libpq-dev", spdx.related(document, "BUILD_DEPENDENCY_OF"))
                self.assertIn("libgssapi-krb5-2", spdx.related(document, "DEPENDS_ON"))
                for of_tests in ("libgtest-dev", "librapidcheck-dev"):
                    self.assertNotIn(of_tests, {one["name"] for one in document["packages"]})
        self.assertIn("libtomlplusplus-dev", spdx.related(document, "STATIC_LINK"), "read by services alone")
        self.assertNotIn("libpugixml1v5", spdx.related(document, "DYNAMIC_LINK"), "read by the command line alone")

    def test_the_same_program_has_the_same_name(self):
        one, two = bill("waybill-order"), bill.__wrapped__("waybill-order")
        self.assertEqual(one["documentNamespace"], two["documentNamespace"])
        self.assertNotEqual(one["documentNamespace"], bill("waybill")["documentNamespace"])

    def test_the_check_notices_what_is_missing(self):
        document = bill("waybill-order")

        def without(*path):
            broken = copy.deepcopy(document)
            place = broken
            for step in path[:-1]:
                place = place[step]
            del place[path[-1]]
            return broken

        for path in (
            *(("spdxVersion",), ("dataLicense",), ("SPDXID",), ("name",), ("documentNamespace",), ("creationInfo", "created")),
            *(("creationInfo", "creators"), ("packages",), ("relationships", 0), ("hasExtractedLicensingInfos", 0)),
            *(("packages", 1, field) for field in ("SPDXID", "name", "versionInfo", "downloadLocation", "filesAnalyzed")),
            *(("packages", 1, "licenseDeclared"), ("relationships", 3, "relatedSpdxElement")),
        ):
            with self.subTest(path):
                self.assertNotEqual(spdx.complaints(without(*path)), [])


class LicencesPageTest(unittest.TestCase):
    def test_every_dependency_of_cmake_has_a_row(self):
        named = set()
        for path in ROOT.rglob("CMakeLists.txt"):
            folder = path.relative_to(ROOT).parts
            if folder[0] not in ("build", ".waybill") and folder[:2] != ("tests", "package"):
                text = path.read_text("utf-8")
                named |= set(re.findall(r"^\s*find_package\((\S+?)[ )]", text, re.MULTILINE))
                named |= set(re.findall(r"pkg_check_modules\(\S+ REQUIRED IMPORTED_TARGET (\S+)\)", text))
        self.assertEqual(named - NO_LIBRARIES, set(DEPENDENCIES))

    def test_the_table_is_what_debian_says(self):
        rows = "| CMake's name | Debian package | how | licence |\n| --- | --- | --- | --- |\n"
        for name, (package, how) in sorted(DEPENDENCIES.items(), key=lambda row: row[0].lower()):
            licence = sbom.licence_of_package(package)
            if licence is not None:
                expression = licence.expression.replace("LicenseRef-debian-", "")
            elif package in IN_PROSE and (copyright := COPYRIGHTS / package / "copyright").exists():
                expression, phrase = IN_PROSE[package]
                self.assertIn(phrase, " ".join(copyright.read_text("utf-8").split()))
            else:
                self.skipTest(f"{package} is not installed, or says nothing that a machine reads")
            rows += f"| `{name}` | {package} | {how} | {expression} |\n"
        text = LICENCES.read_text("utf-8")
        begin, end = "<!-- dependencies:begin -->\n", "<!-- dependencies:end -->"
        before, rest = text.split(begin)
        printed, after = rest.split(end)
        if os.environ.get("WAYBILL_UPDATE_DOCS"):
            LICENCES.write_text(before + begin + rows + end + after, "utf-8")
        else:
            self.assertEqual(printed, rows, "WAYBILL_UPDATE_DOCS=1 writes it anew")

    def test_how_they_are_used_is_true(self):
        in_programs = {"linked": set(), "headers compiled in": set()}
        for program in ("waybill", "waybill-order", "waybill-ingest", "waybill-ledger", "waybill-realtime", "waybill-sandbox"):
            document = bill(program)
            of = {one["name"]: one.get("sourceInfo", "").split()[2:3] for one in document["packages"]}
            in_programs["linked"] |= {of[name][0] for name in spdx.related(document, "DYNAMIC_LINK")}
            in_programs["headers compiled in"] |= {of[name][0] for name in spdx.related(document, "STATIC_LINK")}
        in_programs["headers compiled in"] -= in_programs["linked"]  # by one program, and by another its headers alone
        source = {package.name: package.source for package in sbom.Dpkg().all()}
        for name, (package, how) in DEPENDENCIES.items():
            if package not in source:
                self.skipTest(f"{package} is not installed")
            with self.subTest(name):
                for used, sources in in_programs.items():
                    self.assertEqual(source[package] in sources, used == how, used)


if __name__ == "__main__":
    for tool in ("dpkg-query", "objdump", "ninja"):
        if shutil.which(tool) is None:
            print(f"skipped: no {tool}")
            sys.exit(77)
    done = unittest.main(argv=sys.argv[:1], exit=False).result
    for test, why in done.skipped:
        print(f"skipped: {test.id()}: {why}")
    sys.exit(1 if not done.wasSuccessful() else 77 if done.skipped else 0)
