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
//! What `blocking` runs goes to another thread:
//! ```compile_fail,E0277
//! let local = std::rc::Rc::new(1);
//! lisle::blocking(|| println!("{local}"));
//! ```
