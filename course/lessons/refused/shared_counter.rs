//! Does not compile, on purpose: the lesson race_conditions shows what the compiler says.

fn main() {
    // ANCHOR: refused_counter
    let mut counter = 0;
    lisle::scope(|s| {
        s.go(|| counter += 1);
        s.go(|| counter += 1);
    });
    println!("{counter}");
    // ANCHOR_END: refused_counter
}
