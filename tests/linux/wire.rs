//! Tiny clients: HTTP with new and kept connections, redis, UDP; and a load that counts what fails.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;

const PATIENCE: Duration = Duration::from_secs(20);

fn connect(target: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&target, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// One GET: the body, and whether the connection may be kept. `None` where the server had closed the connection
/// before it saw the request.
fn call(stream: &mut TcpStream, keep: bool) -> io::Result<Option<(String, bool)>> {
    let connection = if keep { "keep-alive" } else { "close" };
    let sent = write!(stream, "GET / HTTP/1.1\r\nHost: test\r\nConnection: {connection}\r\n\r\n");
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    match sent.and_then(|()| reader.read_line(&mut line)) {
        Ok(0) => return Ok(None),
        Err(cause) if matches!(cause.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => {
            return Ok(None);
        }
        other => other?,
    };
    if !line.starts_with("HTTP/1.1 200") {
        return Err(io::Error::other(format!("answered {line:?}")));
    }
    let (mut length, mut kept) = (None, keep);
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let header = line.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length: ") {
            length = value.parse().ok();
        }
        kept &= header != "connection: close";
    }
    let mut body = Vec::new();
    match length {
        Some(length) => {
            body.resize(length, 0);
            reader.read_exact(&mut body)?;
        }
        None => {
            kept = false;
            reader.read_to_end(&mut body)?;
        }
    }
    Ok(Some((String::from_utf8_lossy(&body).trim().to_owned(), kept)))
}

/// One GET on a connection of its own.
pub fn get(target: SocketAddr) -> io::Result<String> {
    let answer = call(&mut connect(target)?, false)?;
    Ok(answer.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionReset))?.0)
}

/// Sends a datagram and waits for the answer, again where one is lost.
pub fn ask_udp(target: SocketAddr, text: &str) -> io::Result<String> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut buffer = [0; 512];
    let mut last = None;
    for _ in 0..5 {
        if let Err(cause) =
            socket.send_to(text.as_bytes(), target).and_then(|_| socket.recv(&mut buffer)).map(|n| {
                last = Some(Ok(String::from_utf8_lossy(&buffer[..n]).into_owned()));
            })
        {
            last = Some(Err(cause));
            continue;
        }
        break;
    }
    last.unwrap()
}

/// A connection to redis.
pub struct Redis(BufReader<TcpStream>);

impl Redis {
    pub fn connect(target: SocketAddr) -> io::Result<Redis> {
        Ok(Redis(BufReader::new(connect(target)?)))
    }

    /// One command: the text of a simple or bulk answer; `None` for no value.
    pub fn command(&mut self, words: &[&str]) -> io::Result<Option<String>> {
        let mut text = format!("*{}\r\n", words.len());
        for word in words {
            text.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        self.0.get_mut().write_all(text.as_bytes())?;
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let rest = line.get(1..).unwrap_or_default().trim();
        match line.chars().next() {
            Some('+' | ':') => Ok(Some(rest.to_owned())),
            Some('$') => {
                let Ok(length) = rest.parse::<usize>() else { return Ok(None) };
                let mut body = vec![0; length + 2];
                self.0.read_exact(&mut body)?;
                body.truncate(length);
                Ok(Some(String::from_utf8_lossy(&body).into_owned()))
            }
            _ => Err(io::Error::other(line.trim().to_owned())),
        }
    }
}

#[derive(Default)]
struct Counts {
    on_new: AtomicU64,
    on_kept: AtomicU64,
    failures: Mutex<Vec<String>>,
    stop: AtomicBool,
}

/// Two clients that call a web server until they are stopped.
///
/// The one that keeps its connections does what HTTP asks of it: where the server has closed a kept connection
/// before the request, it asks again on a new one.
pub struct Load {
    counts: Arc<Counts>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    pub fn start(target: SocketAddr) -> Load {
        let counts = Arc::new(Counts::default());
        let (new, kept) = (counts.clone(), counts.clone());
        let clients = vec![
            std::thread::spawn(move || on_new(target, &new)),
            std::thread::spawn(move || on_kept(target, &kept)),
        ];
        Load { counts, clients }
    }

    /// How many calls were answered so far.
    pub fn answered(&self) -> (u64, u64) {
        (self.counts.on_new.load(Ordering::Relaxed), self.counts.on_kept.load(Ordering::Relaxed))
    }

    /// Stops, and answers what failed.
    pub fn stop(mut self) -> Vec<String> {
        self.counts.stop.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            client.join().unwrap();
        }
        self.counts.failures.lock().clone()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.counts.stop.store(true, Ordering::Relaxed);
    }
}

fn on_new(target: SocketAddr, counts: &Counts) {
    while !counts.stop.load(Ordering::Relaxed) {
        match get(target) {
            Ok(_) => drop(counts.on_new.fetch_add(1, Ordering::Relaxed)),
            Err(cause) => counts.failures.lock().push(format!("on a new connection: {cause}")),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn on_kept(target: SocketAddr, counts: &Counts) {
    while !counts.stop.load(Ordering::Relaxed) {
        if let Err(cause) = keep_calling(target, counts) {
            counts.failures.lock().push(format!("on a kept connection: {cause}"));
        }
    }
}

fn keep_calling(target: SocketAddr, counts: &Counts) -> io::Result<()> {
    let mut stream = connect(target)?;
    let mut first = true;
    while !counts.stop.load(Ordering::Relaxed) {
        let Some((_, kept)) = call(&mut stream, true)? else {
            // A connection that was never used must not be closed on us.
            return if first { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) };
        };
        first = false;
        counts.on_kept.fetch_add(1, Ordering::Relaxed);
        if !kept {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
