//! From the addresses of a profile's stacks to the frames that are shown.

use super::mapped::{self, MappedFile};
use super::{Key, Shown};
use crate::debug::symbol::{self, Frame, Frames, Origin};
use std::collections::HashMap;
use std::ops::Range;

/// The frames of all the addresses of a profile, each looked up once.
pub(crate) struct Names {
    frames: HashMap<usize, Frames>,
    files: Vec<MappedFile>,
}

/// One call of a stack: its address, and which of its frames (inlined functions, the innermost first) are shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Call {
    pub(crate) address: usize,
    pub(crate) frames: Range<usize>,
}

impl Names {
    pub(crate) fn of<'a>(keys: impl Iterator<Item = &'a Key>) -> Self {
        let mut addresses: Vec<usize> = keys.flat_map(|key| key.stack.iter().copied()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        let frames = symbol::resolve(&addresses);
        Self { frames: addresses.into_iter().zip(frames).collect(), files: mapped::files() }
    }

    /// The calls of a stack that are shown, the innermost first.
    pub(crate) fn calls(&self, stack: &[usize], shown: Shown) -> Vec<Call> {
        let all: Vec<(usize, usize, &Frame)> = stack
            .iter()
            .flat_map(|&address| self.frames[&address].iter().enumerate().map(move |(n, frame)| (address, n, frame)))
            .collect();
        let frames: Vec<&Frame> = all.iter().map(|&(_, _, frame)| frame).collect();
        let mut calls: Vec<Call> = Vec::new();
        let mut before = None;
        for &(address, n, _) in &all[visible(&frames, shown)] {
            // A call that occurs twice in a row (recursion) begins anew with its first frame.
            match calls.last_mut().filter(|call| call.address == address && before.is_some_and(|b| b + 1 == n)) {
                Some(call) => call.frames.end = n + 1,
                None => calls.push(Call { address, frames: n..n + 1 }),
            }
            before = Some(n);
        }
        calls
    }

    /// The frames of a call that are shown.
    pub(crate) fn frames(&self, call: &Call) -> &[Frame] {
        &self.frames[&call.address][call.frames.clone()]
    }

    /// What the function of a frame is called. Where nothing is known, by the file that its code is of.
    pub(crate) fn function(&self, frame: &Frame, address: usize) -> String {
        if let Some(function) = &frame.function {
            return function.clone();
        }
        match self.files.iter().find(|file| file.contains(address as u64)) {
            Some(file) => format!("[{}]", file.path.rsplit('/').next().unwrap_or_default().trim_matches(['[', ']'])),
            None => format!("{address:#x}"),
        }
    }
}

fn visible(frames: &[&Frame], shown: Shown) -> Range<usize> {
    match shown {
        Shown::CallsOfTheUser => symbol::visible(frames),
        Shown::Everything => match frames.iter().rposition(|frame| frame.origin == Origin::User) {
            Some(last) => 0..last + 1,
            None => 0..frames.len(),
        },
    }
}
