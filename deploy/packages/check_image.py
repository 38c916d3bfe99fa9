"""Build the images as their Dockerfiles say on a Debian of our own, and run the daemon: no root, read-only files.

    python -m deploy.packages.check_image

Needs root and the network of the package registries; takes a minute or two. Everything is made in a temporary folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BASE, IMAGE, PAGES = "localhost/backstay-base", "localhost/backstay", "localhost/backstay-docs"
RUNBOOK = "site/runbooks/BackstayTargetDown.html"
USER = "65532"
SUITE, PACKAGES = "bookworm", "python3,python3-venv,ca-certificates"
FROM_HOST = ("/etc/ssl/certs", "/etc/pip.conf", "/etc/resolv.conf")
"""How this machine reaches its registries: the build does it in the same way."""

SCRIPT = """
set -eu
test "$(id -u)" = 65532
! touch /opt/anything /etc/backstay/anything /anything 2>/dev/null
export BACKSTAY_CONFIG= BACKSTAY_RELAYS__SIMULATOR__LISTEN=127.0.0.1:0 BACKSTAY_HTTP__LISTEN=127.0.0.1:0
export BACKSTAY_RELAYS__SIMULATOR__GATEWAY=simulator BACKSTAY_GATEWAYS__SIMULATOR__ENDPOINTS=127.0.0.1:4002
backstay run --simulator >/run/backstay/out 2>&1 &
pid=$!
for attempt in $(seq 60); do
    if backstay health --live >/dev/null 2>&1; then
        kill -TERM $pid
        wait $pid
        exit 0
    fi
    sleep 0.5
done
cat /run/backstay/out
exit 1
"""


def _run(*command: str, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(  # noqa: S603
        command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}")
    return done.stdout.strip()


class Builder:
    """buildah, with all that it keeps in one folder."""

    def __init__(self, folder: Path) -> None:
        self._storage = ("--root", str(folder / "storage"), "--runroot", str(folder / "run"))
        self._env = {**os.environ, "STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}

    def __call__(self, verb: str, *words: str) -> str:
        """What this command of buildah says."""
        return _run("buildah", *self._storage, verb, *words, env=self._env)

    def base(self, folder: Path) -> None:
        """A Debian with Python, as an image to build on."""
        _run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(folder))
        container = self("from", "scratch")
        self("add", container, str(folder), "/")
        self("commit", "--rm", container, BASE)

    def build(self, name: str, ignored: str, tag: str) -> None:
        """An image, by its Dockerfile."""
        volumes = [f"--volume={path}:{path}:ro" for path in FROM_HOST if Path(path).exists()]
        file = f"--file=deploy/docker/{name}"
        arguments = f"--build-arg=PYTHON_IMAGE={BASE}"
        self(
            "bud",
            "--pull-never",
            "--format=docker",
            f"--ignorefile={ignored}",
            arguments,
            *volumes,
            file,
            f"--tag={tag}",
            ".",
        )

    @contextmanager
    def mounted(self, image: str) -> Iterator[Path]:
        """The files of an image."""
        container = self("from", "--pull-never", image)
        try:
            yield Path(self("mount", container))
        finally:
            self("umount", container)
            self("rm", container)


@contextmanager
def mounted(source: str, target: Path, *options: str) -> Iterator[None]:
    """A mount that goes again."""
    _run("mount", *options, source, str(target))
    try:
        yield
    finally:
        _run("umount", "--lazy", str(target))  # a process that was started there may still be on its way out


def run_read_only(root: Path, environment: Sequence[str]) -> None:
    """Run the image's daemon on its file system, which is read-only but for state and sockets."""
    with ExitStack() as stack:
        stack.enter_context(mounted(str(root), root, "--bind"))
        for place in ("run/backstay", "var/lib/backstay", "tmp"):
            owner = f"uid={USER},gid={USER},mode=0700"
            stack.enter_context(mounted("tmpfs", root / place, "-t", "tmpfs", "-o", owner))
        stack.enter_context(mounted("proc", root / "proc", "-t", "proc"))
        stack.enter_context(mounted("/dev", root / "dev", "--bind"))
        _run("mount", "-o", "remount,bind,ro", str(root))
        chroot = ("chroot", f"--userspec={USER}:{USER}", "--groups=", str(root))
        _run(*chroot, "/usr/bin/env", "-i", *environment, "/bin/sh", "-c", SCRIPT)


def main() -> int:
    """Exit code 1, with what was said, if the image cannot be built or does not run."""
    if os.geteuid() != 0:
        print("needs root, for debootstrap and mounts", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="backstay-image-") as name:
        folder = Path(name)
        builder = Builder(folder)
        builder.base(folder / "debian")
        builder.build("Dockerfile", ".dockerignore", IMAGE)
        builder.build("docs.Dockerfile", "deploy/docker/docs.Dockerfile.dockerignore", PAGES)
        environment = builder("inspect", "--type=image", "--format={{range .OCIv1.Config.Env}}{{.}}\n{{end}}", IMAGE)
        with builder.mounted(IMAGE) as root:
            run_read_only(root, environment.split())
        with builder.mounted(PAGES) as root:
            if not (root / RUNBOOK).is_file():
                print(f"the image of the documentation has no {RUNBOOK}", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
