"""The manifests in deploy/kubernetes are of the kinds they say, and agree with each other and with the services.

Debian packages no schema of Kubernetes; what is used of it is written down here, and a field that is not is a mistake.
Exit code 77: skipped, as PyYAML (Debian: python3-yaml) is not there.
"""

import copy
import functools
import pathlib
import re
import sys
import unittest

try:
    import yaml
except ImportError:
    print("skipped: no PyYAML")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parents[2]
WATCHDOG_S = 10  # StopWatchdog in services/*/main.cc: a stop that hangs is ended this long after the drain

# A field behind ! is required. [x]: a list of x, not empty. dict: any names, with strings.
LABELS = dict
SELECTOR = {"!matchLabels": LABELS}
META = {"!name": str, "labels": LABELS}
PROBE = {
    **{"httpGet": {"!path": str, "!port": (str, int)}, "grpc": {"!port": int}, "tcpSocket": {"!port": (str, int)}},
    **{"!periodSeconds": int, "timeoutSeconds": int, "!failureThreshold": int},
}
CONTAINER = {
    **{"!name": str, "!image": str, "args": [str], "envFrom": [{"!secretRef": {"!name": str}}]},
    "ports": [{"!name": str, "!containerPort": int}],
    "volumeMounts": [{"!name": str, "!mountPath": str, "readOnly": bool}],
    **{"startupProbe": PROBE, "livenessProbe": PROBE, "readinessProbe": PROBE},
    "lifecycle": {"!preStop": {"!exec": {"!command": [str]}}},
    "!resources": {"!requests": {"!cpu": str, "!memory": str}, "!limits": {"!memory": str}},
    "!securityContext": {
        **{"!allowPrivilegeEscalation": bool, "!readOnlyRootFilesystem": bool, "!capabilities": {"!drop": [str]}},
    },
}
POD = {
    **{"!automountServiceAccountToken": bool, "terminationGracePeriodSeconds": int, "restartPolicy": str},
    "!securityContext": {"!runAsNonRoot": bool, "!runAsUser": int, "!runAsGroup": int, "fsGroup": int, "!seccompProfile": {"!type": str}},
    "volumes": [{"!name": str, "!secret": {"!secretName": str, "defaultMode": int}}],
    "topologySpreadConstraints": [{"!maxSkew": int, "!topologyKey": str, "!whenUnsatisfiable": str, "!labelSelector": SELECTOR}],
    "!containers": [CONTAINER],
}
TEMPLATE = {"!metadata": {"!labels": LABELS, "annotations": dict}, "!spec": POD}
PEER = {"podSelector": SELECTOR, "namespaceSelector": SELECTOR, "ipBlock": {"!cidr": str, "except": [str]}}
RULE_PORTS = [{"!port": (str, int), "protocol": str}]
KINDS = {
    ("apps/v1", "Deployment"): {
        **{"replicas": int, "!selector": SELECTOR, "!template": TEMPLATE},
        "strategy": {"!rollingUpdate": {"!maxUnavailable": int, "!maxSurge": int}},
    },
    ("v1", "Service"): {
        **{"clusterIP": str, "!selector": LABELS},
        "!ports": [{"!name": str, "!port": int, "!targetPort": (str, int), "appProtocol": str}],
    },
    ("policy/v1", "PodDisruptionBudget"): {"!minAvailable": int, "!selector": SELECTOR},
    ("batch/v1", "Job"): {"!backoffLimit": int, "ttlSecondsAfterFinished": int, "!template": TEMPLATE},
    ("autoscaling/v2", "HorizontalPodAutoscaler"): {
        "!scaleTargetRef": {"!apiVersion": str, "!kind": str, "!name": str},
        **{"!minReplicas": int, "!maxReplicas": int},
        "!metrics": [{"!type": str, "!resource": {"!name": str, "!target": {"!type": str, "!averageUtilization": int}}}],
        "behavior": {
            "!scaleDown": {"!stabilizationWindowSeconds": int, "!policies": [{"!type": str, "!value": int, "!periodSeconds": int}]}
        },
    },
    ("networking.k8s.io/v1", "NetworkPolicy"): {
        **{"!podSelector": SELECTOR, "!policyTypes": [str]},
        "ingress": [{"!from": [PEER], "!ports": RULE_PORTS}],
        "egress": [{"to": [PEER], "!ports": RULE_PORTS}],
    },
}


def misfits(value, schema, where):
    """What of `value` is not as `schema` has it."""
    if isinstance(schema, list):
        if not isinstance(value, list) or not value:
            return [f"{where} is a list"]
        return [what for n, one in enumerate(value) for what in misfits(one, schema[0], f"{where}[{n}]")]
    if isinstance(schema, dict):
        if not isinstance(value, dict):
            return [f"{where} has fields"]
        fields = {name.lstrip("!"): one for name, one in schema.items()}
        found = [f"{where}.{name} is missing" for name in schema if name[0] == "!" and name[1:] not in value]
        found += [f"{where} has no field {name}" for name in value if name not in fields]
        return found + [w for name in value if name in fields for w in misfits(value[name], fields[name], f"{where}.{name}")]
    if schema is dict:
        texts = isinstance(value, dict) and all(isinstance(one, str) for pair in value.items() for one in pair)
        return [] if texts else [f"{where} is a map of texts"]
    right = isinstance(value, schema) and (not isinstance(value, bool) or schema is bool)
    return [] if right else [f"{where} is {value!r}"]


def of_kind(manifests, kind):
    return [one for one in manifests if one["kind"] == kind]


def selects(selector, labels):
    return set(selector.items()) <= set(labels.items())


def drain_s(service):
    """The default of --drain, as docs/configuration.md has it, which is printed from the binary."""
    text = (ROOT / "docs/configuration.md").read_text("utf-8")
    return int(re.search(rf"\| `drain` \| `WAYBILL_{service.upper()}_DRAIN` \| duration \| (\d+)s \|", text)[1])


def complaints(manifests):
    wrong = []
    for one in manifests:
        kind = (one.get("apiVersion"), one.get("kind"))
        if kind not in KINDS:
            wrong.append(f"there is no {kind}")
        else:
            wrong += misfits(one, {"!apiVersion": str, "!kind": str, "!metadata": META, "!spec": KINDS[kind]}, one["kind"])
    if wrong:
        return wrong  # what follows relies on it

    names = [(one["kind"], one["metadata"]["name"]) for one in manifests]
    wrong += [f"{name} is there twice" for name in set(names) if names.count(name) > 1]
    workloads = of_kind(manifests, "Deployment") + of_kind(manifests, "Job")
    templates = {one["metadata"]["name"]: one["spec"]["template"] for one in workloads}
    budgets, scalers = of_kind(manifests, "PodDisruptionBudget"), of_kind(manifests, "HorizontalPodAutoscaler")

    def chosen(selector):
        return [name for name, template in templates.items() if selects(selector, template["metadata"]["labels"])]

    def port_names(name):
        return {port["name"]: port["containerPort"] for port in templates[name]["spec"]["containers"][0].get("ports", [])}

    for name, template in templates.items():
        pod, container = template["spec"], template["spec"]["containers"][0]
        ports, args = port_names(name), container.get("args", [])
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            for how in ("httpGet", "grpc", "tcpSocket"):
                port = container.get(probe, {}).get(how, {}).get("port")
                if port is not None and port not in ports and port not in ports.values():
                    wrong.append(f"{name}: {probe} asks the port {port}, which is not there")
        for port, flag in (("grpc", "--listen"), ("apps", "--listen"), ("side", "--side-listen")):
            if port in ports and f"{flag}=[::]:{ports[port]}" not in args:
                wrong.append(f"{name}: it does not listen on its port {port}")
        mounts = container.get("volumeMounts", [])
        if sorted(mount["name"] for mount in mounts) != sorted(volume["name"] for volume in pod.get("volumes", [])):
            wrong.append(f"{name}: its volumes are not those that it mounts")
        for arg in args:
            file = re.search(r"-file=(/.*)$", arg)
            if file and not any(file[1].startswith(f"{mount['mountPath']}/") for mount in mounts):
                wrong.append(f"{name}: {file[1]} is on no volume")
        if not pod["securityContext"]["runAsNonRoot"] or container["securityContext"]["allowPrivilegeEscalation"]:
            wrong.append(f"{name}: it may become root")
        if container["securityContext"]["capabilities"]["drop"] != ["ALL"] or not container["securityContext"]["readOnlyRootFilesystem"]:
            wrong.append(f"{name}: it may do more than it needs")
        policies = [p for p in of_kind(manifests, "NetworkPolicy") if name in chosen(p["spec"]["podSelector"]["matchLabels"])]
        if {kind for policy in policies for kind in policy["spec"]["policyTypes"]} != {"Ingress", "Egress"}:
            wrong.append(f"{name}: no policy says whom it may talk to, and who to it")
        scraped = template["metadata"].get("annotations", {}).get("prometheus.io/port")
        if scraped is not None and scraped != str(ports.get("side")):
            wrong.append(f"{name}: it is scraped at {scraped}, which is not its side port")

    for one in of_kind(manifests, "Deployment"):
        name, spec = one["metadata"]["name"], one["spec"]
        pod, container = spec["template"]["spec"], spec["template"]["spec"]["containers"][0]
        if chosen(spec["selector"]["matchLabels"]) != [name]:
            wrong.append(f"{name}: its selector selects {chosen(spec['selector']['matchLabels'])}")
        for spread in pod.get("topologySpreadConstraints", []):
            if chosen(spread["labelSelector"]["matchLabels"]) != [name]:
                wrong.append(f"{name}: it is spread among other pods")
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if probe not in container:
                wrong.append(f"{name}: it has no {probe}")
        needed = int(container["lifecycle"]["preStop"]["exec"]["command"][1]) if "lifecycle" in container else 0
        needed += drain_s(name.removeprefix("waybill-")) + WATCHDOG_S
        if pod.get("terminationGracePeriodSeconds", 30) <= needed:
            wrong.append(f"{name}: it is killed while it drains, which takes up to {needed} s")
        mine = [s for s in scalers if s["spec"]["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}]
        if len(mine) != 1 or "replicas" in spec:
            wrong.append(f"{name}: one autoscaler, and nothing else, says how many there are")
        fewest = min((s["spec"]["minReplicas"] for s in mine), default=1)
        of_it = [b for b in budgets if chosen(b["spec"]["selector"]["matchLabels"]) == [name]]
        if len(of_it) != 1 or not 0 < of_it[0]["spec"]["minAvailable"] < fewest:
            wrong.append(f"{name}: no budget leaves some of {fewest} pods and lets one go")

    for one in scalers:
        if one["spec"]["scaleTargetRef"]["name"] not in templates:
            wrong.append(f"{one['metadata']['name']}: it scales nothing")
        if one["spec"]["minReplicas"] >= one["spec"]["maxReplicas"]:
            wrong.append(f"{one['metadata']['name']}: it has no room")
    for one in of_kind(manifests, "Service"):
        name = one["metadata"]["name"]
        if chosen(one["spec"]["selector"]) != [name]:
            wrong.append(f"service {name}: it leads to {chosen(one['spec']['selector'])}")
        else:
            ports = port_names(name)
            wrong += [f"service {name}: nobody has the port {port['targetPort']}" for port in one["spec"]["ports"]
                      if ports.get(port["targetPort"]) != port["port"]]
    for one in of_kind(manifests, "NetworkPolicy"):
        name, spec = one["metadata"]["name"], one["spec"]
        pods = chosen(spec["podSelector"]["matchLabels"])
        if len(pods) != 1:
            wrong.append(f"policy {name}: it is of {pods}")
            continue
        reachable = {port["port"] for rule in spec.get("ingress", []) for port in rule["ports"]}
        if reachable != set(port_names(pods[0])):
            wrong.append(f"policy {name}: it lets to {sorted(map(str, reachable))}, and the pod has {sorted(port_names(pods[0]))}")
        outward = {port["port"] for rule in spec.get("egress", []) for port in rule["ports"]}
        called = {int(port) for arg in templates[pods[0]]["spec"]["containers"][0].get("args", [])
                  for port in re.findall(r"=grpc://[^:]+:(\d+)$", arg)}
        if not called | {53, 5432} <= outward:
            wrong.append(f"policy {name}: it needs {called | {53, 5432}}")
    return wrong


@functools.cache
def stored():
    return [one for path in sorted((ROOT / "deploy/kubernetes").glob("*.yaml")) for one in yaml.safe_load_all(path.read_text("utf-8"))]


def manifests():
    return copy.deepcopy(stored())


class KubernetesTest(unittest.TestCase):
    def test_manifests_agree(self):
        self.assertEqual(complaints(manifests()), [])
        kinds = [one["kind"] for one in manifests()]
        self.assertEqual({kind: kinds.count(kind) for kind in set(kinds)}, {
            "Deployment": 4, "Service": 4, "PodDisruptionBudget": 4, "HorizontalPodAutoscaler": 4, "NetworkPolicy": 5, "Job": 1,
        })

    def test_the_check_notices_mistakes(self):
        pod = ("Deployment", "spec", "template", "spec")
        container = (*pod, "containers", 0)
        for path, value in (
            (("Deployment", "apiVersion"), "apps/v2"),
            (("Deployment", "spec", "replica"), 2),
            (("Deployment", "spec", "replicas"), 2),
            (("Deployment", "spec", "selector", "matchLabels"), {"app.kubernetes.io/name": "waybill-ordre"}),
            ((*pod, "terminationGracePeriodSeconds"), 20),
            ((*pod, "terminationGracePeriodSeconds"), "45"),
            ((*pod, "securityContext", "runAsNonRoot"), False),
            ((*container, "ports", 0, "containerPort"), 50050),
            ((*container, "readinessProbe", "grpc", "port"), 1),
            ((*container, "livenessProbe", "httpGet", "port"), "sid"),
            ((*container, "livenessProbe"), None),
            ((*container, "securityContext", "capabilities", "drop"), ["NET_RAW"]),
            (("Deployment", "spec", "template", "metadata", "annotations"), {"prometheus.io/port": "9464"}),
            (("Service", "spec", "selector"), {"app.kubernetes.io/name": "waybill"}),
            (("Service", "spec", "ports", 0, "targetPort"), "rpc"),
            (("PodDisruptionBudget", "spec", "minAvailable"), 2),
            (("PodDisruptionBudget", "spec", "minAvailable"), 0),
            (("HorizontalPodAutoscaler", "spec", "minReplicas"), 1),
            (("HorizontalPodAutoscaler", "spec", "maxReplicas"), 2),
            (("HorizontalPodAutoscaler", "spec", "scaleTargetRef", "name"), "waybill"),
            (("NetworkPolicy", "spec", "podSelector", "matchLabels"), {"app.kubernetes.io/name": "waybill"}),
            (("NetworkPolicy", "spec", "policyTypes"), ["Ingress"]),
            (("NetworkPolicy", "spec", "ingress", 0, "ports", 0, "port"), "rpc"),
            (("NetworkPolicy", "spec", "egress", 0, "ports", 0, "port"), 5433),
            (("Job", "spec", "template", "metadata", "labels"), {"app.kubernetes.io/name": "waybill-job"}),
        ):
            with self.subTest(f"{path} = {value}"):
                broken = manifests()
                place = of_kind(broken, path[0])[0]
                for step in path[1:-1]:
                    place = place[step]
                self.assertNotEqual(place.get(path[-1]) if isinstance(place, dict) else place[path[-1]], value)
                if value is None:
                    del place[path[-1]]
                else:
                    place[path[-1]] = value
                self.assertNotEqual(complaints(broken), [])


if __name__ == "__main__":
    unittest.main()
