"""Every program says which version and commit it is, and the commit is git's.

    version_test.py BUILD VERSION
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD, VERSION = pathlib.Path(sys.argv[1]), sys.argv[2]
PROGRAMS = ("waybill", "waybill-bench", "waybill-ingest", "waybill-ledger", "waybill-order", "waybill-race", "waybill-realtime", "waybill-sandbox")


class VersionTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def written(self, source, commit="", **options):
        """The commit that cmake/write_build.cmake finds for a source folder."""
        output = self.folder / "build.cc"
        arguments = [f"-DSOURCE={source}", f"-DCOMMIT={commit}", "-DVERSION=1.2.3", f"-DOUTPUT={output}"]
        subprocess.run(["cmake", *arguments, "-P", ROOT / "cmake/write_build.cmake"], check=True, capture_output=True, **options)
        return re.fullmatch(r'return \{"1\.2\.3", "(.*)"\};', output.read_text("utf-8").split("{ ")[1].split(" }")[0])[1]

    def git(self, *command):
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.invalid", "-c", "commit.gpgsign=false"]
        return subprocess.run(
            ["git", "-C", self.folder / "repository", *identity, *command], check=True, capture_output=True, text=True
        ).stdout.strip()

    def test_programs_agree(self):
        said = {}
        for program in PROGRAMS:
            line = subprocess.run([BUILD / "bin" / program, "--version"], check=True, capture_output=True, text=True).stdout
            match = re.fullmatch(rf"{program} {re.escape(VERSION)} \(commit ([0-9a-f]+(?:-dirty)?|unknown)\)\n", line)
            self.assertTrue(match, line)
            said[program] = match[1]
        self.assertEqual(len(set(said.values())), 1, said)

    @unittest.skipUnless(shutil.which("git"), "no git")
    def test_the_commit_is_that_of_git(self):
        repository = self.folder / "repository"
        repository.mkdir()
        self.git("init", "-q")
        (repository / "file").write_text("1", "utf-8")
        self.git("add", "file")
        self.git("commit", "-qm", "one")
        self.git("tag", "-a", "v9", "-m", "a tag changes nothing")
        commit = self.git("rev-parse", "HEAD")[:12]
        self.assertEqual(self.written(repository), commit)
        (repository / "file").write_text("2", "utf-8")
        self.assertEqual(self.written(repository), commit + "-dirty")
        # Unpacked in somebody else's repository, it is not of their commit.
        (repository / "archive").mkdir()
        self.assertEqual(self.written(repository / "archive"), "unknown")

    def test_outside_of_git_it_is_unknown_or_what_was_said(self):
        self.assertEqual(self.written(self.folder), "unknown")
        self.assertEqual(self.written(self.folder, "1a2b3c4d5e6f"), "1a2b3c4d5e6f")
        with self.assertRaises(subprocess.CalledProcessError):
            self.written(self.folder, '"; evil')

    def test_the_same_answer_leaves_the_source_alone(self):
        self.written(self.folder, "1a2b3c4d5e6f")
        before = (self.folder / "build.cc").stat().st_mtime_ns
        self.written(self.folder, "1a2b3c4d5e6f")
        self.assertEqual((self.folder / "build.cc").stat().st_mtime_ns, before)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
