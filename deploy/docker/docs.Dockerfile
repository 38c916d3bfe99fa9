# This documentation as a site on port 8000, where alerts link to: two stages, no root, nothing writable.
#   docker build -f deploy/docker/docs.Dockerfile -t backstay-docs .
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /source
COPY . .
RUN python3 -m venv /opt/docs \
    && /opt/docs/bin/python -m pip install --no-cache-dir --disable-pip-version-check --upgrade "pip>=25.1" \
    && /opt/docs/bin/python -m pip install --no-cache-dir --group docs \
    && NO_MKDOCS_2_WARNING=1 /opt/docs/bin/mkdocs build --quiet --strict

FROM ${PYTHON_IMAGE}
COPY --from=build /source/build/site /site
USER 65532:65532
EXPOSE 8000
CMD ["python3", "-m", "http.server", "--directory", "/site", "8000"]
