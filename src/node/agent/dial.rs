//! Reaches into pods over TCP: a connection, or one small HTTP/1.1 GET.
//!
//! Owns just as much of HTTP as a probe needs: a request, a status line, headers, a bounded body, redirects. Every
//! call is bounded by its time limit as a whole. HTTPS is not built in and says so.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use super::seams::{HttpCall, Prober, Verdict};
use crate::limits::{PROBE_BODY_BYTES, PROBE_REDIRECTS};
use crate::world::{Clock, Moment};

/// Probes over the host's own network.
pub struct NetProber {
    clock: Arc<dyn Clock>,
}

impl NetProber {
    /// A prober that measures its limits by this clock.
    pub fn new(clock: Arc<dyn Clock>) -> NetProber {
        NetProber { clock }
    }

    fn left(&self, deadline: Moment) -> Result<Duration, String> {
        let left = deadline.since(self.clock.moment());
        match left.is_zero() {
            true => {
                Err("context deadline exceeded (Client.Timeout exceeded while awaiting headers)".to_owned())
            }
            false => Ok(left),
        }
    }

    fn get(&self, call: &HttpCall, deadline: Moment) -> Result<Answer, String> {
        let address = SocketAddr::new(call.address, call.port);
        let timed_out = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
        let failed = |step: &str, cause: &std::io::Error| match cause.kind() {
            std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => timed_out.to_owned(),
            _ => format!("{step}: {}", plain(cause)),
        };
        let mut stream = TcpStream::connect_timeout(&address, self.left(deadline)?)
            .map_err(|cause| failed(&format!("dial tcp {address}: connect"), &cause))?;
        let request = request(call);
        stream.set_write_timeout(Some(self.left(deadline)?)).map_err(|c| failed("write", &c))?;
        stream.write_all(request.as_bytes()).map_err(|cause| failed("write", &cause))?;
        let mut bytes = Vec::new();
        let mut chunk = [0; 2048];
        loop {
            if let Some(answer) = Answer::parse(&bytes) {
                return Ok(answer);
            }
            if bytes.len() > HEAD_BYTES {
                return Err("net/http: HTTP/1.x transport connection broken: headers are too long".to_owned());
            }
            stream.set_read_timeout(Some(self.left(deadline)?)).map_err(|c| failed("read", &c))?;
            match stream.read(&mut chunk).map_err(|cause| failed("read", &cause))? {
                0 if bytes.is_empty() => return Err("EOF".to_owned()),
                0 => return Err("malformed HTTP response".to_owned()),
                read => bytes.extend_from_slice(&chunk[..read]),
            }
        }
    }
}

/// The most bytes of an answer's head. The body, beyond what came with the head, is not read: a probe needs none.
const HEAD_BYTES: usize = 64 * 1024;
const _: () = assert!(PROBE_BODY_BYTES < HEAD_BYTES);

/// An error as Go prints it: without the number.
fn plain(cause: &std::io::Error) -> String {
    match cause.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        std::io::ErrorKind::ConnectionReset => "connection reset by peer".to_owned(),
        std::io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        std::io::ErrorKind::NetworkUnreachable => "network is unreachable".to_owned(),
        std::io::ErrorKind::TimedOut | std::io::ErrorKind::WouldBlock => "i/o timeout".to_owned(),
        _ => cause.to_string(),
    }
}

fn bracketed(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

fn url(call: &HttpCall) -> String {
    let host = call.host.clone().unwrap_or_else(|| bracketed(call.address));
    let scheme = if call.tls { "https" } else { "http" };
    format!("{scheme}://{host}:{}{}", call.port, call.path)
}

fn request(call: &HttpCall) -> String {
    let clean = |text: &str| text.replace(['\r', '\n'], " ");
    let given = call.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
    let host = match given {
        Some((_, value)) => clean(value),
        None => format!("{}:{}", call.host.clone().unwrap_or_else(|| bracketed(call.address)), call.port),
    };
    let path = clean(call.path.split('#').next().unwrap_or("/")).replace(' ', "%20");
    let mut text = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n");
    for (name, value) in call.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("host")) {
        text.push_str(&format!("{}: {}\r\n", clean(name), clean(value)));
    }
    text.push_str("Connection: close\r\n\r\n");
    text
}

/// The head of an answer.
struct Answer {
    status: u16,
    location: Option<String>,
}

impl Answer {
    /// `None` while the head is not whole.
    fn parse(bytes: &[u8]) -> Option<Answer> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines.next()?;
        // Interim answers (100 Continue) are followed by the real one.
        let code: u16 = status.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        if (100..200).contains(&code) {
            return Answer::parse(&bytes[end + 4..]);
        }
        let location = lines.filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
            name.trim().eq_ignore_ascii_case("location").then(|| value.trim().to_owned())
        });
        Some(Answer { status: if status.starts_with("HTTP/1.") { code } else { 0 }, location })
    }
}

/// Where a redirect leads: the same host again, or elsewhere.
fn redirected(call: &HttpCall, location: &str) -> Option<HttpCall> {
    let mut next = call.clone();
    if let Some(path) = location.strip_prefix('/').filter(|rest| !rest.starts_with('/')) {
        next.path = format!("/{path}");
        return Some(next);
    }
    let (tls, rest) = match (location.strip_prefix("http://"), location.strip_prefix("https://")) {
        (Some(rest), _) => (false, rest),
        (None, Some(rest)) => (true, rest),
        (None, None) => return None,
    };
    let (authority, path) = match rest.find('/') {
        Some(at) => (&rest[..at], &rest[at..]),
        None => (rest, "/"),
    };
    let own = call.host.clone().unwrap_or_else(|| bracketed(call.address));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port.parse().ok()?),
        _ => (authority, if tls { 443 } else { 80 }),
    };
    (host == own).then(|| HttpCall { tls, port, path: path.to_owned(), ..next })
}

impl Prober for NetProber {
    fn tcp(&self, address: IpAddr, port: u16, timeout: Duration) -> Verdict {
        let address = SocketAddr::new(address, port);
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(_) => Verdict::Success,
            Err(cause) => match cause.kind() {
                std::io::ErrorKind::TimedOut | std::io::ErrorKind::WouldBlock => {
                    Verdict::Failure(format!("dial tcp {address}: i/o timeout"))
                }
                _ => Verdict::Failure(format!("dial tcp {address}: connect: {}", plain(&cause))),
            },
        }
    }

    fn http(&self, call: &HttpCall, timeout: Duration) -> Verdict {
        let deadline = self.clock.moment().after(timeout);
        let first = url(call);
        let mut call = call.clone();
        for _ in 0..=PROBE_REDIRECTS {
            if call.tls {
                return Verdict::Failure(format!(
                    "Get {first:?}: probes with scheme HTTPS are not built into this node"
                ));
            }
            let answer = match self.get(&call, deadline) {
                Ok(answer) => answer,
                Err(cause) => return Verdict::Failure(format!("Get {first:?}: {cause}")),
            };
            match (answer.status, answer.location) {
                (301 | 302 | 303 | 307 | 308, Some(location)) => match redirected(&call, &location) {
                    Some(next) => call = next,
                    None => return Verdict::Warning("Probe terminated redirects".to_owned()),
                },
                (200..400, _) => return Verdict::Success,
                (status, _) => {
                    return Verdict::Failure(format!("HTTP probe failed with statuscode: {status}"));
                }
            }
        }
        Verdict::Failure(format!("Get {first:?}: stopped after {PROBE_REDIRECTS} redirects"))
    }
}

impl std::fmt::Debug for NetProber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NetProber")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(path: &str) -> HttpCall {
        HttpCall {
            address: "10.0.0.1".parse().unwrap(),
            host: None,
            port: 8080,
            tls: false,
            path: path.to_owned(),
            headers: vec![("X-A".to_owned(), "1\r\nEvil: 2".to_owned())],
        }
    }

    #[test]
    fn requests_are_one_head() {
        let expected =
            "GET /a%20b HTTP/1.1\r\nHost: 10.0.0.1:8080\r\nX-A: 1  Evil: 2\r\nConnection: close\r\n\r\n";
        assert_eq!(request(&call("/a b")), expected);
    }

    #[test]
    fn redirects_stay_on_the_host() {
        for (location, expected) in [
            ("/b", Some("http://10.0.0.1:8080/b")),
            ("http://10.0.0.1:8080/c?d", Some("http://10.0.0.1:8080/c?d")),
            ("http://10.0.0.1/c", Some("http://10.0.0.1:80/c")),
            ("https://10.0.0.1/c", Some("https://10.0.0.1:443/c")),
            ("http://example.org/", None),
            ("//example.org/", None),
            ("ftp://10.0.0.1/", None),
        ] {
            let found = redirected(&call("/"), location).map(|call| url(&call));
            assert_eq!(found.as_deref(), expected, "{location}");
        }
    }

    #[test]
    fn answers_are_read_head_first() {
        for (text, expected) in [
            ("HTTP/1.1 200 OK\r\n\r\n", Some(200)),
            ("HTTP/1.0 503 No\r\nA: b\r\n\r\nbody", Some(503)),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n", Some(204)),
            ("HTTP/1.1 200 OK\r\n", None),
            ("SSH-2.0\r\n\r\n", Some(0)),
        ] {
            assert_eq!(Answer::parse(text.as_bytes()).map(|answer| answer.status), expected, "{text:?}");
        }
    }
}
