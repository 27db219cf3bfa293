"""The Debian packages: made, looked into, and installed, run, upgraded, removed and purged.

    WAYBILL_TEST_DATABASE_URL=URL packages_test.py BUILD

The second half happens on a copy of this machine's own file system (an overlay in a mount namespace), so that nothing of it
stays. It needs root and such mounts, and says so where it is skipped. The service that it starts is as the unit would have it,
without systemd, on a database of its own at that URL.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import urllib.parse
import urllib.request

sys.path.append(str(pathlib.Path(__file__).parent))
sys.dont_write_bytecode = True

import spdx  # noqa: E402

BUILD = pathlib.Path(sys.argv[1])
DATABASE_URL = os.environ.get("WAYBILL_TEST_DATABASE_URL", "")
PACKAGES = ("waybill", "waybill-ingest", "waybill-ledger", "waybill-order", "waybill-realtime", "waybill-sandbox")
SERVICES = ("order", "ingest", "ledger", "realtime")
EXPOSURE_MAX = 15  # tenths, by systemd-analyze security: 1.3 here; 9.6 without any hardening


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


# What is done inside of the copy, by a shell, as root. $1 is where the packages are, $2 the database.
INSIDE = r"""
set -eu
export DEBIAN_FRONTEND=noninteractive
packages=$1 database=$2
# A systemd that notes what it is told, and fails: that must not stand in dpkg's way.
mkdir -p /run/systemd/system
for tool in systemctl deb-systemd-invoke; do
  printf '#!/bin/sh\necho "%s $*" >>/tmp/told\nexit 1\n' $tool >/usr/bin/$tool
done
dpkg -i "$packages"/waybill_* "$packages"/waybill-order_* "$packages"/waybill-ingest_* "$packages"/waybill-ledger_* "$packages"/waybill-realtime_* \
  "$packages"/waybill-sandbox_*
if grep restart /tmp/told; then exit 1; fi
waybill --help >/dev/null
for program in waybill waybill-order waybill-ingest waybill-ledger waybill-realtime waybill-sandbox; do
  $program --version | grep -q '(commit '
  test -s /usr/share/doc/$program/sbom.spdx.json
done
test "$(stat -c '%U:%G %a' /etc/waybill/order.env)" = "root:waybill 640"
as_waybill() { setpriv --reuid=waybill --regid=waybill --clear-groups "$@"; }
as_waybill waybill-order --config /etc/waybill/order.toml --print-config >/dev/null
as_waybill waybill-ingest --config /etc/waybill/ingest.toml --print-config >/dev/null
as_waybill waybill-ledger --config /etc/waybill/ledger.toml --print-config >/dev/null
# Without its key it says so. The key is made as its settings say.
if as_waybill waybill-realtime --config /etc/waybill/realtime.toml --print-config 2>/tmp/said; then exit 1; fi
grep -q 'token-keys-file: /etc/waybill/realtime-keys.toml: No such file or directory' /tmp/said
sed -n 's/^#   \(install\|waybill token\) /\1 /p' /etc/waybill/realtime.toml >/tmp/make-key
test "$(wc -l </tmp/make-key)" = 2
sh -eu /tmp/make-key
as_waybill waybill-realtime --config /etc/waybill/realtime.toml --print-config >/dev/null
rm /etc/waybill/realtime-keys.toml
if command -v systemd-analyze >/dev/null; then
  # It complains, and is content with itself all the same.
  systemd-analyze verify /lib/systemd/system/waybill-order.service /lib/systemd/system/waybill-ingest.service \
    /lib/systemd/system/waybill-ledger.service /lib/systemd/system/waybill-realtime.service 2>/tmp/said
  if grep waybill /tmp/said; then exit 1; fi
fi

# As the unit starts it; ports that are free, since this is nobody's machine alone.
sed -i 's/^\(side-\|\)listen = .*/\1listen = "127.0.0.1:0"/' /etc/waybill/order.toml
serve() {
  rm -f /tmp/ports
  # No shell function: of one in the background the shell knows another process than the service's.
  DATABASE_URL=$database REDIS_URL=redis://127.0.0.1:1/0 WAYBILL_ORDER_PORT_FILE=/tmp/ports WAYBILL_MIGRATE=true \
    setpriv --reuid=waybill --regid=waybill --clear-groups \
    /usr/bin/waybill-order --config /etc/waybill/order.toml 2>/tmp/log &
  service=$!
  for i in $(seq 600); do
    side=$(sed -n 's/^side=//p' /tmp/ports 2>/dev/null || true)
    if python3 -c "import urllib.request as r; r.urlopen('http://127.0.0.1:$side/readyz')" 2>/dev/null; then break; fi
    kill -0 $service || { cat /tmp/log; exit 1; }
    sleep 0.05
  done
  test "$i" -lt 600
  kill -TERM $service
  wait $service
}
serve
grep -q '"serving"' /tmp/log

# An upgrade keeps what was changed in /etc, and what is gone, and restarts what runs.
rm /etc/waybill/ingest.env
chmod 600 /etc/waybill/order.env
echo 'log-level = "error"' | sed -i '/^log-level/d; $r /dev/stdin' /etc/waybill/order.toml
dpkg -i "$packages"/newer/*.deb
test ! -e /etc/waybill/ingest.env
test "$(stat -c %a /etc/waybill/order.env)" = 600
grep -q 'deb-systemd-invoke try-restart waybill-order.service' /tmp/told
test "$(dpkg-query -W -f '${Version}' waybill-order)" = 99.0
grep -q 'log-level = "error"' /etc/waybill/order.toml
serve
if grep -q '"serving"' /tmp/log; then exit 1; fi

dpkg -r waybill-order waybill-ingest waybill-ledger waybill-realtime waybill waybill-sandbox
grep -q 'deb-systemd-invoke stop waybill-order.service' /tmp/told
grep -q 'systemctl disable waybill-order.service' /tmp/told
test ! -e /usr/bin/waybill-order
test -e /etc/waybill/order.toml
dpkg -P waybill-order waybill-ingest waybill-ledger waybill-realtime waybill waybill-sandbox
test ! -e /etc/waybill
"""

OVERLAY = r"""
set -eu
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
mount --bind /dev "$1/root/dev"
mount -t tmpfs tmpfs "$1/root/tmp"
mkdir "$1/root/packages"
mount --bind "$2" "$1/root/packages"
chroot "$1/root" sh -c "command -v dpkg-query setpriv python3 >/dev/null"
"""


class PackagesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp())
        run("cpack", "-G", "DEB", "-B", cls.folder, "--config", BUILD / "CPackConfig.cmake", cwd=BUILD)
        shutil.rmtree(cls.folder / "_CPack_Packages")
        cls.packages = {path.name.split("_")[0]: path for path in cls.folder.glob("*.deb")}

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def test_each_has_what_it_is_for(self):
        self.assertEqual(tuple(sorted(self.packages)), PACKAGES)
        for name, path in self.packages.items():
            with self.subTest(name):
                self.assertRegex(run("dpkg-deb", "-f", path, "Depends"), "libpq5" if name == "waybill-realtime" else r"libgrpc\+\+")
                files = run("dpkg-deb", "-c", path)
                self.assertIn(f"./usr/bin/{name}\n", files)
                self.assertIn(f"./usr/share/doc/{name}/copyright\n", files)
                self.assertNotIn("/usr/local", files)
        for service in SERVICES:
            with self.subTest(service):
                files = run("dpkg-deb", "-c", self.packages[f"waybill-{service}"])
                self.assertIn(f"./lib/systemd/system/waybill-{service}.service\n", files)
                self.assertRegex(files, rf"-rw------- .* \./etc/waybill/{service}\.env\n")
                conffiles = run("dpkg-deb", "-I", self.packages[f"waybill-{service}"], "conffiles")
                self.assertEqual(conffiles.split(), [f"/etc/waybill/{service}.toml", f"/etc/waybill/{service}.env"])

    @staticmethod
    def providers():
        """{name of a virtual package: the one that is installed}"""
        found = {}
        for line in run("dpkg-query", "-W", "-f", r"${Package}\t${Provides}\n").splitlines():
            package, _, provides = line.partition("\t")
            found.update({one.split()[0]: package for one in provides.split(", ") if one})
        return found

    def test_each_has_a_bill_of_materials_that_names_what_it_depends_on(self):
        for name, path in self.packages.items():
            with self.subTest(name):
                document = json.loads(run("sh", "-c", f"dpkg-deb --fsys-tarfile {path} | tar -xO ./usr/share/doc/{name}/sbom.spdx.json"))
                self.assertEqual(spdx.complaints(document), [])
                described = document["packages"][0]
                self.assertEqual((described["name"], described["versionInfo"]), (name, run("dpkg-deb", "-f", path, "Version").strip()))
                said = run(BUILD / "bin" / name, "--version")
                self.assertEqual(said, f"{name} {described['versionInfo']} ({described['sourceInfo']})\n")
                # What dpkg-shlibdeps found by its own means.
                depends = {one.split()[0] for one in run("dpkg-deb", "-f", path, "Depends").split(", ")} - {"adduser"}
                self.assertGreater(len(depends), 5)
                depends = {self.providers().get(one, one) for one in depends}
                self.assertLessEqual(depends, spdx.related(document, "DYNAMIC_LINK"))

    def test_units_are_exposed_to_little(self):
        if shutil.which("systemd-analyze") is None:
            self.skipTest("no systemd-analyze (Debian: systemd)")
        for service in SERVICES:
            with self.subTest(service):
                unit = BUILD / f"debian/{service}/waybill-{service}.service"
                run("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MAX}", unit)

    def test_are_installed_run_upgraded_removed_and_purged(self):
        if not DATABASE_URL:
            self.skipTest("no WAYBILL_TEST_DATABASE_URL: ./dev test sets it")
        copy = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, copy)
        can = subprocess.run(["unshare", "-m", "sh", "-c", OVERLAY, "sh", copy, self.folder], capture_output=True, text=True)
        if can.returncode != 0:
            self.skipTest(f"no overlay of / in a mount namespace: {can.stderr.strip()}")
        newer = self.folder / "newer"
        newer.mkdir()
        for service in SERVICES:
            tree = self.folder / "tree"
            run("dpkg-deb", "-R", self.packages[f"waybill-{service}"], tree)
            control = tree / "DEBIAN/control"
            control.write_text(re.sub(r"^Version: .*", "Version: 99.0", control.read_text("utf-8"), flags=re.MULTILINE), "utf-8")
            run("dpkg-deb", "-b", tree, newer / f"waybill-{service}_99.0.deb")
            shutil.rmtree(tree)

        database = f"waybill_packages_{os.getpid()}"
        run("psql", "-qXd", DATABASE_URL, "-c", f"CREATE DATABASE {database}")
        self.addCleanup(run, "psql", "-qXd", DATABASE_URL, "-c", f"DROP DATABASE {database} WITH (FORCE)")
        url = urllib.parse.urlsplit(DATABASE_URL)._replace(path="/" + database).geturl()
        inside = OVERLAY + 'exec chroot "$1/root" sh -c "$3" sh /packages "$4"'
        run("unshare", "-m", "--pid", "--fork", "--kill-child", "sh", "-c", inside, "sh", copy, self.folder, INSIDE, url)


if __name__ == "__main__":
    done = unittest.main(argv=sys.argv[:1], exit=False).result
    for test, why in done.skipped:
        print(f"skipped: {test.id()}: {why}")
    sys.exit(1 if not done.wasSuccessful() else 77 if done.skipped else 0)
