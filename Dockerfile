# tidewatch in a container. docs/operations.md explains how to run it with the privileges that a monitor needs.
# Both base images can be replaced or pinned: --build-arg BASE=debian:trixie-slim@sha256:…
ARG BUILDER=node:24.21.0-trixie-slim
ARG BASE=debian:trixie-slim

FROM ${BUILDER} AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
# Skipped if the builder image already contains exactly these modules.
RUN cmp -s package-lock.json node_modules/.installed-lock.json || npm install
COPY . .
RUN node systemd/build.ts /usr/lib/tidewatch && cp "$(readlink -f "$(command -v node)")" /usr/lib/tidewatch/node

FROM ${BASE}
COPY --from=build /usr/lib/tidewatch /usr/lib/tidewatch
COPY systemd/deb/tidewatch /usr/bin/tidewatch
COPY systemd/image/tidewatch.yml /etc/tidewatch/tidewatch.yml
ENV TIDEWATCH_STATE_DIRECTORY=/var/lib/tidewatch
VOLUME /var/lib/tidewatch
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD ["tidewatch", "check-ready"]
ENTRYPOINT ["tidewatch"]
CMD ["run"]
