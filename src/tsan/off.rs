//! `tsan` where the program is not built for ThreadSanitizer: nothing is told, and nothing is kept. See `on.rs`.

/// Whether ThreadSanitizer watches.
pub(crate) const IS_ON: bool = false;

pub(crate) struct Quiet;

#[inline(always)]
pub(crate) const fn quiet() -> Quiet {
    Quiet
}

pub(crate) struct Loud;

#[inline(always)]
pub(crate) const fn loud() -> Loud {
    Loud
}

pub(crate) struct Fiber;

pub(crate) struct Back;

impl Fiber {
    pub(crate) const fn none() -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn create(&self, _id: u64, _name: Option<&str>) {}

    #[inline(always)]
    pub(crate) fn enter(&self) -> Back {
        Back
    }

    #[inline(always)]
    pub(crate) fn leave(&self, _back: Back, _ended: bool) {}

    #[inline(always)]
    pub(crate) fn share_thread(&self) {}

    #[inline(always)]
    pub(crate) fn retire(&self, _id: u64, _name: Option<&str>) {}

    #[inline(always)]
    pub(crate) fn cancel(&self) {}
}

#[inline(always)]
pub(crate) fn suspending() {}

#[inline(always)]
pub(crate) fn resumed() {}

#[inline(always)]
pub(crate) fn begin_thread() {}

#[inline(always)]
pub(crate) fn admit() -> std::io::Result<()> {
    Ok(())
}

#[inline(always)]
pub(crate) fn begin_stack(_low: usize, _high: usize) {}

#[inline(always)]
pub(crate) fn tell<E>(_edge: E) {}

#[inline(always)]
pub(crate) fn pass<P>(_channel: usize, _capacity: usize, _passage: P) {}

#[inline(always)]
pub(crate) fn access<A>(_access: A) {}

#[inline(always)]
pub(crate) fn end_explored() {}

#[inline(always)]
pub(crate) fn served() {}

#[inline(always)]
pub(crate) fn ended() {}
