//! The page for people: one file, which asks the server for everything else (`api`).
//!
//! Its scripts and styles run by a number that each answer has anew (Content-Security-Policy), and it loads nothing from
//! elsewhere: should something that a goroutine is called by ever come into the page as markup, it does nothing.

use super::response::{HTML, Response};
use std::io;

const PAGE: &str = include_str!("page.html");
const PLACE: &str = "NONCE";

pub(super) fn send(response: &mut Response) -> io::Result<()> {
    let mut bytes = [0_u8; 16];
    // SAFETY: the buffer is valid for its length. So few bytes come at once; if they did not, the page would only lose
    // its second line of defence.
    unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    let nonce: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let policy = format!(
        "Content-Security-Policy: default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; \
         connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    response.send_with(HTML, &policy, PAGE.replace(PLACE, &nonce).as_bytes())
}
