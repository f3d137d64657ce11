//! What is not reported although ThreadSanitizer sees a race. The list is compiled into the program by lisle.

/// lisle's own file, so that the list that is shown is the list that counts.
const LIST: &str = include_str!("../../src/tsan/suppressions.txt");

/// What a program has to do without, and why.
const NOT_DONE: [(&str, &str); 4] = [
    (
        "more than some 11,500 goroutines at once",
        "Each takes five memory maps, of which a process has 65,530 (vm.max_map_count): the next `go` fails, and says so.",
    ),
    (
        "the report of a deadlock",
        "ThreadSanitizer has a thread of its own, and what it waits for lisle does not know: a deadlock is a program that \
         hangs.",
    ),
    (
        "signals, CPU profiles, and stacks of goroutines that run just then",
        "ThreadSanitizer holds a signal back until the thread that got it calls the C library next. One that waits in \
         lisle or in std does not.",
    ),
    (
        "the search for goroutines that nothing can wake (debug::leaked)",
        "It reads all memory of the process, ThreadSanitizer's included, where everything is noted that ever was.",
    ),
];

/// A pattern of ThreadSanitizer's, and why it is there.
#[derive(Debug, PartialEq, Eq)]
struct Suppression {
    patterns: Vec<&'static str>,
    reason: String,
}

/// The paragraphs of the list that have patterns.
fn all() -> Vec<Suppression> {
    let paragraphs = LIST.split("\n\n").map(|paragraph| {
        let lines = paragraph.lines().map(str::trim).filter(|line| !line.is_empty());
        let (reasons, patterns): (Vec<_>, Vec<_>) = lines.partition(|line| line.starts_with('#'));
        let words: Vec<_> = reasons.iter().map(|line| line.trim_start_matches('#').trim()).collect();
        Suppression { patterns, reason: words.join(" ") }
    });
    paragraphs.filter(|suppression| !suppression.patterns.is_empty()).collect()
}

pub(crate) fn explain() {
    println!("These are not reported, since they are no races:");
    for suppression in all() {
        println!("\n  {}", suppression.patterns.join("\n  "));
        wrap(&suppression.reason, 100).iter().for_each(|line| println!("      {line}"));
    }
    println!("\nlisle's scheduler, channels and locks are not looked at by access: what they order is told instead.");
    println!("More of your own: TSAN_OPTIONS=suppressions=FILE.");
    println!("\nWhat lisle does not do under ThreadSanitizer:");
    for (what, why) in NOT_DONE {
        println!("\n  {what}");
        wrap(why, 100).iter().for_each(|line| println!("      {line}"));
    }
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        if lines.last().is_some_and(|line| !line.is_empty() && line.len() + word.len() >= width) {
            lines.push(String::new());
        }
        let line = lines.last_mut().expect("there is one");
        let space = if line.is_empty() { "" } else { " " };
        line.push_str(&format!("{space}{word}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suppression_has_a_reason() {
        let all = all();
        assert!(all.iter().any(|one| one.patterns.contains(&"race:std::thread::local::LocalKey")));
        for one in all {
            assert!(one.reason.len() > 40, "{:?} has no reason", one.patterns);
            assert!(one.patterns.iter().all(|pattern| pattern.starts_with("race:")), "{:?}", one.patterns);
        }
    }
}
