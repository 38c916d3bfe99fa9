"""Check container, compose, Kubernetes and systemd files with the tools of those who read them: `make deploy-check`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from deploy.watch.check import PACKAGES, Check, run

PACKAGES |= {
    "hadolint": "the dependency group deploy",
    "check-jsonschema": "the dependency group deploy",
    "kubernetes-validate": "the dependency group deploy",
    "kubectl": "kubectl 1.27 or newer",
    "systemd-analyze": "Debian's systemd",
    "buildah": "Debian's buildah",
    "debootstrap": "Debian's debootstrap",
}

COMPOSE = "deploy/compose/compose.yaml"


def _module(name: str) -> tuple[str, ...]:
    return sys.executable, "-m", f"deploy.packages.{name}"


CHECKS: tuple[Check, ...] = (
    Check("Dockerfile", ("hadolint", "deploy/docker/Dockerfile"), ("hadolint",)),
    Check("compose", ("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE), ("check-jsonschema",)),
    Check("configurations", _module("check_configurations")),
    Check("Kubernetes", _module("check_manifests"), ("kubectl", "kubernetes-validate", "npm")),
    Check("systemd unit", _module("check_unit"), ("systemd-analyze",)),
    Check("image, built and run", _module("check_image"), ("buildah", "debootstrap")),
)


def main() -> int:
    """Exit code 1 if a check has failed, or could not be made where BACKSTAY_CI is set."""
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return int(bool(run(CHECKS, strict="BACKSTAY_CI" in os.environ)))


if __name__ == "__main__":
    sys.exit(main())
