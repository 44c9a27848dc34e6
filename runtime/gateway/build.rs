//! Leaves the symbols out of the release binary: cargo forgets the profile's `strip` for a package whose optimisation the
//! workspace sets by itself.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        println!("cargo::rustc-link-arg-bins=-Wl,--strip-all");
    }
}
