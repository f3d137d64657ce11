//! The exercises, as they are shipped: those that compile. Each is a module.

#![allow(dead_code, unused_imports, unused_variables)]

include!(concat!(env!("OUT_DIR"), "/shipped.rs"));

fn main() {}
