//! The server of the debug pages: [`serve`], [`ServerConfig`], [`Server`].
//!
//! It runs on OS threads of its own and uses nothing that waits for a goroutine, so that it answers when every worker is
//! stuck: one thread accepts, and each request has a thread, [`MOST_CONNECTIONS`] at a time. What a client can make it
//! hold is bounded: the sizes of heads and bodies (`request`), the time for reading and writing, the sizes of answers.
//!
//! HTTP/1.1 over std's sockets, one request for each connection. Rejected: an HTTP library with its own runtime, which
//! would be larger than everything else here, and might use ours.

mod api;
mod guard;
mod page;
mod request;
mod response;
mod routes;

use crate::threads::service::Service;
use request::Request;
use response::{Refusal, Response};
use std::fmt;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Requests that are answered at a time.
const MOST_CONNECTIONS: usize = 32;
/// A client that takes nothing for so long is given up.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);

/// Serves the debug pages at `address`, on threads of its own: see the table in [`debug`](crate::debug). It goes on until
/// [`Server::stop`] or the end of the process.
///
/// # Errors
/// The address is not one of this machine alone (`PermissionDenied`; [`ServerConfig::beyond_loopback`] allows it), is
/// taken, or makes no sense; there is no thread to be had.
///
/// ```
/// let server = lisle::debug::serve("127.0.0.1:0")?; // in a program, a port: 6060
/// println!("go tool pprof -http=: http://{}/debug/pprof/profile?seconds=5", server.local_addr());
/// # server.stop();
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn serve(address: impl ToSocketAddrs) -> io::Result<Server> {
    ServerConfig::new().serve(address)
}

/// Whom the server of the debug pages answers. The default is: programs on this machine, browsers included, as long as
/// they ask for it by address or as `localhost`.
#[derive(Clone, Debug, Default)]
pub struct ServerConfig {
    beyond_loopback: bool,
    hosts: Vec<String>,
}

impl ServerConfig {
    /// The default.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Allows addresses that other machines can reach. Whoever reaches them can read the program's stacks and labels,
    /// and make it work; there is no password.
    #[must_use]
    pub fn beyond_loopback(mut self, yes: bool) -> Self {
        self.beyond_loopback = yes;
        self
    }

    /// Answers requests for this host name, too. Other names are refused, since a web page could make its own name lead
    /// here (DNS rebinding).
    #[must_use]
    pub fn host(mut self, name: impl Into<String>) -> Self {
        self.hosts.push(name.into());
        self
    }

    /// Serves the debug pages; see [`serve`].
    ///
    /// # Errors
    /// As [`serve`].
    pub fn serve(self, address: impl ToSocketAddrs) -> io::Result<Server> {
        let addresses: Vec<SocketAddr> = address.to_socket_addrs()?.collect();
        if let Some(open) = addresses.iter().find(|address| !address.ip().to_canonical().is_loopback())
            && !self.beyond_loopback
        {
            let text = format!(
                "the debug pages would be open to other machines at {open}; use 127.0.0.1, or \
                 ServerConfig::beyond_loopback(true) if that is meant"
            );
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        let listener = TcpListener::bind(&addresses[..])?;
        let address = listener.local_addr()?;
        let shared =
            Arc::new(Shared { config: self, stopped: AtomicBool::new(false), connections: AtomicUsize::new(0) });
        let accepting = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("lisle-debug".into());
        let thread = thread.spawn(move || accept(&listener, &accepting))?;
        Ok(Server { address, shared, thread })
    }
}

struct Shared {
    config: ServerConfig,
    stopped: AtomicBool,
    connections: AtomicUsize,
}

/// A server of the debug pages. Dropping it changes nothing: it goes on.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: std::thread::JoinHandle<()>,
}

impl Server {
    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more requests and gives the address back. Those under way are answered.
    pub fn stop(self) {
        self.shared.stopped.store(true, Ordering::Release);
        // Its thread waits for a connection, so it gets one.
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        if TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok() {
            // It ends with a panic of ours at the worst, which was told.
            let _ = self.thread.join();
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let _service = Service::begin();
    loop {
        let accepted = listener.accept();
        if shared.stopped.load(Ordering::Acquire) {
            return;
        }
        match accepted {
            Ok((stream, _)) => take(stream, shared),
            // Out of descriptors, most likely: it may pass.
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// A place among the connections, given back when dropped.
struct Place(Arc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::AcqRel);
    }
}

fn take(stream: TcpStream, shared: &Arc<Shared>) {
    let before = shared.connections.fetch_add(1, Ordering::AcqRel);
    let place = Place(Arc::clone(shared));
    let refuse = |stream: &TcpStream, text: String| {
        let _ = stream.set_write_timeout(Some(Duration::from_secs(1)));
        // A client that is gone already hears nothing.
        let _ = Response::new(stream, false).refuse(&Refusal::new(503, text));
        // Not for long: others wait to be accepted.
        close(stream, Duration::from_millis(20));
    };
    if before >= MOST_CONNECTIONS {
        return refuse(&stream, format!("{MOST_CONNECTIONS} requests are under way already"));
    }
    let Ok(spare) = stream.try_clone() else { return };
    let thread = std::thread::Builder::new().name("lisle-debug".into());
    let started = thread.spawn(move || {
        let _service = Service::begin();
        let place = place;
        answer(stream, &place.0.config);
    });
    if let Err(error) = started {
        refuse(&spare, format!("there is no thread for the request: {error}"));
    }
}

fn answer(mut stream: TcpStream, config: &ServerConfig) {
    let _ = stream.set_write_timeout(Some(WRITE_PATIENCE));
    let _ = stream.set_nodelay(true);
    let request = match Request::read(&mut stream) {
        Ok(Some(request)) => request,
        Ok(None) => return,
        Err(refusal) => {
            let _ = Response::new(&stream, false).refuse(&refusal);
            return close(&stream, Duration::from_secs(1));
        }
    };
    let mut response = Response::new(&stream, request.method == "HEAD");
    let checked = guard::check(&request, &config.hosts, !config.beyond_loopback);
    let outcome = checked.and_then(|()| routes::answer(&request, &mut response));
    if let Err(refusal) = outcome
        && !response.has_begun()
    {
        // A client that is gone hears nothing.
        let _ = response.refuse(&refusal);
    }
    close(&stream, Duration::from_secs(1));
}

/// Says that nothing more will come, and reads on for a little while: if a connection is closed while something of the
/// client's has not been read, the client's system forgets what it has received.
fn close(mut stream: &TcpStream, patience: Duration) {
    let end = Instant::now() + patience;
    if stream.shutdown(Shutdown::Write).is_err() {
        return;
    }
    let mut buffer = [0; 4096];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        // It cannot be set to nothing.
        if stream.set_read_timeout(Some(left)).is_err() || !matches!(stream.read(&mut buffer), Ok(length) if length > 0)
        {
            return;
        }
    }
}
