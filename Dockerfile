# Image of Sidegate: one environment in /opt/sidegate on a slim Python, an unprivileged user, no shell needed to run.
#
#   docker build --build-arg VERSION=0.1.0 --build-arg REVISION="$(git rev-parse HEAD)" \
#                --build-arg CREATED="$(date -u +%Y-%m-%dT%H:%M:%SZ)" --tag sidegate:0.1.0 .
#
# Pin both bases by digest for a release; a tag may change under the same name:
#
#   --build-arg BUILD_IMAGE=python:3.11-bookworm@sha256:…  --build-arg RUNTIME_IMAGE=python:3.11-slim-bookworm@sha256:…
#
# `docker buildx imagetools inspect python:3.11-slim-bookworm` prints the digest. Both must be of the same Python.
ARG BUILD_IMAGE=python:3.11-bookworm
ARG RUNTIME_IMAGE=python:3.11-slim-bookworm

FROM ${BUILD_IMAGE} AS build
WORKDIR /build
# In an order in which a change of our source does not fetch the dependencies again.
COPY requirements/run.txt requirements/compile.txt requirements/
COPY scripts/image-install.sh scripts/image-install.sh
RUN ["sh", "scripts/image-install.sh", "wheels", "requirements/run.txt", "requirements/compile.txt", "/wheels"]
COPY pyproject.toml README.md LICENSE ./
COPY scripts/compile_hook.py scripts/compile_hook.py
COPY src src
# The data path compiled to C: a fifth less CPU per request (docs/decisions/0100-compiling-the-data-path.md).
ENV SIDEGATE_COMPILE=1
RUN ["sh", "scripts/image-install.sh", "install", ".", "/wheels", "/opt/sidegate"]

FROM ${RUNTIME_IMAGE}
ARG RUNTIME_IMAGE
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="Sidegate" \
      org.opencontainers.image.description="Sidecar authorization proxy: decides, enforces and records every request" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="${RUNTIME_IMAGE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"

# The only folder that is written: spool and state. Mount a volume there; everything else may be read-only.
RUN ["install", "-d", "-m", "0750", "-o", "65532", "-g", "65532", "/var/lib/sidegate"]
COPY --from=build /opt/sidegate /opt/sidegate

ENV PATH=/opt/sidegate/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    SIDEGATE_CONFIG=/etc/sidegate/sidegate.yaml
# By number, so that a cluster can tell that it is not root.
USER 65532:65532
WORKDIR /var/lib/sidegate
VOLUME ["/var/lib/sidegate"]
EXPOSE 8080 9090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["/opt/sidegate/bin/python", "-I", "-m", "sidegate.cli.health"]
ENTRYPOINT ["/opt/sidegate/bin/sidegate"]
CMD ["run"]
