//! Clients that call a web server without end, on new connections and on kept ones, and count what fails.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);

/// One GET on a connection: the answer's body, and whether the connection may be kept.
fn call(stream: &mut TcpStream, keep: bool) -> std::io::Result<(String, bool)> {
    let connection = if keep { "keep-alive" } else { "close" };
    write!(stream, "GET / HTTP/1.1\r\nHost: web\r\nConnection: {connection}\r\n\r\n")?;
    let mut reader = BufReader::new(stream);
    let (mut length, mut kept, mut line) = (0, keep, String::new());
    reader.read_line(&mut line)?;
    if !line.starts_with("HTTP/1.1 200") {
        return Err(std::io::Error::other(format!("answered {line:?}")));
    }
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let header = line.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length: ") {
            length = value.parse().unwrap_or(0);
        }
        kept &= header != "connection: close";
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((String::from_utf8_lossy(&body).trim().to_owned(), kept))
}

fn connect(target: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&target, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// One call on a connection of its own.
pub fn visit(target: SocketAddr) -> std::io::Result<String> {
    Ok(call(&mut connect(target)?, false)?.0)
}

#[derive(Default)]
struct Counts {
    on_new: AtomicU64,
    on_kept: AtomicU64,
    failed: AtomicU64,
    first_failure: Mutex<Option<String>>,
    stop: AtomicBool,
}

impl Counts {
    fn fail(&self, how: &str, cause: &std::io::Error) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut first = self.first_failure.lock().unwrap_or_else(|e| e.into_inner());
        first.get_or_insert_with(|| format!("{how}: {cause}"));
    }
}

/// Two clients that call until they are stopped.
pub struct Load {
    counts: Arc<Counts>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts to call.
    pub fn start(target: SocketAddr) -> Load {
        let counts = Arc::new(Counts::default());
        let (new, kept) = (counts.clone(), counts.clone());
        let clients = vec![
            thread::spawn(move || on_new_connections(target, &new)),
            thread::spawn(move || on_kept_connections(target, &kept)),
        ];
        Load { counts, clients }
    }

    /// What came of it, in one line: `1200 calls on new connections, 3400 on kept ones, 0 failed`.
    pub fn report(&self) -> String {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let first = self.counts.first_failure.lock().unwrap_or_else(|e| e.into_inner()).clone();
        format!(
            "{} calls on new connections, {} on kept ones, {} failed{}",
            count(&self.counts.on_new),
            count(&self.counts.on_kept),
            count(&self.counts.failed),
            first.map_or(String::new(), |first| format!(" (first: {first})"))
        )
    }

    /// Stops, and answers how many calls failed.
    pub fn stop(mut self) -> u64 {
        self.counts.stop.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            let _ = client.join();
        }
        self.counts.failed.load(Ordering::Relaxed)
    }
}

fn on_new_connections(target: SocketAddr, counts: &Counts) {
    while !counts.stop.load(Ordering::Relaxed) {
        match visit(target) {
            Ok(_) => {
                counts.on_new.fetch_add(1, Ordering::Relaxed);
            }
            Err(cause) => counts.fail("on a new connection", &cause),
        }
        thread::sleep(Duration::from_micros(500));
    }
}

fn on_kept_connections(target: SocketAddr, counts: &Counts) {
    while !counts.stop.load(Ordering::Relaxed) {
        let mut stream = match connect(target) {
            Ok(stream) => stream,
            Err(cause) => {
                counts.fail("connecting", &cause);
                continue;
            }
        };
        let mut kept = true;
        while kept && !counts.stop.load(Ordering::Relaxed) {
            match call(&mut stream, true) {
                Ok((_, keep)) => {
                    counts.on_kept.fetch_add(1, Ordering::Relaxed);
                    kept = keep;
                }
                Err(cause) => {
                    counts.fail("on a kept connection", &cause);
                    kept = false;
                }
            }
            thread::sleep(Duration::from_micros(300));
        }
    }
}
