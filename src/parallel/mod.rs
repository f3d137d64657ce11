//! Bounded parallelism: loops whose bodies run at the same time, at most so many at once.
//!
//! | to … | use |
//! | --- | --- |
//! | run a loop in parallel, and wait for it | [`map`], [`for_each`], [`try_map`], [`try_for_each`] |
//! | read results in order while later ones are worked on | [`ordered`] |
//!
//! All of these take their items one by one, from any iterator, and only when there is a goroutine for the next.
//! The first failure ends the loop with the outcome that a plain loop would have had: see [`map`].

mod map;
mod ordered;

pub use map::{for_each, map, try_for_each, try_map};
pub use ordered::{Ordered, ordered};
