//! The migrations are embedded in the binaries: they are built anew when one changes.

fn main() {
    println!("cargo:rerun-if-changed=../migrations");
}
