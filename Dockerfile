# syntax=docker/dockerfile:1

# The Socket.IO client, embedded by the server.
FROM node:24-slim AS client
WORKDIR /parlor
COPY package.json package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --omit=dev --no-audit --no-fund

FROM rust:1-slim-trixie AS build
# For the allocator's build.
RUN apt-get -qq update && apt-get -qq install -y --no-install-recommends make && rm -rf /var/lib/apt/lists/*
WORKDIR /parlor
COPY --from=client /parlor/node_modules node_modules
COPY Cargo.toml Cargo.lock build.rs ./
COPY bench/Cargo.toml bench/
COPY examples/conformance/Cargo.toml examples/conformance/
COPY testkit/Cargo.toml testkit/
# Stand-ins for targets in the workspace's manifests: cargo requires them, and builds none of them.
RUN mkdir -p bench/src bench/benches examples/clients examples/conformance/src testkit/src && \
    touch bench/src/lib.rs bench/benches/soak.rs bench/benches/writer.rs examples/clients/rust.rs \
    examples/conformance/src/lib.rs testkit/src/lib.rs
COPY migrations migrations
COPY static static
COPY src src
# Cargo compares file times, and a cached build may be newer than the sources. Touching these has cargo build Parlor
# anew, and nothing else.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/parlor/target,sharing=locked \
    touch build.rs src/lib.rs src/main.rs && \
    cargo build --release --locked && \
    cp target/release/parlor /usr/local/bin/

# The same Debian as the build's, as the program links to its C library.
FROM debian:trixie-slim
RUN install --directory --owner=10001 --group=10001 /data
COPY --from=build /usr/local/bin/parlor /usr/local/bin/
USER 10001:10001
ENV DATABASE_URL=sqlite:///data/parlor.db PORT=3000
VOLUME /data
EXPOSE 3000
STOPSIGNAL SIGTERM
# The image has no curl, so bash sends the request.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/${PORT:-3000} && printf 'GET /healthz HTTP/1.0\r\n\r\n' >&3 && grep -q ok <&3"]
ENTRYPOINT ["parlor"]
