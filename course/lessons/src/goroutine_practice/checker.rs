//! The link checker.

use super::fetch::Problem;
use lisle::context::{Context, Error};
use lisle::sync::{Mutex, Semaphore, WaitGroup};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Gets a page and gives the links on it.
pub(super) type Fetch = fn(&Context, &str) -> Result<Vec<String>, Problem>;

pub(super) struct Checker {
    ctx: Context,
    fetch: Fetch,
    places: Semaphore,
    group: WaitGroup,
    seen: Mutex<HashSet<String>>,
    broken: Mutex<BTreeMap<String, Problem>>,
    checked: AtomicUsize,
}

/// What has been found.
pub(super) struct Found {
    /// Links that were known of.
    pub(super) links: usize,
    /// Links that were got, or found to be broken.
    pub(super) checked: usize,
    pub(super) broken: BTreeMap<String, Problem>,
}

impl Checker {
    pub(super) fn new(ctx: &Context, at_once: usize, fetch: Fetch) -> Arc<Self> {
        Arc::new(Self {
            ctx: ctx.clone(),
            fetch,
            places: Semaphore::new(at_once),
            group: WaitGroup::new(),
            seen: Mutex::default(),
            broken: Mutex::default(),
            checked: AtomicUsize::new(0),
        })
    }

    /// Checks a page and all that can be reached from it.
    pub(super) fn check(self: &Arc<Self>, start: &str) -> Found {
        self.visit(start.to_owned());
        self.group.wait();
        self.found()
    }

    // ANCHOR: all_at_once
    /// A goroutine for the link, unless it has been seen. It visits what it finds before it ends.
    pub(super) fn visit(self: &Arc<Self>, link: String) {
        if !self.seen.lock().unwrap().insert(link.clone()) {
            return;
        }
        let checker = Arc::clone(self);
        self.group.go(move || {
            if checker.look_at(&link).is_ok() {
                checker.checked.fetch_add(1, Relaxed);
            }
        });
    }

    fn look_at(self: &Arc<Self>, link: &str) -> Result<(), Error> {
        let _place = self.ctx.acquire(&self.places, 1)?;
        match (self.fetch)(&self.ctx, link) {
            Ok(links) => links.into_iter().for_each(|link| self.visit(link)),
            Err(Problem::GivenUp(error)) => return Err(error),
            Err(problem) => drop(self.broken.lock().unwrap().insert(link.to_owned(), problem)),
        }
        Ok(())
    }
    // ANCHOR_END: all_at_once

    /// So far.
    pub(super) fn found(&self) -> Found {
        Found {
            links: self.seen.lock().unwrap().len(),
            checked: self.checked.load(Relaxed),
            broken: self.broken.lock().unwrap().clone(),
        }
    }
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} links checked, {} broken", self.checked, self.links, self.broken.len())?;
        let mut kinds = BTreeMap::new();
        for problem in self.broken.values() {
            *kinds.entry(problem.to_string()).or_insert(0) += 1;
        }
        kinds.iter().try_for_each(|(kind, count)| write!(f, "; {count} x {kind}"))
    }
}
