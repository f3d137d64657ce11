//! Does not compile, on purpose: the lesson race_conditions shows what the compiler says.

fn main() {
    // ANCHOR: refused_pointer
    let shared = std::rc::Rc::new(1);
    let other = std::rc::Rc::clone(&shared);
    lisle::go(move || println!("{other}"));
    println!("{shared}");
    // ANCHOR_END: refused_pointer
}
