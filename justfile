# The same recipes as in CI.

fmt:
    cargo fmt --check

lint:
    cargo clippy --all-targets -- -D warnings
    cargo clippy --all-targets --no-default-features --features k8s-openapi/latest -- -D warnings

test:
    REQUIRE_ROOT=1 cargo test

# The tests that need neither root nor Linux.
test-any:
    cargo test --lib api:: store:: apiserver:: client:: reconcile:: controllers:: scheduler::

# The tests that ask the kernel.
test-linux:
    REQUIRE_ROOT=1 cargo test --test linux

# The quickstart and the Linux tests on cgroup v2, in a virtual machine.
test-v2 *scenes:
    bash tests/vm/run {{scenes}}

# More seeds of the simulations.
sim seeds="1000":
    CORACLE_SEEDS={{seeds}} cargo test --release --lib -- seeds replay

bench:
    cargo bench --bench door
    cargo run --release --example bench_pods

doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps
