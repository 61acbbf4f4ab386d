//! The Dockerfile, which nobody could build where it was written.

use crate::support;

#[test]
fn the_image_is_built_by_the_toolchain_of_the_workspace() {
    let toolchain: toml::Table = support::text("rust-toolchain.toml").parse().unwrap();
    let version = toolchain["toolchain"]["channel"].as_str().unwrap().to_owned();
    let dockerfile = support::text("Dockerfile");
    assert!(dockerfile.contains(&format!("FROM rust:{version}-")), "{version}");
    assert!(dockerfile.contains(&format!("RUSTUP_TOOLCHAIN={version}\n")), "{version}");
}

#[test]
fn it_holds_every_program_that_the_compose_file_and_the_manifests_start() {
    let dockerfile = support::text("Dockerfile");
    for program in ["loader", "dispatcher", "payer", "retrier", "summarizer", "promoctl", "money-sandbox"] {
        assert!(dockerfile.contains(&format!("--bin {program}")), "{program} is not built");
        assert!(dockerfile.contains(&format!("target/release/{program}")), "{program} is not taken over");
        let there =
            ["stages", "tools"].iter().any(|folder| support::path(&format!("{folder}/{program}/src/main.rs")).exists());
        assert!(there, "there is no {program}");
    }
}

#[test]
fn it_runs_as_a_numeric_user_without_a_shell_and_its_build_reads_all_of_the_source() {
    let dockerfile = support::text("Dockerfile");
    let (_, last) = dockerfile.rsplit_once("\nFROM ").unwrap();
    assert!(last.starts_with("gcr.io/distroless/cc-debian12:nonroot AS stages\n"), "{last}");
    assert!(last.contains("\nUSER 65532:65532\n"));
    let ignored = support::text(".dockerignore");
    for part in ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "pipeline", "stages", "tools", "migrations"] {
        assert!(ignored.lines().any(|line| line == format!("!{part}")), "{part} is not sent to the build");
    }
}
