//! What must not compile, as doctests.
//!
//! A closure that is not `Send` may not go to another worker:
//! ```compile_fail,E0277
//! let shared = std::rc::Rc::new(1);
//! lisle::go(move || drop(shared));
//! ```
//! Nor may its result:
//! ```compile_fail,E0277
//! lisle::go(|| std::rc::Rc::new(1));
//! ```
//! A goroutine may not borrow from a caller that may end before it:
//! ```compile_fail,E0373
//! let local = 1;
//! lisle::go(|| println!("{local}"));
//! ```
//! The handle of a local goroutine stays on its thread:
//! ```compile_fail,E0277
//! lisle::run(|| {
//!     let handle = lisle::go_local(|| 1);
//!     lisle::go(move || handle.join());
//! });
//! ```
//! A borrow may not leave its scope:
//! ```compile_fail,E0597
//! let handle = lisle::scope(|s| {
//!     let local = 1;
//!     s.go(|| println!("{local}"));
//! });
//! ```
//! ```compile_fail,E0521
//! let mut kept = None;
//! lisle::scope(|s| kept = Some(s.go(|| 1)));
//! ```
//! Neither may two goroutines borrow the same thing mutably:
//! ```compile_fail,E0499
//! let mut counter = 0;
//! lisle::scope(|s| {
//!     s.go(|| counter += 1);
//!     s.go(|| counter += 1);
//! });
//! ```
//! A guard stays with the goroutine that locked:
//! ```compile_fail,E0277
//! static LOCK: lisle::sync::Mutex<u8> = lisle::sync::Mutex::new(0);
//! let guard = LOCK.lock().unwrap();
//! lisle::go(move || drop(guard));
//! ```
//! Members of groups and tasks of pools go to other workers, and so do results:
//! ```compile_fail,E0277
//! let shared = std::rc::Rc::new(1);
//! lisle::errgroup::Group::<()>::new().go(move || Ok(drop(shared)));
//! ```
//! ```compile_fail,E0277
//! let shared = std::rc::Rc::new(1);
//! let _ = lisle::pool::Pool::builder().build().submit(move || drop(shared));
//! ```
//! ```compile_fail,E0277
//! let _ = lisle::pool::Pool::builder().build().submit(|| std::rc::Rc::new(1));
//! ```
//! Calls of a parallel loop share what they borrow:
//! ```compile_fail,E0277
//! let sum = std::cell::Cell::new(0);
//! lisle::parallel::for_each(2, 0..10, |n| sum.set(sum.get() + n));
//! ```
//! ```compile_fail,E0594
//! let mut sum = 0;
//! lisle::parallel::for_each(2, 0..10, |n| sum += n);
//! ```
//! The results of shared work go to all who wait:
//! ```compile_fail,E0277
//! let group = lisle::singleflight::Group::new();
//! let other = group.clone();
//! lisle::go(move || drop(other.run("key", || std::rc::Rc::new(1)).shared));
//! ```
//! What a context carries is shared by all who have it:
//! ```compile_fail,E0277
//! struct Counter;
//! impl lisle::context::Key for Counter {
//!     type Value = std::cell::Cell<u32>;
//! }
//! ```
//! Who has waited for a group has it no more:
//! ```compile_fail,E0382
//! let group = lisle::errgroup::Group::<()>::new();
//! let _ = group.wait();
//! group.go(|| Ok(()));
//! ```
//! What `blocking` runs goes to another thread:
//! ```compile_fail,E0277
//! let local = std::rc::Rc::new(1);
//! lisle::blocking(|| println!("{local}"));
//! ```
//! A select without an operation would wait for ever (`tests/channel.rs` looks at the messages of these):
//! ```compile_fail
//! lisle::select! {}
//! ```
//! ```compile_fail
//! lisle::select_biased! {}
//! ```
//! A default has no result, and stands once:
//! ```compile_fail
//! lisle::select! { default(std::time::Duration::ZERO) -> _ => {} }
//! ```
//! ```compile_fail
//! lisle::select! { default: {} }
//! ```
//! ```compile_fail
//! lisle::select! { default => {}, default => {} }
//! ```
