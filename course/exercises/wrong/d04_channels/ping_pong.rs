//! What is often tried first, and does not do.
//!
//! With no room in the channel, `send` waits for a receiver, who is only started in the next line.

use lisle::channel::{Receiver, Sender, bounded};
use lisle::go;

/// Passes on each ball that comes, one hit higher.
fn play(balls: &Receiver<u64>, back: &Sender<u64>) {
    for ball in balls {
        if back.send(ball + 1).is_err() {
            return;
        }
    }
}

/// Plays until the ball has been hit so often; an even number.
fn rally(hits: u64) -> u64 {
    let (to_ping, ping) = bounded(0);
    let (to_pong, pong) = bounded(0);
    let (to_referee, referee) = bounded(0);
    to_ping.send(0).unwrap(); // before there is anybody to take it
    go(move || play(&ping, &to_pong));
    go(move || play(&pong, &to_referee));
    for ball in &referee {
        if ball >= hits {
            return ball;
        }
        to_ping.send(ball).unwrap();
    }
    unreachable!("both players go on")
}

fn main() {
    println!("{} hits", support::run(|| rally(10)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use support::{any, run};

    #[test]
    fn the_ball_goes_to_and_fro() {
        let hits = 2 * any(1..50);
        assert_eq!(run(move || rally(hits)), hits);
    }
}
