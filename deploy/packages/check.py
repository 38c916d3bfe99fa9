"""Check container, compose, Kubernetes and systemd files with the tools of those who read them: `make deploy-check`."""

from __future__ import annotations

import sys

from deploy.checks import Check, exit_code

COMPOSE = "deploy/compose/compose.yaml"
DOCKERFILES = ("deploy/docker/Dockerfile", "deploy/docker/docs.Dockerfile")


def _module(name: str) -> tuple[str, ...]:
    return sys.executable, "-m", f"deploy.packages.{name}"


CHECKS: tuple[Check, ...] = (
    Check("Dockerfiles", ("hadolint", *DOCKERFILES), ("hadolint",)),
    Check("compose", ("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE), ("check-jsonschema",)),
    Check("what compose's services find", _module("check_compose")),
    Check("configurations", _module("check_configurations")),
    Check("Kubernetes", _module("check_manifests"), ("kubectl", "kubernetes-validate", "npm")),
    Check("systemd unit", _module("check_unit"), ("systemd-analyze", "unshare")),
    Check("image, built and run", _module("check_image"), ("buildah", "debootstrap")),
)


if __name__ == "__main__":
    sys.exit(exit_code(CHECKS))
