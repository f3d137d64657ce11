//! The half of the programs that is in C, compiled as any package compiles its own.

fn main() {
    println!("cargo::rerun-if-changed=src/counter.c");
    cc::Build::new().file("src/counter.c").compile("counter");
}
