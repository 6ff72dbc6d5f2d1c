# Runs all tests: `docker compose run --rm test`. A separate file, because the classic builder would otherwise
# run it in every build of the image.
ARG RUST_IMAGE=rust:1.95-slim-bookworm

FROM ${RUST_IMAGE}
WORKDIR /build
COPY docker/install-needs.sh docker/
RUN docker/install-needs.sh
# Build only the dependencies first: this layer is cached until Cargo.lock changes.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src tests/bench \
    && echo 'fn main() {}' | tee src/main.rs tests/bench/limits.rs tests/bench/queue.rs > build.rs \
    && touch src/lib.rs tests/tests.rs \
    && cargo test --locked --no-run \
    && rm -r src tests build.rs
COPY . .
# The placeholder files above are newer than the sources.
RUN touch build.rs src/main.rs src/lib.rs tests/tests.rs tests/bench/*.rs \
    && cargo test --locked --no-run
CMD ["cargo", "test", "--locked", "--offline"]
