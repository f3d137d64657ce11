//! From a [`Profile`] to what `go tool pprof` reads: the messages of `proto`, compressed with gzip.
//!
//! Names are looked up here, in the process, and the profile says so (`has_functions`, …), so that the tool needs
//! neither the program's file nor its debug information. A mapping's start, limit and offset are those of whole pages;
//! else the tool computes wrong addresses without a word.

use super::mapped::{self, MappedFile};
use super::stacks::{Call, Names};
use super::{Key, Profile, Unit, proto};
use prost::Message;
use std::collections::HashMap;
use std::hash::Hash;
use std::io::Write;
use std::time::UNIX_EPOCH;

impl Profile {
    /// The profile in pprof's format, compressed.
    pub(crate) fn encode(&self) -> Vec<u8> {
        gzip(&Encoder::new(self).encode(self).encode_to_vec())
    }
}

/// Compresses.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    // Writing to memory does not fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

/// Things that are written once and then named by number, from 1 on.
struct Table<K>(HashMap<K, u64>);

impl<K: Eq + Hash> Table<K> {
    /// The number, and whether it is new.
    fn number(&mut self, key: K) -> (u64, bool) {
        let next = self.0.len() as u64 + 1;
        let number = *self.0.entry(key).or_insert(next);
        (number, number == next)
    }
}

struct Encoder {
    names: Names,
    mappings: Vec<MappedFile>,
    strings: HashMap<String, i64>,
    functions: Table<(String, String)>,
    locations: Table<Location>,
    out: proto::Profile,
}

#[derive(PartialEq, Eq, Hash)]
enum Location {
    Call(Call),
    /// Stands for frames that are missing.
    Mark(String),
}

impl Encoder {
    fn new(profile: &Profile) -> Self {
        Self {
            names: Names::of(profile.samples.keys()),
            mappings: mapped::files(),
            strings: HashMap::from([(String::new(), 0)]),
            functions: Table(HashMap::new()),
            locations: Table(HashMap::new()),
            out: proto::Profile { string_table: vec![String::new()], ..proto::Profile::default() },
        }
    }

    fn encode(mut self, profile: &Profile) -> proto::Profile {
        self.out.sample_type = profile.units.iter().map(|&unit| self.unit(unit)).collect();
        if let Some((unit, period)) = profile.period {
            self.out.period_type = Some(self.unit(unit));
            self.out.period = period;
        }
        let nanos = profile.began.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        self.out.time_nanos = i64::try_from(nanos).unwrap_or(0);
        self.out.duration_nanos = i64::try_from(profile.duration.as_nanos()).unwrap_or(i64::MAX);
        self.out.comment = profile.comments.iter().map(|comment| self.string(comment)).collect();
        self.out.default_sample_type = profile.units.last().map_or(0, |&(kind, _)| self.string(kind));
        self.mappings();
        for (key, numbers) in profile.sorted() {
            let sample = proto::Sample {
                location_id: self.stack(key, profile),
                value: numbers[..profile.units.len()].to_vec(),
                label: self.labels(key),
            };
            self.out.sample.push(sample);
        }
        self.out
    }

    fn string(&mut self, text: &str) -> i64 {
        if let Some(&index) = self.strings.get(text) {
            return index;
        }
        let index = self.out.string_table.len() as i64;
        self.out.string_table.push(text.into());
        self.strings.insert(text.into(), index);
        index
    }

    fn unit(&mut self, (kind, unit): Unit) -> proto::ValueType {
        proto::ValueType { kind: self.string(kind), unit: self.string(unit) }
    }

    fn labels(&mut self, key: &Key) -> Vec<proto::Label> {
        let mut labels = Vec::new();
        if key.goroutine != 0 {
            let number = i64::try_from(key.goroutine).unwrap_or(i64::MAX);
            labels.push(proto::Label { key: self.string("goroutine"), number, ..proto::Label::default() });
        }
        for (name, value) in &key.labels {
            let label = proto::Label { key: self.string(name), text: self.string(value), ..proto::Label::default() };
            labels.push(label);
        }
        labels
    }

    fn stack(&mut self, key: &Key, profile: &Profile) -> Vec<u64> {
        let calls = self.names.calls(&key.stack, profile.shown).into_iter().map(Location::Call);
        let mark = key.mark.clone().map(Location::Mark);
        calls.chain(mark).collect::<Vec<_>>().into_iter().map(|location| self.location(location)).collect()
    }

    fn location(&mut self, location: Location) -> u64 {
        let (address, line) = match &location {
            Location::Mark(mark) => {
                let function_id = self.function(mark.clone(), String::new());
                (0, vec![proto::Line { function_id, line: 0 }])
            }
            Location::Call(call) => {
                let frames = self.names.frames(call).iter();
                let named = frames.map(|frame| {
                    let file = frame.file.clone().unwrap_or_default();
                    (self.names.function(frame, call.address), file, frame.line.unwrap_or(0))
                });
                let named: Vec<_> = named.collect();
                let line =
                    |(name, file, line)| proto::Line { function_id: self.function(name, file), line: i64::from(line) };
                (call.address as u64, named.into_iter().map(line).collect())
            }
        };
        let (id, is_new) = self.locations.number(location);
        if is_new {
            let mapping = self.mappings.iter().position(|file| (file.start..file.limit).contains(&address));
            let mapping_id = mapping.map_or(0, |index| index as u64 + 1);
            self.out.location.push(proto::Location { id, mapping_id, address, line });
        }
        id
    }

    fn function(&mut self, name: String, file: String) -> u64 {
        let (text, filename) = (self.string(&name), self.string(&file));
        let (id, is_new) = self.functions.number((name, file));
        if is_new {
            // Without a system name: were it the same, the tool would take the name for one of C++ and cut off its <…>.
            self.out.function.push(proto::Function { id, name: text, system_name: 0, filename });
        }
        id
    }

    fn mappings(&mut self) {
        for index in 0..self.mappings.len() {
            let MappedFile { start, limit, offset, .. } = self.mappings[index];
            let filename = self.string(&self.mappings[index].path.clone());
            self.out.mapping.push(proto::Mapping {
                id: index as u64 + 1,
                memory_start: start,
                memory_limit: limit,
                file_offset: offset,
                filename,
                has_functions: true,
                has_filenames: true,
                has_line_numbers: true,
                has_inline_frames: true,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::debug::profile::Shown;
    use std::io::Read;

    /// What the tool would read.
    fn decode(bytes: &[u8]) -> proto::Profile {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
        proto::Profile::decode(&plain[..]).unwrap()
    }

    /// Not the test itself, which may be inlined into its caller.
    #[inline(never)]
    fn a_place_with_a_name() -> usize {
        crate::debug::unwind::here().pc
    }

    #[test]
    fn what_is_encoded_names_functions_labels_and_marks_once() {
        let here = a_place_with_a_name();
        let key = |mark: Option<&str>| Key {
            stack: Box::new([here, here]),
            mark: mark.map(Into::into),
            goroutine: 7,
            labels: vec![("tenant".into(), "blue".into())],
        };
        let mut profile = Profile::new("profile", &[("samples", "count"), ("cpu", "nanoseconds")], Shown::Everything);
        profile.add(key(None), [2, 20]);
        profile.add(key(Some("[cut]")), [1, 10]);
        let decoded = decode(&profile.encode());
        let text = |index: i64| decoded.string_table[usize::try_from(index).unwrap()].as_str();
        assert_eq!(decoded.sample[0].value, [2, 20]);
        let [number, label] = decoded.sample[0].label[..] else { panic!("two labels") };
        assert_eq!((text(number.key), number.number), ("goroutine", 7));
        assert_eq!((text(label.key), text(label.text)), ("tenant", "blue"));
        assert_eq!(decoded.location.len(), 2, "the address once, and the mark");
        let [inner, outer, mark] = decoded.sample[1].location_id[..] else { panic!("three frames") };
        assert_eq!(inner, outer);
        let name = |id: u64| {
            let location = decoded.location.iter().find(|location| location.id == id).unwrap();
            let line = location.line.last().unwrap();
            text(decoded.function.iter().find(|function| function.id == line.function_id).unwrap().name)
        };
        assert!(name(inner).ends_with("a_place_with_a_name"), "{}", name(inner));
        assert_eq!(name(mark), "[cut]");
        let mapping = &decoded.mapping[0];
        assert!((mapping.memory_start..mapping.memory_limit).contains(&(here as u64)) && mapping.has_inline_frames);
    }
}
