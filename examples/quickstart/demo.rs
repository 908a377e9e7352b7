//! What the demo's pods run: a small web server, and a visitor that calls it without end.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};

use crate::load::Load;

/// Waits for SIGTERM, which every thread that is started afterwards leaves to the caller.
fn termination() -> SigSet {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    let _ = signals.thread_block();
    signals
}

/// How many connections are open, and whether the server is about to end.
#[derive(Default)]
struct State {
    open: Mutex<usize>,
    changed: Condvar,
    ending: AtomicBool,
}

/// A web server that ends as one should: on SIGTERM it answers what comes, asks kept connections to close, and
/// goes when none is left.
pub fn web() -> i32 {
    let signals = termination();
    let name = std::env::var("POD_NAME").unwrap_or_default();
    let version = std::env::var("VERSION").unwrap_or_default();
    let greeting = std::env::var("GREETING").unwrap_or_default();
    let answer = format!("{greeting} from {name}, version {version}\n");
    let listener = match TcpListener::bind("0.0.0.0:8080") {
        Ok(listener) => listener,
        Err(cause) => {
            eprintln!("cannot listen: {cause}");
            return 1;
        }
    };
    println!("serving version {version}");
    let state = Arc::new(State::default());
    let for_listener = state.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (state, answer) = (for_listener.clone(), answer.clone());
            *state.open.lock().unwrap_or_else(|e| e.into_inner()) += 1;
            state.changed.notify_all();
            thread::spawn(move || {
                let _ = serve(stream, &answer, &state.ending);
                *state.open.lock().unwrap_or_else(|e| e.into_inner()) -= 1;
                state.changed.notify_all();
            });
        }
    });
    let _ = signals.wait();
    state.ending.store(true, Ordering::Release);
    await_last_call(&state);
    println!("ending");
    0
}

/// Waits until no connection is open and none has come for a while: one that the kernel has taken for us and we have
/// not yet would be reset by our end.
fn await_last_call(state: &State) {
    let (patience, quiet) = (Duration::from_secs(5), Duration::from_millis(200));
    let mut open = state.open.lock().unwrap_or_else(|e| e.into_inner());
    loop {
        let waited = state.changed.wait_timeout_while(open, patience, |open| *open > 0);
        open = waited.unwrap_or_else(|e| e.into_inner()).0;
        if *open > 0 {
            return;
        }
        let waited = state.changed.wait_timeout_while(open, quiet, |open| *open == 0);
        let (guard, late) = waited.unwrap_or_else(|e| e.into_inner());
        open = guard;
        if late.timed_out() {
            return;
        }
    }
}

/// Answers requests until the other side closes, or this server ends.
fn serve(mut stream: TcpStream, answer: &str, ending: &AtomicBool) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut close = false;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            close |= header.to_ascii_lowercase().starts_with("connection: close");
            if header.trim().is_empty() {
                break;
            }
        }
        close |= ending.load(Ordering::Acquire);
        let connection = if close { "close" } else { "keep-alive" };
        let length = answer.len();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: {connection}\r\n\r\n");
        stream.write_all((head + answer).as_bytes())?;
        if close {
            return Ok(());
        }
    }
}

/// Calls the Service of the web server without end, with new and with kept connections, and tells at port 8081 how
/// many calls were made and how many failed.
pub fn visitor() -> i32 {
    let signals = termination();
    let host = std::env::var("WEB_SERVICE_HOST").unwrap_or_default();
    let port = std::env::var("WEB_SERVICE_PORT").unwrap_or_default();
    let Ok(target) = format!("{host}:{port}").parse() else {
        eprintln!("no Service in the environment: {host}:{port}");
        return 1;
    };
    let load = Arc::new(Load::start(target));
    let Ok(listener) = TcpListener::bind("0.0.0.0:8081") else { return 1 };
    let visits = Arc::new(AtomicUsize::new(0));
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            visits.fetch_add(1, Ordering::Relaxed);
            let _ = writeln!(stream, "{}", load.report());
        }
    });
    let _ = signals.wait();
    0
}
