"""The files of infra/, checked offline: schemas, the operator's own rules, and what they say about this repository.

    python -m pytest tests/infra/test_infra.py -q

Kubernetes' kinds are checked by `kubernetes_validate`, RayJobs against KubeRay's custom resource definition, read as a
strict JSON schema. The definition leaves rules to the operator (validation.go in KubeRay's ray-operator);
`operator_errors` holds those that a manifest here could break.
"""

import copy
import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from pipelines.config.loader import load_recipe

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
RAYJOB_DEFINITION = ROOT / "../shared/schemas/kuberay/rayjobs.yaml"
KUBERNETES_VERSION = "1.35"
VERBS = {"ingest", "train", "generate", "evaluate", "promote", "nightly", "demo"}
SUBMISSION_MODES = {"K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"}
S3_VARIABLES = {
    "AWS_ENDPOINT_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_DEFAULT_REGION",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_REQUEST_CHECKSUM_CALCULATION",
    "AWS_RESPONSE_CHECKSUM_VALIDATION",
}
Manifest = dict[str, Any]


def load_documents(name: str) -> list[Manifest]:
    return [document for document in yaml.safe_load_all((INFRA / "kuberay" / name).read_text()) if document]


NIGHTLY = {document["kind"]: document for document in load_documents("nightly.yaml")}
RAYJOBS: dict[str, Manifest] = {
    "train": load_documents("train.yaml")[0],
    "generate": load_documents("generate.yaml")[0],
    "nightly": yaml.safe_load(NIGHTLY["ConfigMap"]["data"]["rayjob.yaml"]),
}
COMPOSE: Manifest = yaml.safe_load((INFRA / "compose.yaml").read_text())
DOCKERFILE = (INFRA / "Dockerfile").read_text()
NAMED_COMMANDS = sorted(
    (str(path.relative_to(ROOT)), verb, recipe)
    for path in INFRA.rglob("*")
    if path.is_file()
    for verb, recipe in re.findall(r"python -m jobs (\S+)\s+(\S+)", path.read_text())
)


def locked_version(package: str) -> str:
    lock = (ROOT / "requirements.lock").read_text()
    found = re.search(rf"^{re.escape(package)}(?:\[[^\]]*\])?==([^\s;]+)", lock, re.MULTILINE)
    assert found, f"requirements.lock pins no {package}"
    return found[1]


def strict(schema: Manifest) -> Manifest:
    """A definition's schema with unknown keys forbidden, and nothing required that the API server fills in."""
    result = dict(schema)
    properties = schema.get("properties")
    if properties is not None:
        result["properties"] = {name: strict(part) for name, part in properties.items()}
        result["required"] = [name for name in schema.get("required", ()) if "default" not in properties[name]]
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            result.setdefault("additionalProperties", False)
    for key in ("items", "additionalProperties"):
        if isinstance(result.get(key), dict):
            result[key] = strict(result[key])
    return result


@pytest.fixture(scope="session")
def rayjob_schema() -> jsonschema.Draft202012Validator:
    if not RAYJOB_DEFINITION.exists():
        pytest.skip("KubeRay's definitions are not beside this checkout (../shared/schemas/kuberay)")
    definition = yaml.load(RAYJOB_DEFINITION.read_text(), Loader=yaml.CSafeLoader)
    (version,) = [version for version in definition["spec"]["versions"] if version["name"] == "v1"]
    schema = strict(version["schema"]["openAPIV3Schema"])
    schema["required"] = ["apiVersion", "kind", "metadata", "spec"]
    schema["properties"]["apiVersion"]["const"] = "ray.io/v1"
    schema["properties"]["kind"]["const"] = "RayJob"
    return jsonschema.Draft202012Validator(schema)


def operator_errors(rayjob: Manifest) -> list[str]:
    """What KubeRay's operator refuses although the definition lets it pass."""
    name, spec = rayjob["metadata"]["name"], rayjob["spec"]
    shuts_down, ttl = spec.get("shutdownAfterJobFinishes", False), spec.get("ttlSecondsAfterFinished", 0)
    rules = spec.get("deletionStrategy", {}).get("deletionRules")
    checks = {
        f"submissionMode {spec.get('submissionMode')}": spec.get("submissionMode", "K8sJobMode") in SUBMISSION_MODES,
        f"name of {len(name)} characters": len(name) <= 47,
        f"name {name}": re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name) is not None,
        "shutdownAfterJobFinishes with deletionRules": not (shuts_down and rules),
        "suspend without shutdownAfterJobFinishes": shuts_down or not spec.get("suspend"),
        "ttlSecondsAfterFinished without shutdownAfterJobFinishes": shuts_down or not ttl,
        "activeDeadlineSeconds": spec.get("activeDeadlineSeconds", 1) > 0,
        "backoffLimit": spec.get("backoffLimit", 0) >= 0,
    }
    for group in spec["rayClusterSpec"].get("workerGroupSpecs", []):
        low, high = group.get("minReplicas", 0), group.get("maxReplicas", 2**31 - 1)
        checks[f"replicas of {group['groupName']}"] = 0 <= low <= group.get("replicas", low) <= high
    return [error for error, holds in checks.items() if not holds]


def pod_specs(rayjob: Manifest) -> list[Manifest]:
    cluster = rayjob["spec"]["rayClusterSpec"]
    return [group["template"]["spec"] for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]]


def entrypoint(rayjob: Manifest) -> tuple[str, str, list[str]]:
    """Verb, recipe and overrides of a RayJob's command."""
    python, dash_m, module, verb, recipe, *rest = shlex.split(rayjob["spec"]["entrypoint"])
    assert (python, dash_m, module) == ("python", "-m", "jobs")
    assert rest[::2] == ["--set"] * (len(rest) // 2)
    return verb, recipe, rest[1::2]


@pytest.mark.parametrize("kind", ["CronJob", "ServiceAccount", "Role", "RoleBinding", "ConfigMap"])
def test_kubernetes_kinds_are_valid(kind: str) -> None:
    kubernetes_validate.validate(NIGHTLY[kind], KUBERNETES_VERSION, strict=True)


def test_a_misspelt_kubernetes_field_is_refused() -> None:
    cronjob = copy.deepcopy(NIGHTLY["CronJob"])
    cronjob["spec"]["concurencyPolicy"] = cronjob["spec"].pop("concurrencyPolicy")
    with pytest.raises(kubernetes_validate.ValidationError, match="concurencyPolicy"):
        kubernetes_validate.validate(cronjob, KUBERNETES_VERSION, strict=True)


@pytest.mark.parametrize("name", RAYJOBS)
def test_rayjobs_fit_the_definition(rayjob_schema: jsonschema.Draft202012Validator, name: str) -> None:
    rayjob_schema.validate(RAYJOBS[name])


@pytest.mark.parametrize("name", RAYJOBS)
def test_rayjobs_fit_the_operator(name: str) -> None:
    assert operator_errors(RAYJOBS[name]) == []


def misspell_spec(rayjob: Manifest) -> None:
    rayjob["spec"]["shutdownAfterJobFinish"] = rayjob["spec"].pop("shutdownAfterJobFinishes")


def misspell_container(rayjob: Manifest) -> None:
    pod_specs(rayjob)[1]["containers"][0]["envfrom"] = []


def forget_container_name(rayjob: Manifest) -> None:
    del pod_specs(rayjob)[0]["containers"][0]["name"]


@pytest.mark.parametrize(
    ("breakage", "message"),
    [
        (misspell_spec, "shutdownAfterJobFinish"),
        (misspell_container, "envfrom"),
        (forget_container_name, "'name' is a required property"),
    ],
)
def test_the_schema_refuses(
    rayjob_schema: jsonschema.Draft202012Validator, breakage: Callable[[Manifest], None], message: str
) -> None:
    rayjob = copy.deepcopy(RAYJOBS["train"])
    breakage(rayjob)
    with pytest.raises(jsonschema.ValidationError, match=message):
        rayjob_schema.validate(rayjob)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"submissionMode": "K8SJobMode"}, "submissionMode K8SJobMode"),
        ({"deletionStrategy": {"deletionRules": [{}]}}, "shutdownAfterJobFinishes with deletionRules"),
        (
            {"shutdownAfterJobFinishes": False, "suspend": True, "ttlSecondsAfterFinished": 0},
            "suspend without shutdownAfterJobFinishes",
        ),
        ({"shutdownAfterJobFinishes": False}, "ttlSecondsAfterFinished without shutdownAfterJobFinishes"),
    ],
)
def test_the_operator_refuses(spec: Manifest, message: str) -> None:
    rayjob = copy.deepcopy(RAYJOBS["train"])
    rayjob["spec"] |= spec
    assert operator_errors(rayjob) == [message]


def test_the_operator_refuses_a_name_of_48_characters() -> None:
    rayjob = copy.deepcopy(RAYJOBS["train"])
    rayjob["metadata"]["name"] = "n" * 48
    assert operator_errors(rayjob) == ["name of 48 characters"]


@pytest.mark.parametrize("name", RAYJOBS)
def test_rayjobs_run_the_locked_ray(name: str) -> None:
    version = locked_version("ray")
    assert RAYJOBS[name]["spec"]["rayClusterSpec"]["rayVersion"] == version
    for pod in pod_specs(RAYJOBS[name]):
        assert [container["image"].rpartition("-ray")[2] for container in pod["containers"]] == [version]


@pytest.mark.parametrize(("place", "verb", "recipe"), NAMED_COMMANDS)
def test_named_commands_exist(place: str, verb: str, recipe: str) -> None:
    assert verb in VERBS, f"{place} runs {verb}"
    assert (ROOT / recipe).is_file(), f"{place} names {recipe}"


@pytest.mark.parametrize("name", RAYJOBS)
def test_overrides_are_keys_of_the_recipe_and_fit_the_cluster(name: str) -> None:
    """The recipe loads with the entrypoint's overrides, and the workers that are always there hold what it asks for."""
    verb, path, overrides = entrypoint(RAYJOBS[name])
    recipe = load_recipe(str(ROOT / path), overrides)
    if verb == "train":
        workers, cpus, gpus = recipe.train.num_workers, recipe.train.cpus_per_worker, float(recipe.train.use_gpu)
    else:
        sampling = recipe.generate.sampling
        workers, cpus, gpus = sampling.num_workers, sampling.cpus_per_worker, sampling.gpus_per_worker
    fitting = 0.0
    for group in RAYJOBS[name]["spec"]["rayClusterSpec"]["workerGroupSpecs"]:
        limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
        needs = {"cpu": cpus, "nvidia.com/gpu": gpus}
        held = min(float(limits.get(name, 0)) // needed for name, needed in needs.items() if needed)
        fitting += group["minReplicas"] * held
    assert fitting >= workers
    assert recipe.run_uri.startswith("s3://")
    assert recipe.tracking.tracking_uri.startswith("http")


@pytest.mark.parametrize("name", RAYJOBS)
def test_pods_are_bounded_and_without_privileges(name: str) -> None:
    for pod in pod_specs(RAYJOBS[name]):
        assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] == 1000
        for container in pod["containers"]:
            assert container["resources"]["requests"] == container["resources"]["limits"]
            assert {"cpu", "memory"} <= container["resources"]["limits"].keys()
            assert container["securityContext"]["allowPrivilegeEscalation"] is False


@pytest.mark.parametrize("name", RAYJOBS)
def test_credentials_come_from_the_secret_that_the_readme_makes(name: str) -> None:
    for pod in pod_specs(RAYJOBS[name]):
        for container in pod["containers"]:
            assert container["envFrom"] == [{"secretRef": {"name": "ganrnn-environment"}}]
            assert "env" not in container
    readme = (INFRA / "README.md").read_text()
    assert "create secret generic ganrnn-environment" in readme
    assert set(re.findall(r"--from-literal=(AWS_\w+)=", readme)) == S3_VARIABLES


@pytest.mark.parametrize("name", RAYJOBS)
def test_rayjobs_end_and_ask_for_a_token(name: str) -> None:
    spec = RAYJOBS[name]["spec"]
    assert spec["shutdownAfterJobFinishes"] and spec["activeDeadlineSeconds"] <= 86_400 and spec["backoffLimit"] >= 1
    assert spec["rayClusterSpec"]["authOptions"] == {"mode": "token"}


def test_the_night_runs_on_the_cluster_of_generate() -> None:
    night, batch = RAYJOBS["nightly"]["spec"], RAYJOBS["generate"]["spec"]
    assert {**night, "entrypoint": ""} == {**batch, "entrypoint": ""}
    changed = set(night["entrypoint"].split()) ^ set(batch["entrypoint"].split())
    assert {part.partition("=")[0] for part in changed} == {"generate.prompts_uri", "generate.samples_uri"}


def test_the_night_does_not_overlap_and_outlasts_its_rayjob() -> None:
    cronjob = NIGHTLY["CronJob"]["spec"]
    job, rayjob = cronjob["jobTemplate"]["spec"], RAYJOBS["nightly"]["spec"]
    assert cronjob["concurrencyPolicy"] == "Forbid"
    assert (1 + rayjob["backoffLimit"]) * rayjob["activeDeadlineSeconds"] < job["activeDeadlineSeconds"] < 86_400
    (container,) = job["template"]["spec"]["containers"]
    assert re.fullmatch(r"\S+:\d+\.\d+\.\d+", container["image"])
    (rule,) = job["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"]["containerName"] == container["name"] and rule["onExitCodes"]["values"] == [3]
    assert container["command"] == ["sh", "/nightly/start-and-wait.sh"]
    (volume,) = job["template"]["spec"]["volumes"]
    assert volume["configMap"]["name"] == NIGHTLY["ConfigMap"]["metadata"]["name"]


def test_the_night_may_do_what_its_script_does_and_no_more() -> None:
    script = NIGHTLY["ConfigMap"]["data"]["start-and-wait.sh"]
    account = NIGHTLY["ServiceAccount"]["metadata"]["name"]
    assert NIGHTLY["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["serviceAccountName"] == account
    assert [subject["name"] for subject in NIGHTLY["RoleBinding"]["subjects"]] == [account]
    assert NIGHTLY["RoleBinding"]["roleRef"]["name"] == NIGHTLY["Role"]["metadata"]["name"]
    allowed = {verb for rule in NIGHTLY["Role"]["rules"] for verb in rule["verbs"]}
    # `kubectl delete` waits for the end by listing and watching.
    assert allowed == set(re.findall(r"kubectl (\w+)", script)) | {"list", "watch"}
    names = [rule["resourceNames"] for rule in NIGHTLY["Role"]["rules"] if rule["verbs"] != ["create"]]
    assert names == [[RAYJOBS["nightly"]["metadata"]["name"]]]


@pytest.mark.parametrize(
    ("states", "starts", "code"),
    [
        (["", "RayJob:", "RayJob:Running", "RayJob:Complete"], True, 0),
        (["RayJob:Complete", "RayJob:Running", "RayJob:Complete"], True, 0),
        (["RayJob:Failed", "RayJob:Running", "RayJob:Failed"], True, 3),
        (["", "RayJob:ValidationFailed"], True, 3),
        (["RayJob:Running", "RayJob:Running", "RayJob:Complete"], False, 0),
        (["RayJob:", "RayJob:Failed"], False, 3),
        (["RayJob:Running", ""], False, 3),
        (["error"], False, 1),
        (["", "RayJob:Running", "error"], True, 1),
    ],
)
def test_the_night_starts_once_and_waits(tmp_path: Path, states: list[str], starts: bool, code: int) -> None:
    """The script against a kubectl that answers `get` with one state after another."""
    for name, text in NIGHTLY["ConfigMap"]["data"].items():
        (tmp_path / name).write_text(text)
    stubs = {
        "kubectl": f"""
            echo "$@" >> {tmp_path}/calls
            case "$1" in
              create) cat > {tmp_path}/created ;;
              get)
                state=$(head -n 1 {tmp_path}/states); sed -i 1d {tmp_path}/states
                [ "$state" != error ] && printf %s "$state" ;;
            esac""",
        "sleep": "",
        "date": "echo 2031-02-03",
    }
    (tmp_path / "bin").mkdir()
    for name, body in stubs.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "states").write_text("\n".join(states) + "\n")
    environment = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
    result = subprocess.run(["sh", str(tmp_path / "start-and-wait.sh")], env=environment, timeout=30, check=False)

    calls = [line.split()[0] for line in (tmp_path / "calls").read_text().splitlines()]
    assert result.returncode == code
    assert [call for call in calls if call != "get"] == ["delete", "create"] * starts
    assert (tmp_path / "states").read_text() == ""
    if starts:
        created = yaml.safe_load((tmp_path / "created").read_text())
        assert "generate.samples_uri=s3://ganrnn/samples/nightly/2031-02-03" in entrypoint(created)[2]


def test_the_image_is_built_on_the_locked_ray() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert bases == [f"rayproject/ray:{locked_version('ray')}-py311-cpu"]
    # A local version such as +cpu would leave GPU workers without CUDA: it has to come with PyPI's wheel.
    assert "+" not in locked_version("torch")


def test_the_image_copies_what_exists_and_runs_the_product_without_root() -> None:
    copies = re.findall(r"^COPY --chown=1000:100 (.+) \S+$", DOCKERFILE, re.MULTILINE)
    sources = [source for line in copies for source in line.split()]
    ignored = (INFRA / "Dockerfile.dockerignore").read_text().splitlines()
    assert {f"!{source}" for source in sources} == {line for line in ignored if line.startswith("!")}
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE)[-1] == "1000:100"
    (command,) = re.findall(r"^ENTRYPOINT (.+)$", DOCKERFILE, re.MULTILINE)
    assert json.loads(command) == ["ganrnn"]


def test_compose_pins_every_image() -> None:
    assert set(COMPOSE["services"]) == {"postgres", "s3", "mlflow"}
    for service in COMPOSE["services"].values():
        assert re.fullmatch(r"[\w./-]+:\d+\.\d+(\.\d+)?(-\w+)?", service["image"]), service["image"]
    mlflow = COMPOSE["services"]["mlflow"]
    recipe = mlflow["build"]["dockerfile_inline"]
    pins = dict(re.findall(r"(\S+)==(\S+)", recipe))
    assert pins.keys() == {"mlflow", "psycopg2-binary", "boto3"}
    assert pins["mlflow"] == locked_version("mlflow") == mlflow["image"].rpartition(":")[2]
    assert re.search(r"^FROM python:\d+\.\d+\.\d+-slim$", recipe, re.MULTILINE)


def test_compose_takes_secrets_from_the_environment_and_opens_no_port_by_itself() -> None:
    for service in COMPOSE["services"].values():
        for name, value in service["environment"].items():
            if re.search(r"PASSWORD|SECRET|KEY", name):
                assert re.fullmatch(r"\$\{[A-Z_]+:\?[^}]+\}", value), f"{name} is {value}"
        assert all(port.startswith("${BIND_ADDRESS:-127.0.0.1}:") for port in service.get("ports", []))
        assert set(service.get("depends_on", {})) <= COMPOSE["services"].keys()
        assert {volume.partition(":")[0] for volume in service.get("volumes", [])} <= COMPOSE["volumes"].keys()
        assert service["healthcheck"]["test"][0] == "CMD"
