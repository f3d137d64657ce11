//! A [`Profile`] as a tree of calls, for flame graphs.

use super::Profile;
use super::stacks::Names;
use crate::debug::symbol::Origin;
use serde_json::{Value, json};
use std::collections::HashMap;

/// Frames that are narrower than this part of the whole are not shown, so that the answer stays small.
const NARROWEST: f64 = 0.0005;

#[derive(Default)]
struct Node {
    value: i64,
    place: String,
    /// The user has written it, or it stands for what is missing.
    is_own: bool,
    children: HashMap<String, Node>,
}

impl Profile {
    /// `{name, value, place, own, children}`, the outermost calls first, by the last of the numbers.
    pub(crate) fn tree(&self) -> Value {
        let names = Names::of(self.samples.keys());
        let last = self.units.len() - 1;
        let mut root = Node::default();
        for (key, numbers) in &self.samples {
            let mut path: Vec<(String, String, bool)> = Vec::new();
            for call in names.calls(&key.stack, self.shown) {
                path.extend(names.frames(&call).iter().map(|frame| {
                    let place = frame.file.as_ref().map(|file| format!("{file}:{}", frame.line.unwrap_or(0)));
                    (names.function(frame, call.address), place.unwrap_or_default(), frame.origin == Origin::User)
                }));
            }
            path.extend(key.mark.clone().map(|mark| (mark, String::new(), true)));
            let mut node = &mut root;
            node.value = node.value.saturating_add(numbers[last]);
            for (name, place, is_own) in path.into_iter().rev() {
                node = node.children.entry(name).or_default();
                node.value = node.value.saturating_add(numbers[last]);
                node.place = place;
                node.is_own = is_own;
            }
        }
        let least = (root.value as f64 * NARROWEST) as i64;
        to_json("all", root, least)
    }
}

fn to_json(name: &str, node: Node, least: i64) -> Value {
    let mut children: Vec<_> = node.children.into_iter().filter(|(_, child)| child.value > least).collect();
    children.sort_by(|(a, x), (b, y)| y.value.cmp(&x.value).then_with(|| a.cmp(b)));
    let children: Vec<_> = children.into_iter().map(|(name, child)| to_json(&name, child, least)).collect();
    json!({ "name": name, "value": node.value, "place": node.place, "own": node.is_own, "children": children })
}
