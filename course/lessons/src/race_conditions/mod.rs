//! Lesson 3: what a data race is, what Rust makes of it, and what is left.

mod account;
mod counters;
mod unsafe_counter;

pub(crate) use account::explores_payments;

use crate::child;
use crate::lesson::{Lesson, Outcome, Section};

pub(crate) static LESSON: Lesson = Lesson {
    name: "race_conditions",
    title: "data races, and the races that are left",
    about: "\
A data race: two goroutines use the same variable at the same time, one of them writes, and nothing orders
the two. A race condition: the outcome depends on who comes first. Rust refuses to compile the first; the
second is yours to find.",
    sources: &[
        ("course/lessons/src/race_conditions/mod.rs", include_str!("mod.rs")),
        ("course/lessons/src/race_conditions/counters.rs", include_str!("counters.rs")),
        ("course/lessons/src/race_conditions/account.rs", include_str!("account.rs")),
        ("course/lessons/src/race_conditions/unsafe_counter.rs", include_str!("unsafe_counter.rs")),
        ("course/lessons/raced/shared_counter.rs", include_str!("../../raced/shared_counter.rs")),
        ("course/lessons/raced/plain_counter.rs", include_str!("../../raced/plain_counter.rs")),
        ("course/lessons/refused/shared_counter.rs", include_str!("../../refused/shared_counter.rs")),
        ("course/lessons/refused/borrowed_counter.rs", include_str!("../../refused/borrowed_counter.rs")),
        ("course/lessons/refused/counted_pointer.rs", include_str!("../../refused/counted_pointer.rs")),
    ],
    sections: &[
        Section {
            name: "refused_counter",
            title: "The classic race, as Rust sees it",
            coming: "Two goroutines add to one variable. In Go this compiles, and loses additions.",
            run: |_| ask("shared_counter", include_str!("../../refused/shared_counter.stderr")),
            why: "\
Each closure would hold a mutable borrow of `counter`, and there may be only one at a time. The rule was
made for memory safety; that it forbids data races is its other side. This is the compiler's own message,
asked just now.",
        },
        Section {
            name: "refused_borrow",
            title: "A borrow that may outlive its owner",
            coming: "A goroutine that is not bound to a scope borrows a local of `main`.",
            run: |_| ask("borrowed_counter", include_str!("../../refused/borrowed_counter.stderr")),
            why: "\
`go` does not know when the goroutine ends, so its closure must own all it uses. Either `move` a value into
it, or share one by `Arc`, or use `lisle::scope`, which ends only when its goroutines have.",
        },
        Section {
            name: "refused_pointer",
            title: "A type that is not made for sharing",
            coming: "An `Rc` counts its owners without a lock. A goroutine is to own one of its clones.",
            run: |_| ask("counted_pointer", include_str!("../../refused/counted_pointer.stderr")),
            why: "\
`Send` marks what may move to another thread. The compiler works it out for each type: an `Rc` is not
`Send`, what contains one is not either, and `go` asks for it. `Arc` counts by atomic instructions. On one
worker an `Rc` is fine: `go_local` takes it, as goroutine_basics has shown.",
        },
        Section {
            name: "lost_update",
            title: "What remains: lost updates",
            coming: "\
Four goroutines count to 50,000 each. All of it is safe code: one way reads an atomic and writes back one
more, the other adds in one step.",
            run: counters::lost_update,
            why: "\
Each `load` and each `store` is atomic, but not the two together: who stores last overwrites what others
have stored meanwhile. There is no data race here and nothing is undefined; it is just wrong. The
`yield_now` lets others come in between every time. Without it the window is a nanosecond wide, which
makes the bug rare, and not smaller. `fetch_add` reads and writes in one step.",
        },
        Section {
            name: "check_then_act",
            title: "What remains: check, then act",
            coming: "Ten customers want 100 each from an account that has 500. Each call locks the account.",
            run: account::check_then_act,
            why: "\
The lock was held while looking, and held while taking, but not from the one to the other: what was true
when it was checked was not true any more when it was acted upon. A lock protects what happens under it,
in one piece. Once the question and the act are one method, nobody can ask for one without the other.",
        },
        Section {
            name: "explorer",
            title: "The tool: all interleavings, and a seed that replays",
            coming: "\
The same account without the pause for thought. First as ever, 10,000 times; then under the explorer of
schedules, which lets another goroutine go first wherever one might.",
            run: account::explorer,
            why: "\
The window is a few nanoseconds wide, and no test would see it. `testing::check` runs the closure on a
scheduler of its own that decides at each operation of lisle's who goes on, and tries thousands of
interleavings a second. The schedule it names brings back the same interleaving as often as you like:
read the table from top to bottom, a column for each goroutine. The repaired account was tried in every
schedule there is. In your tests: `lisle::testing::check(|| …)`.",
        },
        Section {
            name: "unsafe_code",
            title: "The tool: data races in unsafe code",
            coming: "A counter whose author has promised the compiler more than is true. It is run by the explorer.",
            run: unsafe_counter::unsafe_code,
            why: "\
`unsafe` means: I have seen to it that the compiler cannot check. `lisle::cell::UnsafeCell` tells the
detector of each use, and the detector knows what orders goroutines (starts and joins, locks, channels,
atomics). Two uses that nothing orders are a race, even if they were far apart in time: no bad luck is
needed. One lock around the addition, and there is nothing to find.",
        },
        Section {
            name: "detector",
            title: "The tool: the race detector, as in `go run -race`",
            coming: "The classic race again, by a stand-in for Go's unprotected variable, in an ordinary run.",
            run: |_| child::run_with_detector("raced_counter"),
            why: "\
With the feature `race` lisle watches ordinary runs, as Go does with `-race`, and reports in Go's format:
both uses, where the goroutines were created, and exit status 66. The count may well have been right: what
is reported is that nothing made it so.",
        },
        Section {
            name: "cargo_race",
            title: "The tool: `cargo race`, for unsafe code that tells nobody",
            coming: "\
The same counter with std's `UnsafeCell`, as it may stand in any crate that you use. lisle's detector is told
nothing of it. `cargo race` builds the whole program with ThreadSanitizer, to which it explains goroutines;
for that it needs the source of std, the compiler's component `rust-src`.",
            run: |_| child::run_by_cargo_race("plain_counter"),
            why: "\
Begin with the feature `race` and the explorer, which need nothing but lisle; they see what goes through
lisle's own cells, and the explorer replays what it has found. ThreadSanitizer sees every access to memory,
that of C included, at the price of a build of its own and of a program that is many times slower, and
tells of the races in this one run. In a program of yours: `cargo install --path cargo-race` in this clone,
and then `cargo race test`.",
        },
        Section {
            name: "mutex_or_channel",
            title: "Mutex or channel? Measured",
            coming: "One number, to which four goroutines add 100,000 times each, in four ways.",
            run: counters::mutex_or_channel,
            why: "\
A variable that is looked at for an instant is best under a mutex, a single number in an atomic; and
cheapest is not to share: each adds up its own, and the sums are added at the end. A channel costs a
message for each step, and is the right tool where something changes hands (jobs, results, ownership),
where somebody waits for one of several things, or where one goroutine is to do all the work on a thing,
step by step. Go's proverb about sharing memory by communicating is about that: who owns what.",
        },
    ],
};

fn ask(example: &str, recorded: &str) -> Outcome {
    child::ask_the_compiler(example, recorded);
    Ok(())
}
