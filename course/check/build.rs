//! Makes each exercise a module of the example of its kind, so that all are compiled in one go.

use std::fmt::Write;
use std::path::PathBuf;

fn main() {
    let exercises = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("../exercises");
    let exercises = exercises.canonicalize().unwrap();
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap());
    let expected = include_str!("expected.txt");
    println!("cargo::rerun-if-changed=expected.txt");
    for (kind, folder) in [("shipped", "exercises"), ("solved", "solutions"), ("wrong", "wrong")] {
        println!("cargo::rerun-if-changed={}", exercises.join(folder).display());
        let mut text = String::new();
        let mut chapters: Vec<_> =
            exercises.join(folder).read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
        chapters.sort();
        let files = chapters.into_iter().filter(|path| path.is_dir()).flat_map(|chapter| chapter.read_dir().unwrap());
        for path in files.map(|entry| entry.unwrap().path()) {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let refused = expected.lines().any(|line| line.starts_with(&format!("{name} | E0")));
            if kind != "shipped" || !refused {
                writeln!(text, "#[path = {path:?}]\nmod {name};").unwrap();
            }
        }
        std::fs::write(out.join(format!("{kind}.rs")), text).unwrap();
    }
}
