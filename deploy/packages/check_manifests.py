"""Check that Kubernetes and the Prometheus operator know every field of the overlays, and what these mean together.

    python -m deploy.packages.check_manifests

Kinds of Kubernetes are checked by kubernetes-validate; those of the operator by the compiler, against its published
TypeScript types, which npm fetches into a temporary folder; the meaning by `deploy.packages.meaning`. Each checker has
to find a mistake first.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from deploy.packages.meaning import DAEMON, NAME, misunderstandings
from deploy.typescript import compiled, types

OVERLAYS = Path(__file__).resolve().parents[1] / "kubernetes" / "overlays"
OPERATOR = "monitoring.coreos.com/v1"
OPERATOR_TYPES = "@kubernetes-models/prometheus-operator"
OPERATOR_VERSION = "6"
MISTAKES = (("StatefulSet", '"serviceName"', '"servicName"'), ("PodMonitor", '"podMetricsEndpoints"', '"podMetric"'))
"""What is put wrong, in which kind, to see that it is found."""

Manifest = dict[str, Any]


def rewritten(manifests: list[Manifest]) -> list[Manifest]:
    """With the daemon's label in every selector of its policy: what `includeSelectors` makes of others' pods."""
    spoilt = json.loads(json.dumps(manifests))
    for one in spoilt:
        if one["kind"] == "NetworkPolicy":
            for rule in (*one["spec"].get("ingress", ()), *one["spec"].get("egress", ())):
                for peer in (*rule.get("from", ()), *rule.get("to", ())):
                    peer.get("podSelector", {}).setdefault("matchLabels", {})[NAME] = DAEMON
    return spoilt


def render(overlay: Path) -> list[Manifest]:
    """The objects of an overlay."""
    command = ("kubectl", "kustomize", str(overlay))
    done = subprocess.run(command, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)  # noqa: S603
    if done.stderr:
        raise SystemExit(done.stderr)
    return list(yaml.safe_load_all(done.stdout))


def of_kubernetes(folder: Path, manifests: list[Manifest]) -> str:
    """What kubernetes-validate has to say; empty if all fit."""
    path = folder / "objects.yaml"
    path.write_text(yaml.safe_dump_all(manifests), encoding="utf-8")
    command = ("kubernetes-validate", "--strict", "--quiet", str(path))
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return "" if done.returncode == 0 else done.stdout + done.stderr


def of_operator(folder: Path, manifests: list[Manifest]) -> str:
    """What the compiler has to say; empty if all fit."""
    sources = {f"object{number}": _typed(manifest["kind"], manifest) for number, manifest in enumerate(manifests)}
    return compiled(folder, sources)


def _typed(kind: str, manifest: Manifest) -> str:
    source = f'import type {{ I{kind} }} from "{OPERATOR_TYPES}/{OPERATOR}/{kind}";'
    return f"{source}\n({json.dumps(manifest)}) satisfies I{kind};\n"


def problems(folder: Path, manifests: list[Manifest]) -> str:
    """Everything that is wrong with these objects."""
    theirs = [manifest for manifest in manifests if manifest["apiVersion"] == OPERATOR]
    ours = [manifest for manifest in manifests if manifest["apiVersion"] != OPERATOR]
    return (of_kubernetes(folder, ours) if ours else "") + (of_operator(folder, theirs) if theirs else "")


def main() -> int:
    """Exit code 1 if an object does not fit, or if one that cannot fit is taken for good."""
    found = ""
    with types(f"{OPERATOR_TYPES}@{OPERATOR_VERSION}") as folder:
        for overlay in sorted(OVERLAYS.iterdir()):
            manifests = render(overlay)
            found += problems(folder, manifests)
            found += "".join(f"{overlay.name}: {one}\n" for one in misunderstandings(manifests))
            spoilt = misunderstandings(rewritten(manifests))
            found += "" if spoilt else f"{overlay.name}: rewritten selectors are not found\n"
            for kind, right, wrong in MISTAKES:
                spoilt = [json.loads(json.dumps(m).replace(right, wrong)) for m in manifests if m["kind"] == kind]
                found += "" if problems(folder, spoilt) else f"{overlay.name}: {wrong} is not found\n"
    sys.stderr.write(found)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
