//! Who finds work adds it before it is done itself.

use lisle::sync::WaitGroup;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use support::think;

struct Node {
    value: u64,
    children: Vec<Node>,
}

fn total(root: Node) -> u64 {
    let (group, total) = (WaitGroup::new(), Arc::new(AtomicU64::new(0)));
    visit(root, &group, &total);
    group.wait();
    total.load(Ordering::Relaxed)
}

fn visit(node: Node, group: &WaitGroup, total: &Arc<AtomicU64>) {
    let (inner, total) = (group.clone(), Arc::clone(total));
    group.go(move || {
        think();
        total.fetch_add(node.value, Ordering::Relaxed);
        node.children.into_iter().for_each(|child| visit(child, &inner, &total));
    });
}

fn main() {
    let leaf = |value| Node { value, children: Vec::new() };
    println!("{}", total(Node { value: 1, children: vec![leaf(2), leaf(3)] }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use support::{any, run};

    fn tree(depth: u64, sum: &mut u64) -> Node {
        let value = any(1..100);
        *sum += value;
        let children = if depth == 0 { 0 } else { any(1..4) };
        Node { value, children: (0..children).map(|_| tree(depth - 1, sum)).collect() }
    }

    #[test]
    fn every_node_is_counted() {
        let mut expected = 0;
        let root = tree(4, &mut expected);
        assert_eq!(run(move || total(root)), expected);
    }
}
