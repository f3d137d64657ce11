//! A preprocessor of mdBook's: what is included from within a function begins at the margin.
//!
//! mdBook includes lines as they stand in their file, and has no setting for it. It starts this program once to ask
//! whether it is for the renderer at hand (`supports html`: for all), and once with the book as JSON on stdin, which goes
//! to stdout with the blocks of code outdented.

use serde_json::Value;

fn main() -> Result<(), serde_json::Error> {
    if std::env::args().nth(1).is_some_and(|argument| argument == "supports") {
        return Ok(());
    }
    let (_context, mut book): (Value, Value) = serde_json::from_reader(std::io::stdin().lock())?;
    outdent_chapters(&mut book);
    serde_json::to_writer(std::io::stdout().lock(), &book)
}

/// Of a chapter, its text is the field `content`, wherever it stands in the book.
fn outdent_chapters(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(text) if key == "content" => *text = outdent_blocks(text),
                    _ => outdent_chapters(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(outdent_chapters),
        _ => {}
    }
}

/// A chapter with its blocks of code outdented; all else as it is.
fn outdent_blocks(chapter: &str) -> String {
    let mut out = Vec::new();
    let mut block: Option<Vec<&str>> = None;
    for line in chapter.lines() {
        match (&mut block, line.starts_with("```")) {
            (None, is_fence) => {
                out.push(line);
                block = is_fence.then(Vec::new);
            }
            (Some(lines), false) => lines.push(line),
            (Some(lines), true) => {
                outdent(lines);
                out.append(lines);
                out.push(line);
                block = None;
            }
        }
    }
    out.extend(block.into_iter().flatten());
    out.push("");
    out.join("\n")
}

/// Takes away the indentation that all lines have; lines of blanks alone do not count.
fn outdent(lines: &mut [&str]) {
    let indents = lines.iter().filter(|line| !line.trim().is_empty()).map(|line| line.len() - line.trim_start().len());
    let indent = indents.min().unwrap_or(0);
    lines.iter_mut().for_each(|line| *line = line.get(indent..).unwrap_or(""));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_all_lines_are_indented_by_is_taken_away() {
        let text = "a\n```rust\n    one();\n\n        two();\n```\n    b\n```go\n\tthree()\n```\n";
        let out = "a\n```rust\none();\n\n    two();\n```\n    b\n```go\nthree()\n```\n";
        assert_eq!(outdent_blocks(text), out);
        assert_eq!(outdent_blocks(out), out);
    }

    #[test]
    fn every_chapter_is_found_and_nothing_else_is_changed() {
        let book = |code: &str| {
            let content = format!("```\n{code}\n```\n");
            let inner = json!({"Chapter": {"name": " n", "content": content, "sub_items": []}});
            json!({"items": [{"Chapter": {"name": "n", "content": content, "sub_items": [inner]}}, "Separator"]})
        };
        let mut outdented = book("  x");
        outdent_chapters(&mut outdented);
        assert_eq!(outdented, book("x"));
    }
}
