"""Each check of script/k8s-check passes on k8s/overlays/prod and fails on a broken copy of it."""
import copy
import functools
import importlib.machinery
import importlib.util
import json
import pathlib
import shutil
import subprocess

import pytest
import yaml

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


def variable(docs, name, value, deployment="foliopost-stats"):
    """Sets it, or takes it away."""
    c = pod(docs, deployment)["containers"][0]
    c["env"] = [e for e in c["env"] if e["name"] != name] + ([{"name": name, "value": value}] if value else [])


@functools.cache
def made(component):
    docs = k8s.load(ROOT / "k8s/overlays/prod")
    return k8s.load(ROOT / "k8s/components" / component, docs) if component else docs


def rendered(check):
    return copy.deepcopy(made(WITH.get(check)))


def by_name(docs):
    """Lists of volumes and the like have no order that means something."""
    def sort(x):
        if isinstance(x, dict):
            return {k: sort(v) for k, v in x.items()}
        if isinstance(x, list):
            return sorted(map(sort, x), key=lambda y: json.dumps(y, sort_keys=True)) if all(isinstance(y, dict) for y in x) else x
        return x
    found = {(d["kind"], d["metadata"]["name"]): sort(d) for d in docs if d["kind"] != "Secret"} # base64 there
    assert len(found) == len([d for d in docs if d["kind"] != "Secret"])
    return found


BROKEN = {
    "schema": [lambda d: find(d, "Deployment", "foliopost-stats")["spec"].update(replicaz=2),
               lambda d: pod(d)["securityContext"].update(runAsRot=False),
               lambda d: container(d).update(livenessProbes={}),
               lambda d: container(d)["ports"][0].update(containerPort="9100"),
               lambda d: container(d)["env"].append({"value": "2"}),
               lambda d: find(d, "Deployment", "foliopost-stats")["spec"].pop("selector"),
               lambda d: find(d, "Deployment", "foliopost-stats").update(apiVersion="apps/v1beta1"),
               lambda d: find(d, "NetworkPolicy", "foliopost-stats")["spec"]["ingress"][0].update(form=[]),
               lambda d: find(d, "PodDisruptionBudget", "foliopost-stats")["spec"].update(maxUnavailible=1),
               lambda d: find(d, "CronJob", "foliopost-submit")["spec"].update(timezone="Etc/UTC"),
               lambda d: find(d, "ScaledObject", "foliopost-stats")["spec"].update(minReplica=1),
               lambda d: find(d, "ScaledObject", "foliopost-stats")["spec"]["triggers"][0]["metadata"].update(targetQueryValue=5)],
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
    "grace": [lambda d: pod(d).update(terminationGracePeriodSeconds=25),
              lambda d: variable(d, "FOLIOPOST_DRAIN_DELAY", "15s", "foliopost-scheduler"),
              lambda d: variable(d, "FOLIOPOST_DRAIN_TIMEOUT", "60s", "foliopost-mailer"),
              lambda d: variable(d, "FOLIOPOST_REPLY_TIMEOUT", "10m", "foliopost-mailer")],
    "delay": [lambda d: variable(d, "FOLIOPOST_DRAIN_DELAY", "2s", "foliopost-inbound"),
              lambda d: variable(d, "FOLIOPOST_DRAIN_DELAY", None, "foliopost-scheduler")],
    "policies": [lambda d: d.remove(find(d, "NetworkPolicy", "foliopost-deny-all")),
                 lambda d: d.remove(find(d, "NetworkPolicy", "foliopost-dns")),
                 lambda d: find(d, "NetworkPolicy", "foliopost-stats")["spec"].pop("ingress"),
                 lambda d: find(d, "NetworkPolicy", "foliopost-stats")["spec"]["egress"].append({}),
                 lambda d: find(d, "NetworkPolicy", "foliopost-stats")["spec"]["ingress"][0]["from"].append(
                     {"namespaceSelector": {}})],
    "budgets": [lambda d: d.remove(find(d, "PodDisruptionBudget", "foliopost-stats")),
                lambda d: find(d, "PodDisruptionBudget", "foliopost-stats")["spec"].update(maxUnavailable=0),
                lambda d: find(d, "PodDisruptionBudget", "foliopost-stats")["spec"].pop("unhealthyPodEvictionPolicy")],
    "own_secrets": [lambda d: find(d, "CronJob", "foliopost-submit")["spec"]["jobTemplate"]["spec"]["template"]["spec"]["volumes"][0][
        "secret"].update(secretName="foliopost-rpc")],
    "resources": [lambda d: container(d)["resources"].pop("limits")],
    "scaling": [lambda d: find(d, "Deployment", "foliopost-stats")["spec"].update(replicas=2),
                lambda d: find(d, "HorizontalPodAutoscaler", "foliopost-stats")["spec"].update(minReplicas=9),
                lambda d: find(d, "HorizontalPodAutoscaler", "foliopost-stats")["spec"]["scaleTargetRef"].update(name="stats"),
                lambda d: d.append(find(d, "HorizontalPodAutoscaler", "foliopost-stats"))],
    "rate": [lambda d: variable(d, "FOLIOPOST_MAIL_RATE", "500", "foliopost-mailer"),
             lambda d: variable(d, "FOLIOPOST_CONNECTIONS", "2", "foliopost-mailer"),
             lambda d: find(d, "ScaledObject", "foliopost-mailer")["metadata"]["annotations"].clear(),
             lambda d: find(d, "ScaledObject", "foliopost-mailer")["spec"].update(maxReplicaCount=5)],
    "tls": [lambda d: variable(d, "FOLIOPOST_RPC_LISTEN", None, "foliopost-scheduler"),
            lambda d: variable(d, "FOLIOPOST_RPC_LISTEN", "tcp://0.0.0.0:7700", "foliopost-scheduler"),
            lambda d: find(d, "CronJob", "foliopost-submit")["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["env"].pop(0),
            lambda d: variable(d, "FOLIOPOST_BUS_CA_FILE", None),
            lambda d: variable(d, "FOLIOPOST_USERS_FROM", "tcp://foliopost-userstream:7702")],
}
WITH = {"schema": "keda", "scaling": "hpa", "tls": "tls", "rate": "keda"} # components that the check is about
CASES = [(name, i) for name, broken in BROKEN.items() for i in range(len(broken))]


def test_every_check_has_a_broken_manifest():
    assert {c.__name__[6:] for c in k8s.CHECKS} == set(BROKEN)


@pytest.mark.parametrize("name,i", CASES)
def test_a_broken_manifest_fails(name, i):
    docs = rendered(name)
    check = getattr(k8s, "check_" + name)
    assert list(check(docs)) == []
    BROKEN[name][i](docs)
    assert list(check(docs))


def test_clients_elsewhere_are_let_in_by_both_labels():
    docs = copy.deepcopy(made("clients-elsewhere"))
    assert list(k8s.check_policies(docs)) == []
    find(docs, "NetworkPolicy", "foliopost-clients-elsewhere")["spec"]["ingress"][0]["from"][0].pop("podSelector")
    assert len(list(k8s.check_policies(docs))) == 4


def test_spans_want_their_policy_and_the_policy_its_spans():
    docs = copy.deepcopy(made("tracing"))
    assert list(k8s.check_policies(docs)) == []
    policy = find(docs, "NetworkPolicy", "foliopost-tracing")
    docs.remove(policy)
    assert list(k8s.check_policies(docs))
    assert list(k8s.check_policies([*copy.deepcopy(made(None)), policy]))


def test_what_people_install_is_the_overlay():
    """Made by: kubectl kustomize k8s/overlays/prod >k8s/install.yaml"""
    installed = list(yaml.load_all((ROOT / "k8s/install.yaml").read_text(), k8s.LOADER))
    assert by_name(installed) == by_name(k8s.load(ROOT / "k8s/overlays/prod"))


@pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl: Debian 12's own is too old")
@pytest.mark.parametrize("overlay", ["dev", *k8s.OTHERS])
def test_kustomize_renders_the_same(overlay, tmp_path):
    folder = ROOT / "k8s/overlays/dev"
    docs = k8s.load(folder)
    if overlay != "dev": # a folder beside the overlays: kustomize takes no absolute paths
        shutil.copytree(ROOT / "k8s", tmp_path / "k8s")
        folder = tmp_path / "k8s/overlays/prod"
        text = (folder / "kustomization.yaml").read_text()
        (folder / "kustomization.yaml").write_text(f"{text}- ../../components/{overlay}\n")
        docs = k8s.load(folder)
    out = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=True).stdout
    assert by_name(list(yaml.load_all(out, k8s.LOADER))) == by_name(docs)
