//! Has a data race, on purpose: the lesson race_conditions runs it under the race detector.
//! `cargo run -p week7 --example raced_counter --features race`

fn main() {
    // ANCHOR: detector
    let counter = lisle::race::Cell::new(0); // a variable that nothing protects, as Go has them
    let both_are_there = lisle::sync::Barrier::new(2);
    let add_one = || {
        both_are_there.wait();
        counter.set(counter.get() + 1);
    };
    lisle::scope(|s| {
        s.go(add_one);
        s.go(add_one);
    });
    println!("{} of 2", counter.get());
    // ANCHOR_END: detector
}
