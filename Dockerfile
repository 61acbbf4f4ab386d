# syntax=docker/dockerfile:1
# `stages`: the five stages and promoctl. `sandbox`: the stand-in for the money service, for demos alone.

FROM rust:1.95.0-slim-bookworm AS build
# The image's own toolchain, instead of the one that rust-toolchain.toml would fetch clippy and rustfmt for.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --release --locked \
      --bin loader --bin dispatcher --bin payer --bin retrier --bin summarizer --bin promoctl --bin money-sandbox \
    && mkdir -p /out/bin /out/sandbox /out/data \
    && cp target/release/loader target/release/dispatcher target/release/payer target/release/retrier \
      target/release/summarizer target/release/promoctl /out/bin/ \
    && cp target/release/money-sandbox /out/sandbox/

# Debug variant: a shell-less image has no program that could ask the sandbox for its health; busybox has one.
FROM gcr.io/distroless/cc-debian12:debug-nonroot AS sandbox
COPY --from=build /out/sandbox/ /usr/local/bin/
# A volume that is mounted here belongs to the user, too.
COPY --from=build --chown=65532:65532 /out/data/ /data/
USER 65532:65532
CMD ["money-sandbox", "--addr", "0.0.0.0:8080"]

# The last stage is what a plain `docker build` makes. No shell, no curl: a stage is its own probe (--healthcheck).
FROM gcr.io/distroless/cc-debian12:nonroot AS stages
COPY --from=build /out/bin/ /usr/local/bin/
USER 65532:65532
CMD ["promoctl", "--help"]
