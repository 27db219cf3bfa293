"""What the SPDX 2.3 standard requires of a document of packages, and what Waybill's promise besides."""

import re

KINDS = {"DESCRIBES", "DYNAMIC_LINK", "STATIC_LINK", "DEPENDS_ON", "BUILD_DEPENDENCY_OF"}
# Of SPDX's list, those that occur; a name that is on no list is a LicenseRef that the document explains.
LICENCES = set(
    "Apache-2.0 BSD-2-Clause BSD-3-Clause BSL-1.0 CC0-1.0 curl GPL-2.0-only GPL-2.0-or-later GPL-3.0-or-later ISC "
    "LGPL-2.0-or-later LGPL-2.1-only LGPL-2.1-or-later LGPL-3.0-or-later MIT MPL-2.0 PostgreSQL Zlib".split()
)


def complaints(document):
    wrong = []

    def need(holds, what):
        if not holds:
            wrong.append(what)

    def text(value):
        return isinstance(value, str) and value != ""

    need(document.get("spdxVersion") == "SPDX-2.3", "spdxVersion")
    need(document.get("dataLicense") == "CC0-1.0", "dataLicense")
    need(document.get("SPDXID") == "SPDXRef-DOCUMENT", "SPDXID")
    need(text(document.get("name")), "name")
    namespace = document.get("documentNamespace", "")
    need(re.fullmatch(r"https://[^#\s]+", namespace), "documentNamespace is a URI without a fragment")
    creation = document.get("creationInfo", {})
    need(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", creation.get("created", "")), "creationInfo.created")
    creators = creation.get("creators", [])
    need(creators and all(re.match(r"(Person|Organization|Tool): \S", one) for one in creators), "creationInfo.creators")

    explained = {one.get("licenseId") for one in document.get("hasExtractedLicensingInfos", [])}
    for one in document.get("hasExtractedLicensingInfos", []):
        need(re.fullmatch(r"LicenseRef-[A-Za-z0-9.-]+", one.get("licenseId", "")), f"licenseId {one.get('licenseId')}")
        need(text(one.get("extractedText")), f"extractedText of {one.get('licenseId')}")

    packages = document.get("packages", [])
    ids = [one.get("SPDXID", "") for one in packages]
    need(packages, "packages")
    need(len(set(ids)) == len(ids), "SPDXIDs are unique")
    for one in packages:
        name = one.get("name")
        need(text(name), "name of a package")
        need(re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", one.get("SPDXID", "")), f"SPDXID of {name}")
        need(text(one.get("versionInfo")), f"versionInfo of {name}")
        need(text(one.get("downloadLocation")), f"downloadLocation of {name}")
        # Without files there is no packageVerificationCode to give.
        need(one.get("filesAnalyzed") is False, f"filesAnalyzed of {name}")
        for field in ("licenseDeclared", "licenseConcluded"):
            words = one.get(field, "").split()
            need(words, f"{field} of {name}")
            for word in words:
                known = word in LICENCES | {"AND", "OR", "NOASSERTION"} or word in explained
                need(known, f"{field} of {name}: nobody explains {word}")
        for reference in one.get("externalRefs", []):
            need(reference.get("referenceCategory") == "PACKAGE-MANAGER", f"referenceCategory of {name}")
            need(reference.get("referenceType") == "purl", f"referenceType of {name}")
            purl = reference.get("referenceLocator", "")
            need(re.fullmatch(r"pkg:deb/debian/[a-z0-9.%B-]+@[A-Za-z0-9.%~-]+\?arch=[a-z0-9]+", purl), f"purl of {name}: {purl}")

    known = {"SPDXRef-DOCUMENT", *ids}
    relationships = document.get("relationships", [])
    for one in relationships:
        need(one.get("relationshipType") in KINDS, f"relationshipType {one.get('relationshipType')}")
        for end in ("spdxElementId", "relatedSpdxElement"):
            need(one.get(end) in known, f"{end} {one.get(end)}")
    described = [one for one in relationships if one.get("relationshipType") == "DESCRIBES"]
    need(len(described) == 1, "it describes one package")
    related = {one.get(end) for one in relationships for end in ("spdxElementId", "relatedSpdxElement")}
    need(set(ids) <= related, f"nobody says why these are there: {set(ids) - related}")
    return wrong


def related(document, kind):
    """Names of the packages in a relationship of that kind with the program."""
    names = {one["SPDXID"]: one["name"] for one in document["packages"]}
    program = next(one["relatedSpdxElement"] for one in document["relationships"] if one["relationshipType"] == "DESCRIBES")
    ends = ("spdxElementId", "relatedSpdxElement")
    return {
        names[one[end]] for one in document["relationships"] if one["relationshipType"] == kind for end in ends if one[end] != program
    }
