"""What stands in deploy/ and docker-compose.yml parses, agrees with itself, and names only metrics that the code has.

Exit code 77: skipped, as PyYAML (Debian: python3-yaml) is not there.
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

try:
    import yaml
except ImportError:
    print("skipped: no PyYAML")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
SERVICES = ("order", "ingest", "ledger", "realtime")  # each with a manifest, a dashboard, and a job that is scraped
METRIC = re.compile(r"\b((?:waybill|grpc|process)_[a-z_]+)\b")
SUFFIX = re.compile(r"_(bucket|sum|count)$")


def load(path):
    with open(path, encoding="utf-8") as file:
        return list(yaml.safe_load_all(file))


def alert_rules():
    return [rule for group in load(DEPLOY / "alerts.yml")[0]["groups"] for rule in group["rules"]]


def dashboard(service):
    return json.loads((DEPLOY / f"grafana/waybill-{service}.json").read_text(encoding="utf-8"))


def container(service):
    return load(DEPLOY / f"kubernetes/waybill-{service}.yaml")[0]["spec"]["template"]["spec"]["containers"][0]


def expressions():
    for rule in alert_rules():
        yield "alert " + rule["alert"], rule["expr"]
    for service in SERVICES:
        for panel in dashboard(service)["panels"]:
            for target in panel.get("targets", []):
                yield f"{service} panel " + panel["title"], target["expr"]


def metrics_in(expression):
    without_strings = re.sub(r'"[^"]*"', '""', expression)
    without_labels = re.sub(r"by \([^)]*\)", "", without_strings)
    without_labels = re.sub(r"\{[^}]*\}", "", without_labels)
    return set(METRIC.findall(without_labels))


def names_in_code():
    names = set()
    for folder in ("runtime", "saga", "storage", "edge", "services"):
        for path in (ROOT / folder).rglob("*.cc"):
            names |= set(re.findall(r'"((?:waybill|grpc|process)_[a-z_]+)"', path.read_text(encoding="utf-8")))
    return names


class DeployTest(unittest.TestCase):
    def test_every_yaml_parses(self):
        paths = [ROOT / "docker-compose.yml", *DEPLOY.rglob("*.yml"), *DEPLOY.rglob("*.yaml")]
        self.assertGreater(len(paths), 5)
        for path in paths:
            with self.subTest(path.name):
                self.assertTrue(all(document for document in load(path)))

    def test_alerts_say_what_and_how_bad(self):
        rules = alert_rules()
        self.assertEqual(len({rule["alert"] for rule in rules}), len(rules), "names are unique")
        for rule in rules:
            with self.subTest(rule["alert"]):
                self.assertIn(rule["labels"]["severity"], ("page", "ticket"))
                self.assertTrue(rule["annotations"]["summary"])
                self.assertTrue(rule["annotations"]["description"])

    def test_no_number_is_padded(self):
        # Prometheus 2.42 reads 0100 as 64 (findings/prometheus-reads-a-threshold-with-a-zero-in-front-as-octal.sh).
        for place, expression in expressions():
            with self.subTest(place):
                self.assertIsNone(re.search(r"(?<![\w.])0\d", re.sub(r'"[^"]*"', '""', expression)))

    def test_each_alert_leads_to_its_section_of_the_runbook(self):
        text = (ROOT / "docs/operations.md").read_text("utf-8")
        alerts = text.split("\n## Alerts\n")[1].split("\n## ")[0]
        sections = dict(re.findall(r"^### (\w+)\n\n(.*?)(?=\n### |\Z)", alerts, re.MULTILINE | re.DOTALL))
        self.assertEqual(set(sections), {rule["alert"] for rule in alert_rules()}, "neither more nor fewer")
        installed = {f"/usr/share/doc/waybill-{service}/operations.md" for service in SERVICES}
        self.assertIn("docs/operations.md", (ROOT / "cmake/packages.cmake").read_text("utf-8").split("set(service_docs ")[1].split(")")[0])
        for rule in alert_rules():
            with self.subTest(rule["alert"]):
                url = urllib.parse.urlsplit(rule["annotations"]["runbook_url"])
                self.assertEqual((url.scheme, url.fragment), ("file", rule["alert"].lower()))
                self.assertIn(url.path, installed)
                section = sections[rule["alert"]]
                self.assertTrue(section.startswith(f"*{rule['labels']['severity'].title()}.* "), section)
                # What to look at, or to do: a command, a metric, a setting, or where that is said.
                self.assertRegex(section, r"`[^`]+`|\]\(#|```")

    def test_dashboards_are_mounted_and_named(self):
        mounted = load(ROOT / "docker-compose.yml")[0]["services"]["grafana"]["volumes"]
        for service in SERVICES:
            file = f"waybill-{service}.json"
            self.assertIn(f"./deploy/grafana/{file}:/var/lib/grafana/dashboards/{file}:ro", mounted)
            self.assertEqual(dashboard(service)["uid"], f"waybill-{service}")
            jobs = [one for one in dashboard(service)["templating"]["list"] if one["name"] == "job"]
            self.assertEqual(jobs[0]["current"]["value"], f"waybill-{service}")

    def test_dashboard_panels_do_not_overlap(self):
        for service in SERVICES:
            with self.subTest(service):
                self.check_panels(dashboard(service)["panels"])

    def check_panels(self, panels):
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        taken = {}
        for panel in panels:
            at = panel["gridPos"]
            self.assertLessEqual(at["x"] + at["w"], 24)
            for x in range(at["x"], at["x"] + at["w"]):
                for y in range(at["y"], at["y"] + at["h"]):
                    self.assertNotIn((x, y), taken, panel["title"])
                    taken[x, y] = panel["title"]

    def test_metrics_named_here_exist_in_the_code(self):
        if not (ROOT / "services/order/main.cc").exists():
            self.skipTest("there is no order service yet")
        code = names_in_code()
        for where, expression in expressions():
            for name in metrics_in(expression):
                with self.subTest(where):
                    self.assertTrue(name in code or SUFFIX.sub("", name) in code, name)

    def test_images_and_ports_agree(self):
        compose = load(ROOT / "docker-compose.yml")[0]["services"]
        dockerfile = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
        targets = set(re.findall(r"^FROM \S+ AS (\S+)", dockerfile, re.MULTILINE))
        self.assertIn("-e", compose["redis"]["healthcheck"]["test"], "a refused ping would count as healthy")
        for name, service in compose.items():
            if "build" in service:
                self.assertIn(service["build"]["target"], targets, name)
                self.assertTrue((ROOT / service["build"]["dockerfile"]).exists(), name)
            for dependency, until in service.get("depends_on", {}).items():
                if until["condition"] == "service_completed_successfully":
                    self.assertNotIn("restart", compose[dependency], dependency)
                else:
                    self.assertEqual(until["condition"], "service_healthy", dependency)
                    self.assertIn("healthcheck", compose[dependency], dependency)
            for port in service.get("ports", []):
                self.assertTrue(port.startswith("127.0.0.1:"), f"{name} publishes {port} to the world")
        made = dockerfile.split("FROM debian:12-slim")[0]
        self.assertIn("deploy/debian/sbom.py build/release build/release/bin/$program /out/$program/share/doc/$program/sbom.spdx.json", made)
        for target in targets - {"builder", "runtime"}:
            self.assertIn(f"COPY --from=builder /out/{target}/ /usr/local/\n", dockerfile, "a program with what it is made of")
            self.assertRegex(made, rf"for program in [^;]*\b{target}\b[^;]*;", target)
        scraped = {
            job["job_name"]: job["static_configs"][0]["targets"] for job in load(DEPLOY / "prometheus.yml")[0]["scrape_configs"]
        }
        self.assertEqual(set(scraped), {f"waybill-{service}" for service in SERVICES})
        for service in SERVICES:
            with self.subTest(service):
                name = f"waybill-{service}"
                pod = container(service)
                served, side = (port["containerPort"] for port in pod["ports"])
                self.assertEqual([port["name"] for port in pod["ports"]], ["apps" if service == "realtime" else "grpc", "side"])
                stage = dockerfile.split(f"FROM runtime AS {name}\n")[1].split("FROM ")[0]
                self.assertEqual(re.findall(r"^EXPOSE (.*)$", stage, re.MULTILINE), [f"{served} {side}"])
                # Clusters have either family: [::] takes both.
                for host, arguments in (("[::]", pod["args"]), ("0.0.0.0", compose[name]["command"])):
                    self.assertIn(f"--listen={host}:{served}", arguments)
                    self.assertIn(f"--side-listen={host}:{side}", arguments)
                published = [f"127.0.0.1:{port}:{port}" for port in (served, side)]
                self.assertEqual(compose[name]["ports"], published)
                self.assertIn(f"http://127.0.0.1:{side}/readyz", compose[name]["healthcheck"]["test"])
                self.assertEqual(scraped[name], [f"{name}:{side}"])

    def test_the_image_of_realtime_has_a_key_of_its_own(self):
        compose = load(ROOT / "docker-compose.yml")[0]["services"]
        realtime, keys = compose["waybill-realtime"], compose["waybill-realtime-keys"]
        stage = (DEPLOY / "Dockerfile").read_text("utf-8").split("FROM runtime AS waybill-realtime\n")[1].split("FROM ")[0]
        self.assertEqual(json.loads(re.search(r"CMD (\[.*\])", stage).group(1)), ["--listen", "0.0.0.0:50055", "--side-listen", "0.0.0.0:9467", "--expose-plain"])
        for argument in ("--expose-plain", "--token-keys-file=/var/lib/waybill/keys.toml"):
            self.assertIn(argument, realtime["command"])
        # Made where it is read, once, and for nobody else's eyes; the service waits for it, and for who migrates.
        self.assertEqual(keys["volumes"], realtime["volumes"])
        self.assertEqual(set(realtime["depends_on"]), {"waybill-realtime-keys", "waybill-order"})
        shell, flag, script, name = keys["entrypoint"]
        self.assertEqual((shell, flag), ("sh", "-c"))
        with tempfile.TemporaryDirectory() as folder:
            program = pathlib.Path(folder) / "waybill"
            program.write_text('#!/bin/sh\necho "$*"\n', "utf-8")
            program.chmod(0o755)
            file = pathlib.Path(folder) / "keys.toml"
            script = script.replace("$$", "$").replace("/var/lib/waybill/keys.toml", str(file))

            def run(*arguments):
                environment = {"PATH": f"{folder}:{os.environ['PATH']}"}
                return subprocess.run([shell, flag, script, name, *arguments], env=environment, check=True, capture_output=True, text=True).stdout

            self.assertEqual(run(), "")
            self.assertEqual(file.read_text("utf-8"), "token make-key --id compose\n")
            self.assertEqual(file.stat().st_mode & 0o777, 0o600)
            file.write_text("kept\n", "utf-8")
            self.assertEqual(run("token", "issue", "--topic", "order:*"), "token issue --topic order:*\n")
            self.assertEqual(file.read_text("utf-8"), "kept\n")

    def test_prometheus_and_grafana_find_what_is_provisioned(self):
        compose = load(ROOT / "docker-compose.yml")[0]["services"]
        mounted = {}
        for name in ("prometheus", "grafana"):
            self.assertEqual(compose[name]["profiles"], ["observability"])
            for volume in compose[name]["volumes"]:
                here, there, mode = volume.split(":")
                self.assertTrue((ROOT / here).exists(), here)
                self.assertEqual(mode, "ro", volume)
                mounted[name, there] = ROOT / here
        for rules in load(DEPLOY / "prometheus.yml")[0]["rule_files"]:
            self.assertEqual(mounted["prometheus", f"/etc/prometheus/{rules}"], DEPLOY / rules)
        provisioning = mounted["grafana", "/etc/grafana/provisioning"]
        (source,) = load(provisioning / "datasources/prometheus.yml")[0]["datasources"]
        url = urllib.parse.urlsplit(source["url"])
        self.assertIn(f"127.0.0.1:{url.port}:{url.port}", compose[url.hostname]["ports"])
        (provider,) = load(provisioning / "dashboards/waybill.yml")[0]["providers"]
        for service in SERVICES:
            with self.subTest(service):
                self.assertIn(("grafana", f"{provider['options']['path']}/waybill-{service}.json"), mounted)
                choices = [one for one in dashboard(service)["templating"]["list"] if one["name"] == "datasource"]
                self.assertEqual(choices[0]["current"], {"text": source["name"], "value": source["uid"]})

    def test_a_job_of_its_own_migrates(self):
        job = load(DEPLOY / "kubernetes/waybill-migrate.yaml")[0]
        self.assertEqual(job["kind"], "Job")
        (migrate,) = job["spec"]["template"]["spec"]["containers"]
        self.assertEqual(migrate["args"], ["migrate"])
        image, version = migrate["image"].split(":")
        self.assertIn(f"FROM runtime AS {image}\n", (DEPLOY / "Dockerfile").read_text("utf-8"))
        self.assertTrue(job["metadata"]["name"].endswith(version), "a Job is immutable: one for each version")
        self.assertEqual(migrate["envFrom"], container("order")["envFrom"])
        for service in SERVICES:
            with self.subTest(service):
                # An older binary refuses to migrate a newer schema: with the flag, a rollout could not be undone.
                self.assertNotIn("--migrate", container(service)["args"])
                self.assertEqual(container(service)["image"], f"waybill-{service}:{version}")

    def test_what_is_open_and_plain_is_so_in_so_many_words(self):
        compose = load(ROOT / "docker-compose.yml")[0]["services"]
        for service in SERVICES:
            for arguments in (compose[f"waybill-{service}"]["command"], container(service)["args"]):
                if service == "realtime":  # whose callers have tokens, always
                    self.assertIn("--expose-plain", arguments)
                    continue
                self.assertIn("--expose-plain=grpc,side", arguments, service)
                self.assertIn("--identity=open", arguments, service)

    def test_flags_are_those_of_the_binaries(self):
        compose = load(ROOT / "docker-compose.yml")[0]["services"]
        commands = [(service, compose[f"waybill-{service}"]["command"]) for service in SERVICES]
        commands += [(service, container(service)["args"]) for service in SERVICES]
        stages = re.findall(r'ENTRYPOINT \["waybill-(\w+)"\]\nCMD (\[.*\])', (DEPLOY / "Dockerfile").read_text("utf-8"))
        self.assertEqual({name for name, _ in stages}, {*SERVICES, "sandbox"})
        commands += [(name, [word for word in json.loads(words) if word.startswith("--")]) for name, words in stages]
        for service, arguments in commands:
            main = ROOT / "services" / service / "main.cc"
            if not main.exists():
                self.skipTest(f"there is no {service} service yet")
            files = [*main.parent.glob("*.cc"), *(ROOT / "services/process").glob("*.cc")]
            sources = "".join(path.read_text(encoding="utf-8") for path in files)
            for argument in arguments:
                with self.subTest(f"{service} {argument}"):
                    self.assertIn(argument.split("=")[0], sources)

    def test_promtool_agrees(self):
        promtool = shutil.which("promtool")
        if promtool is None:
            self.skipTest("no promtool (Debian: prometheus)")
        for arguments in (["check", "config", "prometheus.yml"], ["test", "rules", "alerts_test.yml"]):
            subprocess.run([promtool, *arguments], cwd=DEPLOY, check=True, capture_output=True)

    def test_rule_tests_are_about_alerts_that_there_are(self):
        # promtool 2.42 takes a test of an alert that no rule has, and of no rules at all, for passed.
        rules = (DEPLOY / "alerts.yml").read_text()
        tests = (DEPLOY / "alerts_test.yml").read_text()
        there = set(re.findall(r"- alert: (\w+)", rules))
        tested = set(re.findall(r"alertname: (\w+)", tests)) | set(re.findall(r'alertname="(\w+)"', tests))
        self.assertEqual(there, tested)
        self.assertIn("alerts.yml", re.search(r"rule_files:(.*(?:\n\s*-.*)*)", tests).group(1))

    def test_compose_agrees(self):
        commands = (["docker", "compose"], ["docker-compose"])
        for command in commands:
            if shutil.which(command[0]) and subprocess.run([*command, "version"], capture_output=True).returncode == 0:
                subprocess.run([*command, "config", "-q"], cwd=ROOT, check=True, capture_output=True)
                return
        self.skipTest("no docker compose")


if __name__ == "__main__":
    unittest.main()
