//! `select!` takes what comes first. (`answers.recv_timeout(limit).ok()` is a shorter way for this one case.)

use lisle::channel::Receiver;
use std::time::Duration;

fn answer_in_time(answers: &Receiver<String>, limit: Duration) -> Option<String> {
    lisle::select! {
        recv(answers) -> answer => answer.ok(),
        recv(lisle::channel::after(limit)) -> _ => None,
    }
}

fn main() {
    let (_sender, answers) = lisle::channel::bounded(0);
    println!("{:?}", support::run(move || answer_in_time(&answers, Duration::from_millis(100))));
}

#[cfg(test)]
mod tests {
    use super::*;
    use lisle::channel::bounded;
    use support::{any, run};

    #[test]
    fn an_answer_is_taken_when_it_comes() {
        let text = format!("answer {}", any(0..1000));
        let expected = text.clone();
        let answer = run(move || {
            let (sender, answers) = bounded(0);
            lisle::go(move || {
                lisle::time::sleep(Duration::from_millis(20));
                sender.send(text)
            });
            answer_in_time(&answers, Duration::from_secs(60))
        });
        assert_eq!(answer, Some(expected));
    }

    #[test]
    fn without_an_answer_the_time_runs_out() {
        let answer = run(|| {
            let (_sender, answers) = bounded(0);
            answer_in_time(&answers, Duration::from_millis(20))
        });
        assert_eq!(answer, None);
    }
}
