"""Each check of script/k8s-check passes on k8s/overlays/prod and fails on a broken copy of it."""
import importlib.machinery
import importlib.util
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
loader = importlib.machinery.SourceFileLoader("k8s_check", str(ROOT / "script/k8s-check"))
k8s = importlib.util.module_from_spec(importlib.util.spec_from_loader("k8s_check", loader))
loader.exec_module(k8s)


def find(docs, kind, name):
    return next(d for d in docs if d["kind"] == kind and d["metadata"]["name"] == name)


def pod(docs, name="foliopost-stats"):
    return find(docs, "Deployment", name)["spec"]["template"]["spec"]


def container(docs):
    return pod(docs)["containers"][0]


BROKEN = {
    "variables": [lambda d: container(d)["env"].append({"name": "FOLIOPOST_WORKRES", "value": "2"}),
                  lambda d: container(d).update(args=["--workers=2"])],
    "ports": [lambda d: container(d)["livenessProbe"]["httpGet"].update(port="http"),
              lambda d: find(d, "Service", "foliopost-stats")["spec"]["ports"][0].update(targetPort="users")],
    "selectors": [lambda d: find(d, "Service", "foliopost-stats")["spec"]["selector"].update(a="b"),
                  lambda d: find(d, "Deployment", "foliopost-stats")["spec"]["selector"]["matchLabels"].update(a="b")],
    "accounts": [lambda d: pod(d).update(serviceAccountName="default"),
                 lambda d: find(d, "ServiceAccount", "foliopost-stats").update(automountServiceAccountToken=True)],
    "restricted": [lambda d: pod(d).update(hostNetwork=True),
                   lambda d: pod(d)["securityContext"].update(runAsUser=0),
                   lambda d: pod(d)["securityContext"].pop("seccompProfile"),
                   lambda d: pod(d)["volumes"].append({"name": "x", "hostPath": {"path": "/"}}),
                   lambda d: container(d)["securityContext"].pop("allowPrivilegeEscalation"),
                   lambda d: container(d)["securityContext"].update(privileged=True),
                   lambda d: container(d)["securityContext"].update(capabilities={"drop": []}),
                   lambda d: container(d)["securityContext"].update(readOnlyRootFilesystem=False),
                   lambda d: container(d)["ports"][0].update(hostPort=1)],
    "secrets": [lambda d: container(d).update(envFrom=[{"secretRef": {"name": "x"}}]),
                lambda d: container(d)["env"].append({"name": "X", "value": "password=x"}),
                lambda d: container(d)["volumeMounts"].clear(),
                lambda d: container(d)["volumeMounts"][0].update(readOnly=False)],
    "headless": [lambda d: find(d, "Service", "foliopost-stats")["spec"].pop("clusterIP"),
                 lambda d: find(d, "Service", "foliopost-stats")["spec"].pop("publishNotReadyAddresses"),
                 lambda d: d.remove(find(d, "Service", "foliopost-stats"))],
    "probes": [lambda d: container(d)["livenessProbe"]["httpGet"].update(path="/readyz"),
               lambda d: container(d).pop("startupProbe")],
    "grace": [lambda d: pod(d).update(terminationGracePeriodSeconds=25)],
    "policies": [lambda d: d.remove(find(d, "NetworkPolicy", "foliopost-deny-all")),
                 lambda d: d.remove(find(d, "NetworkPolicy", "foliopost-dns")),
                 lambda d: find(d, "NetworkPolicy", "foliopost-stats")["spec"].pop("ingress"),
                 lambda d: find(d, "NetworkPolicy", "foliopost-stats")["spec"]["egress"].append({}),
                 lambda d: find(d, "NetworkPolicy", "foliopost-stats")["spec"]["ingress"][0]["from"].append(
                     {"namespaceSelector": {}})],
    "budgets": [lambda d: d.remove(find(d, "PodDisruptionBudget", "foliopost-stats")),
                lambda d: find(d, "PodDisruptionBudget", "foliopost-stats")["spec"].update(maxUnavailable=0),
                lambda d: find(d, "PodDisruptionBudget", "foliopost-stats")["spec"].pop("unhealthyPodEvictionPolicy")],
    "resources": [lambda d: container(d)["resources"].pop("limits")],
}
CASES = [(name, i) for name, broken in BROKEN.items() for i in range(len(broken))]


def test_every_check_has_a_broken_manifest():
    assert {c.__name__[6:] for c in k8s.CHECKS} == set(BROKEN)


@pytest.mark.parametrize("name,i", CASES)
def test_a_broken_manifest_fails(name, i):
    docs = k8s.load(ROOT / "k8s/overlays/prod")
    check = getattr(k8s, "check_" + name)
    assert list(check(docs)) == []
    BROKEN[name][i](docs)
    assert list(check(docs))
