//! What the lessons print, with colours on a terminal and as plain text elsewhere (`anstream` sees to that, and heeds
//! NO_COLOR).

use crate::lesson::Snippet;
use anstyle::{AnsiColor, Style};
use std::io::{BufRead, IsTerminal, Write};

const TITLE: Style = Style::new().bold().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Cyan)));
const LABEL: Style = Style::new().bold();
const SOURCE: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Green)));
const DIM: Style = Style::new().dimmed();

pub(crate) fn title(text: &str) {
    anstream::println!("\n{TITLE}== {text} =={TITLE:#}");
}

pub(crate) fn label(text: &str) {
    anstream::println!("\n{LABEL}{text}{LABEL:#}");
}

pub(crate) fn line(text: &str) {
    anstream::println!("{text}");
}

/// A paragraph, broken into lines that fit the terminal; its own line breaks do not count.
pub(crate) fn text(text: &str) {
    let width = textwrap::termwidth().clamp(40, 100);
    anstream::println!("{}", textwrap::fill(&text.replace('\n', " "), width));
}

pub(crate) fn source(snippet: &Snippet) {
    anstream::println!("\n{DIM}{}, line {}{DIM:#}", snippet.file, snippet.first);
    for (line, number) in snippet.lines.iter().zip(snippet.first..) {
        anstream::println!("{DIM}{number:>5} |{DIM:#} {SOURCE}{line}{SOURCE:#}");
    }
}

/// Whether a person sits there.
pub(crate) fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// Waits for Enter, if a person sits there; false: they have had enough.
pub(crate) fn pause(next: &str) -> bool {
    !is_interactive() || ask(&format!("Next: {next}. Enter goes on, q stops: ")).is_some_and(|answer| answer != "q")
}

/// `None` at the end of the input.
pub(crate) fn ask(question: &str) -> Option<String> {
    anstream::print!("\n{LABEL}{question}{LABEL:#}");
    std::io::stdout().flush().ok()?;
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer).ok()?;
    (read > 0).then(|| answer.trim().to_owned())
}
