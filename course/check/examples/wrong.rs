//! The exercises, with what is often tried first. Each is a module.

#![allow(dead_code, unused_imports, unused_variables)]

include!(concat!(env!("OUT_DIR"), "/wrong.rs"));

fn main() {}
