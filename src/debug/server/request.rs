//! One HTTP request: read within bounds of size and time, taken apart by `httparse`.

use super::response::Refusal;
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Everything before the body.
const LARGEST_HEAD: usize = 16 * 1024;
const LARGEST_BODY: usize = 64 * 1024;
const MOST_HEADERS: usize = 64;
/// For the whole request.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    /// Decoded names and values of the query.
    query: Vec<(String, String)>,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    /// Reads one. `None`: the client went away without a word.
    pub(super) fn read(stream: &mut TcpStream) -> Result<Option<Self>, Refusal> {
        let deadline = Instant::now() + PATIENCE;
        let mut bytes = Vec::new();
        loop {
            if !read_more(stream, &mut bytes, deadline)? {
                return match bytes.is_empty() {
                    true => Ok(None),
                    false => Err(Refusal::new(400, "the request ends in the middle")),
                };
            }
            if let Some((mut request, length)) = parse(&bytes)? {
                let wanted = request.body_length()?;
                request.body = bytes.split_off(length);
                while request.body.len() < wanted {
                    if !read_more(stream, &mut request.body, deadline)? {
                        return Err(Refusal::new(400, "the request's body ends in the middle"));
                    }
                }
                request.body.truncate(wanted);
                return Ok(Some(request));
            }
            if bytes.len() >= LARGEST_HEAD {
                return Err(Refusal::new(431, format!("the request's head is longer than {LARGEST_HEAD} bytes")));
            }
        }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// A value of the query.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The query's first name, for a query that is no list of names and values.
    pub(super) fn first_of_query(&self) -> &str {
        self.query.first().map_or("", |(name, _)| name)
    }

    /// A number of the query, within bounds.
    pub(super) fn number(
        &self,
        name: &str,
        default: u64,
        bounds: std::ops::RangeInclusive<u64>,
    ) -> Result<u64, Refusal> {
        let Some(text) = self.get(name) else { return Ok(default) };
        text.parse().ok().filter(|number| bounds.contains(number)).ok_or_else(|| {
            let (least, most) = (bounds.start(), bounds.end());
            Refusal::new(400, format!("{name} is {text:?}; it must be a whole number from {least} to {most}"))
        })
    }

    fn body_length(&self) -> Result<usize, Refusal> {
        if self.header("transfer-encoding").is_some() {
            return Err(Refusal::new(411, "a body must come with its Content-Length"));
        }
        let Some(text) = self.header("content-length") else { return Ok(0) };
        match text.parse() {
            Ok(length) if length <= LARGEST_BODY => Ok(length),
            Ok(_) => Err(Refusal::new(413, format!("the request's body is longer than {LARGEST_BODY} bytes"))),
            Err(_) => Err(Refusal::new(400, "Content-Length is not a number")),
        }
    }
}

/// Reads what has come. False: it was the end.
fn read_more(stream: &mut TcpStream, bytes: &mut Vec<u8>, deadline: Instant) -> Result<bool, Refusal> {
    let too_late = || Refusal::new(408, format!("the request did not come within {} s", PATIENCE.as_secs()));
    let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()).ok_or_else(too_late)?;
    let gone = |_| Refusal::new(400, "the connection broke");
    stream.set_read_timeout(Some(left)).map_err(gone)?;
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(length) => {
                bytes.extend_from_slice(&buffer[..length]);
                return Ok(true);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Err(too_late()),
            Err(error) => return Err(gone(error)),
        }
    }
}

/// The head and its length, when all of it has come.
fn parse(bytes: &[u8]) -> Result<Option<(Request, usize)>, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let length = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(Refusal::new(400, format!("this is not HTTP: {error}"))),
    };
    let target = parsed.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let headers = parsed.headers.iter().map(|header| (header.name.to_ascii_lowercase(), text(header.value)));
    let request = Request {
        method: parsed.method.unwrap_or_default().into(),
        path: decode(path),
        query: pairs.map(|(name, value)| (decode(name), decode(value))).collect(),
        headers: headers.collect(),
        body: Vec::new(),
    };
    Ok(Some((request, length)))
}

/// Undoes percent-encoding. What is no encoding stays as it is.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digit = |place: usize| after.get(place).and_then(|&byte| char::from(byte).to_digit(16));
        (bytes, rest) = match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => (push(bytes, (16 * high + low) as u8), &after[2..]),
            (b'+', ..) => (push(bytes, b' '), after),
            _ => (push(bytes, first), after),
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn push(mut bytes: Vec<u8>, byte: u8) -> Vec<u8> {
    bytes.push(byte);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_taken_apart() {
        let head = b"GET /debug/x?q=a%26b+c&seconds=5&seconds=6 HTTP/1.1\r\nHost: localhost:1\r\nX-Y:  z \r\n\r\nrest";
        assert!(parse(&head[..20]).unwrap().is_none());
        let (request, length) = parse(head).unwrap().unwrap();
        assert_eq!(&head[length..], b"rest");
        assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/debug/x"));
        assert_eq!(request.get("q"), Some("a&b c"));
        assert_eq!(request.header("host"), Some("localhost:1"));
        assert_eq!(request.header("x-y"), Some("z"));
        assert_eq!(request.number("seconds", 1, 1..=10).unwrap(), 5);
        assert_eq!(request.number("debug", 1, 0..=2).unwrap(), 1);
        let refusal = request.number("q", 1, 0..=2).unwrap_err();
        assert_eq!(refusal.status, 400);
        assert!(refusal.text.contains("q is \"a&b c\""), "{}", refusal.text);
    }

    #[test]
    fn percent_signs_that_encode_nothing_stay() {
        assert_eq!(decode("100%&%zz%2"), "100%&%zz%2");
        assert_eq!(decode("%c3%a4%ff"), "ä\u{fffd}");
    }
}
