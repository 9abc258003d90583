"""The files of `contrib/` fit the service; the tools that read them accept them where they are installed."""

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from offerlog_application.status.checks import CHECKS
from offerlog_infrastructure.settings import Settings

EXTERNAL: Final = {"up", "process_cpu_seconds_total", "process_resident_memory_bytes"}
"""Metrics of Prometheus itself and of its client for Python."""

SERIES: Final = re.compile(r"\b(?:offerlog|process|up)(?:_[a-z_]+)?\b(?=[{\s)\[]|$)")
SUFFIX: Final = re.compile(r"_(total|bucket|count|sum)$")


@pytest.fixture(scope="module")
def metrics(root: Path) -> frozenset[str]:
    """The names of all metrics in the code."""
    files = (root / "infrastructure/offerlog_infrastructure/http").rglob("*.py")
    return frozenset(name for file in files for name in re.findall(r'"(offerlog_[a-z_]+)"', file.read_text()))


@pytest.fixture(scope="module")
def rules(root: Path) -> Sequence[Mapping[str, Any]]:
    """The alert rules."""
    text = (root / "contrib/prometheus/offerlog.rules.yml").read_text()
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def named_in(expression: str) -> set[str]:
    """Find the metrics that an expression reads."""
    without_labels = re.sub(r"\{[^}]*\}|by \([^)]*\)", "", expression)
    return {SUFFIX.sub("", name) if name not in EXTERNAL else name for name in SERIES.findall(without_labels)}


def accepted(command: Sequence[str | Path]) -> None:
    """Check that a tool accepts a file; without the tool nothing is checked."""
    if shutil.which(str(command[0])) is None:
        pytest.skip(f"{command[0]} is not installed")
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stderr) == (0, ""), run.stdout + run.stderr


def test_every_alert_reads_metrics_that_there_are(
    rules: Sequence[Mapping[str, Any]], metrics: frozenset[str]
) -> None:
    """A name that no process exports would never alert."""
    for rule in rules:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"].keys() == {"summary", "description"}
        found = named_in(rule["expr"])
        assert found, rule["alert"]
        assert found <= metrics | EXTERNAL, rule["alert"]


def test_the_alerts_are_those_of_the_table(rules: Sequence[Mapping[str, Any]]) -> None:
    """Each check whose result a metric shows has alerts that read these metrics, and no other check has."""
    shown = {one.name: set(re.findall(r"`(offerlog_[a-z_]+)`", one.where)) for one in CHECKS}
    read: dict[str, set[str]] = {}
    for rule in rules:
        read.setdefault(rule["labels"]["check"], set()).update(named_in(rule["expr"]))
    assert read.keys() == {name for name, names in shown.items() if names}
    assert {name for name, names in read.items() if not shown[name] <= names} == set()


def test_the_dashboard_reads_metrics_that_there_are(root: Path, metrics: frozenset[str]) -> None:
    """Each panel has its own place, a unit, and a query over known metrics."""
    dashboard = json.loads((root / "contrib/grafana/offerlog.json").read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 20
    places = [tuple(panel["gridPos"][name] for name in "xyhw") for panel in panels]
    assert len(set(places)) == len(places)
    for panel in panels:
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        for target in panel.get("targets", ()):
            found = named_in(target["expr"])
            assert found, panel["title"]
            assert found <= metrics | EXTERNAL, panel["title"]
            assert target["datasource"]["uid"] == "${datasource}"


@pytest.mark.parametrize(
    "words", ["check rules offerlog.rules.yml", "test rules offerlog.test.yml", "check config prometheus.yml"]
)
def test_promtool_accepts_the_rules(root: Path, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's package prometheus has it."""
    monkeypatch.chdir(root / "contrib/prometheus")
    accepted(["promtool", *words.split()])


def units(root: Path) -> Iterator[Path]:
    """All units."""
    yield from (file for file in sorted((root / "contrib/systemd").iterdir()) if file.suffix != ".toml")


def test_the_units_are_accepted_and_alike(root: Path, tmp_path: Path) -> None:
    """They name one program and one settings file, and each service is closed off."""
    for unit in units(root):
        text = unit.read_text()
        if unit.suffix == ".service":
            assert "\nUser=offerlog\n" in text
            assert "\nEnvironment=OFFERLOG_CONFIG=/etc/offerlog/config.toml\n" in text
            for line in (
                "NoNewPrivileges=yes",
                "ProtectSystem=strict",
                "CapabilityBoundingSet=",
                "UMask=0077",
            ):
                assert f"\n{line}\n" in text, unit.name
        else:
            assert (unit.with_suffix(".service")).exists()
        (tmp_path / unit.name).write_text(text.replace("/opt/offerlog/bin/offerlog", "/bin/true"))
    assert len(list(tmp_path.iterdir())) == 5
    accepted(["systemd-analyze", "verify", "--man=no", *sorted(tmp_path.iterdir())])


def test_the_settings_files_name_settings(root: Path) -> None:
    """Also what is commented out; the folders are those that the unit makes."""
    text = (root / "contrib/systemd/config.toml").read_text()
    read = tomllib.loads(text)
    offered = tomllib.loads(re.sub(r"(?m)^# (?=[a-z_]+ = )", "", text))
    (config,) = [one for one in cluster(root) if one["kind"] == "ConfigMap"]
    assert {*offered, *tomllib.loads(config["data"]["config.toml"])} <= set(Settings.model_fields)
    made = re.search(
        r"^StateDirectory=(.+)$", (root / "contrib/systemd/offerlog.service").read_text(), re.MULTILINE
    )
    assert made is not None
    wanted = {read["data"], str(Path(read["keyring"]).parent), read["checkpoints"]}
    assert wanted == {f"/var/lib/{name}" for name in made[1].split()}


def cluster(root: Path) -> Sequence[Any]:
    """The objects of the example for Kubernetes."""
    return list(yaml.safe_load_all((root / "contrib/kubernetes/offerlog.yaml").read_text()))


def test_the_cluster_runs_the_service_as_the_image_does(root: Path) -> None:
    """Selectors find the pods, volumes are there, probes ask what each is for, and nothing is privileged."""
    kinds = {(one["kind"], one["metadata"]["name"]): one for one in cluster(root)}
    deployment = kinds["Deployment", "offerlog"]["spec"]
    pod = deployment["template"]["spec"]
    (main,) = pod["containers"]
    labels = deployment["template"]["metadata"]["labels"]
    for kind in ("Service", "PodDisruptionBudget", "Deployment"):
        for one in (one for (of, _), one in kinds.items() if of == kind):
            selector = one["spec"]["selector"]
            assert selector.get("matchLabels", selector) == labels
    user = re.search(r"^USER (\d+):(\d+)$", (root / "Dockerfile").read_text(), re.MULTILINE)
    assert user is not None
    assert [pod["securityContext"][name] for name in ("runAsUser", "runAsGroup", "fsGroup")] == [10001] * 3
    assert user.groups() == ("10001", "10001")
    paths = {name: main[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert paths == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
    volumes = {one["name"] for one in pod["volumes"]}
    for container in (*pod["initContainers"], main):
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert {one["name"] for one in container["volumeMounts"]} <= volumes
    assert deployment["replicas"] > kinds["PodDisruptionBudget", "offerlog"]["spec"]["minAvailable"]
    assert "stringData" not in (root / "contrib/kubernetes/offerlog.yaml").read_text()
