//! One HTTP response. The connection is closed after it, which is how the client knows its end.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, BufWriter, Write};
use std::net::TcpStream;

/// A request that is not answered, and why.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) text: String,
}

impl Refusal {
    pub(super) fn new(status: u16, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }
}

pub(super) const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const HTML: &str = "text/html; charset=utf-8";
pub(super) const JSON: &str = "application/json";
pub(super) const BYTES: &str = "application/octet-stream";
/// Prometheus's text format.
pub(super) const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) struct Response<'a> {
    stream: &'a TcpStream,
    /// HEAD: all but the body.
    is_head: bool,
    has_begun: bool,
}

impl<'a> Response<'a> {
    pub(super) fn new(stream: &'a TcpStream, is_head: bool) -> Self {
        Self { stream, is_head, has_begun: false }
    }

    /// Whether the status has been sent: then nothing else can be said.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Whether the client has closed the connection.
    pub(super) fn client_is_gone(&self) -> bool {
        // What it has said, and nobody has read, does not hide its end.
        let ends = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
        let mut polled = [PollFd::new(self.stream, ends)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut polled, Some(&now)).is_ok() && polled[0].revents().intersects(ends)
    }

    /// A whole answer.
    pub(super) fn send(&mut self, kind: &str, body: &[u8]) -> io::Result<()> {
        let length = format!("Content-Length: {}\r\n", body.len());
        self.begin(200, kind, &length)?;
        if self.is_head { Ok(()) } else { self.stream.write_all(body) }
    }

    /// As `send`, to be saved under a name.
    pub(super) fn send_file(&mut self, name: &str, body: &[u8]) -> io::Result<()> {
        let more =
            format!("Content-Length: {}\r\nContent-Disposition: attachment; filename=\"{name}\"\r\n", body.len());
        self.begin(200, BYTES, &more)?;
        if self.is_head { Ok(()) } else { self.stream.write_all(body) }
    }

    /// As `send`, with a header more.
    pub(super) fn send_with(&mut self, kind: &str, header: &str, body: &[u8]) -> io::Result<()> {
        self.begin(200, kind, &format!("Content-Length: {}\r\n{header}\r\n", body.len()))?;
        if self.is_head { Ok(()) } else { self.stream.write_all(body) }
    }

    /// An answer that is written bit by bit.
    pub(super) fn stream(
        &mut self,
        kind: &str,
        write: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>,
    ) -> io::Result<()> {
        self.begin(200, kind, "")?;
        if self.is_head {
            return Ok(());
        }
        let mut out = BufWriter::with_capacity(64 * 1024, self.stream);
        write(&mut out)?;
        out.flush()
    }

    pub(super) fn redirect(&mut self, to: &str) -> io::Result<()> {
        self.begin(302, TEXT, &format!("Location: {to}\r\nContent-Length: 0\r\n"))
    }

    pub(super) fn refuse(&mut self, refusal: &Refusal) -> io::Result<()> {
        let text = format!("{}\n", refusal.text);
        // By X-Go-Pprof `go tool pprof` knows that the text is meant for its user.
        let more = format!("Content-Length: {}\r\nX-Go-Pprof: 1\r\n", text.len());
        self.begin(refusal.status, TEXT, &more)?;
        if self.is_head { Ok(()) } else { self.stream.write_all(text.as_bytes()) }
    }

    fn begin(&mut self, status: u16, kind: &str, more: &str) -> io::Result<()> {
        self.has_begun = true;
        let reason = reason(status);
        let head = format!(
            "HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\nConnection: close\r\nCache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\n{more}\r\n"
        );
        self.stream.write_all(head.as_bytes())
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        302 => "Found",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}
