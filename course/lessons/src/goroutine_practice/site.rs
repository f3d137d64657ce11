//! A small web site to check, which misbehaves as web sites do: some pages are missing, some are too busy at first, one
//! never answers, and with more than 16 requests at once it refuses the rest.
//!
//! A goroutine for each connection. Reading and writing are `blocking`, pauses are lisle's sleep: a thousand slow
//! requests would not take a thread among them.

use lisle::context::{self, Cancel, Context};
use lisle::{blocking, go};
use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// More requests at once are refused.
pub(super) const MOST: usize = 16;
/// What a page takes.
const DELAY: Duration = Duration::from_millis(30);
const PAGES: usize = 50;
const MISSING: usize = 3;
const BUSY: usize = 4;

pub(super) struct Site {
    address: SocketAddr,
    state: Arc<State>,
    /// Ends what waits; by its drop at the latest.
    _stop: Cancel,
}

struct State {
    ctx: Context,
    now: AtomicUsize,
    most: AtomicUsize,
    /// How often each of the busy pages was asked for.
    asked: Mutex<HashMap<String, usize>>,
}

impl Site {
    pub(super) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (ctx, stop) = context::with_cancel(&context::background());
        let state = Arc::new(State {
            ctx,
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            asked: Mutex::new(HashMap::new()),
        });
        let served = Arc::clone(&state);
        go(move || serve(&listener, &served));
        Ok(Self { address, state, _stop: stop })
    }

    /// The pages that behave, and those that are missing.
    pub(super) fn index(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// All of these, those that are busy at first, and the one that never answers.
    pub(super) fn all(&self) -> String {
        format!("http://{}/all", self.address)
    }

    /// The most requests that there were at once since the last call.
    pub(super) fn most_at_once(&self) -> usize {
        self.state.most.swap(0, Relaxed)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self._stop.cancel();
        // Ends the wait for the next connection.
        let _ = blocking(|| TcpStream::connect(self.address));
    }
}

fn serve(listener: &TcpListener, state: &Arc<State>) {
    while let Ok((connection, _)) = blocking(|| listener.accept()) {
        if state.ctx.err().is_some() {
            return;
        }
        let state = Arc::clone(state);
        // What becomes of a connection is its own affair: the other side sees that it ends.
        go(move || drop(answer(connection, &state)));
    }
}

fn answer(mut connection: TcpStream, state: &State) -> io::Result<()> {
    let path = blocking(|| read_request(&connection))?;
    let now = state.now.fetch_add(1, Relaxed) + 1;
    state.most.fetch_max(now, Relaxed);
    let (status, body) = if now > MOST { ("503 Service Unavailable", String::new()) } else { page(&path, state) };
    state.now.fetch_sub(1, Relaxed);
    blocking(|| {
        write!(connection, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    })
}

/// The path of a GET.
fn read_request(connection: &TcpStream) -> io::Result<String> {
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut lines = BufReader::new(connection).lines();
    let first = lines.next().ok_or(io::ErrorKind::UnexpectedEof)??;
    // The rest of the head is of no interest, but has to be read.
    lines.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
    Ok(first.split(' ').nth(1).unwrap_or("/").to_owned())
}

fn page(path: &str, state: &State) -> (&'static str, String) {
    let _ = state.ctx.sleep(DELAY);
    match path.trim_start_matches('/').split_once('/') {
        None if path == "/" => ("200 OK", links(false)),
        None if path == "/all" => ("200 OK", links(true)),
        None if path == "/never" => {
            state.ctx.wait();
            ("503 Service Unavailable", String::new())
        }
        Some(("page", number)) => ("200 OK", format!("<p>Page {number}. <a href=\"/\">Back</a>")),
        Some(("busy", _)) => {
            let mut asked = state.asked.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let times = asked.entry(path.to_owned()).or_insert(0);
            *times += 1;
            if *times > 2 { ("200 OK", "<p>At last".to_owned()) } else { ("503 Service Unavailable", String::new()) }
        }
        _ => ("404 Not Found", String::new()),
    }
}

fn links(all: bool) -> String {
    let link = |(kind, count): (&str, usize)| {
        (1..=count).map(|number| format!("<a href=\"/{kind}/{number}\">{kind} {number}</a>\n")).collect::<String>()
    };
    let mut text: String = [("page", PAGES), ("missing", MISSING)].map(link).concat();
    if all {
        text += &link(("busy", BUSY));
        text += "<a href=\"/never\">a page that never answers</a>\n";
    }
    text
}
