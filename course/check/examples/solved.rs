//! The exercises, as solved. Each is a module.

#![allow(dead_code, unused_imports, unused_variables)]

include!(concat!(env!("OUT_DIR"), "/solved.rs"));

fn main() {}
