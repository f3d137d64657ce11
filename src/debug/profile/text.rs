//! A [`Profile`] as text for people, in the form of Go's `debug=1`.

use super::stacks::Names;
use super::{Key, Profile};
use std::fmt::Write;

/// More stacks than these nobody reads: the rest is told by number.
const MOST: usize = 10_000;

impl Profile {
    /// The stacks with their numbers, the most frequent first.
    pub(crate) fn text(&self) -> String {
        let last = self.units.len() - 1;
        let mut out = String::new();
        let sorted = self.sorted();
        let (shown, rest) = sorted.split_at(sorted.len().min(MOST));
        let names = Names::of(shown.iter().map(|(key, _)| *key));
        let _ = match self.units {
            // Go's word for waits: what is counted are nanoseconds.
            [("contentions", _), _] => writeln!(out, "--- contention:\ncycles/second=1000000000"),
            [_, (kind, "nanoseconds")] => {
                writeln!(out, "{kind} profile: total {} samples, {} ms", self.total(0), self.total(1) / 1_000_000)
            }
            _ => writeln!(out, "{} profile: total {}", self.name, self.total(last)),
        };
        for (key, numbers) in shown {
            self.write_sample(&mut out, &names, key, numbers);
        }
        if !rest.is_empty() {
            let _ = writeln!(out, "# and {} more stacks", rest.len());
        }
        for comment in &self.comments {
            let _ = writeln!(out, "# {comment}");
        }
        out
    }

    fn write_sample(&self, out: &mut String, names: &Names, key: &Key, numbers: &[i64; 2]) {
        let calls = names.calls(&key.stack, self.shown);
        let _ = match self.units.len() {
            1 => write!(out, "{} @", numbers[0]),
            // Time, then how often.
            _ => write!(out, "{} {} @", numbers[1], numbers[0]),
        };
        for call in &calls {
            let _ = write!(out, " {:#x}", call.address);
        }
        out.push('\n');
        if !key.labels.is_empty() {
            let labels: Vec<_> = key.labels.iter().map(|(name, value)| format!("{name:?}:{value:?}")).collect();
            let _ = writeln!(out, "# labels: {{{}}}", labels.join(", "));
        }
        for call in &calls {
            for frame in names.frames(call) {
                let function = names.function(frame, call.address);
                let file = frame.file.as_deref().unwrap_or("?");
                let _ = writeln!(out, "#\t{:#x}\t{function}\t{file}:{}", call.address, frame.line.unwrap_or(0));
            }
        }
        if let Some(mark) = &key.mark {
            let _ = writeln!(out, "#\t{mark}");
        }
        out.push('\n');
    }
}
