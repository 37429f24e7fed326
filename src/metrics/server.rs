//! Answers `GET /metrics` and `GET /health`, and nothing else.
//!
//! One thread, one connection at a time, one request on each, a few seconds for
//! all of it: who asks slowly or too much is cut off, and the sensor does not
//! notice.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::Metrics;

/// Longest that a connection lives.
const PATIENCE: Duration = Duration::from_secs(5);

/// Most bytes of a request.
const MAX_REQUEST: usize = 8 << 10;

/// Answers who connects to `listener`, from a thread of its own, as long as the
/// process lives.
///
/// # Errors
/// If there can be no thread.
pub fn start(listener: TcpListener, metrics: Arc<Metrics>) -> io::Result<()> {
    thread::Builder::new().name("metrics".to_owned()).spawn(move || {
        for stream in listener.incoming() {
            match stream {
                // Who asked and went away does not matter to anybody.
                Ok(stream) => drop(serve(stream, &metrics)),
                // Out of descriptors, perhaps: not too fast round.
                Err(_) => thread::sleep(Duration::from_millis(100)),
            }
        }
    })?;
    Ok(())
}

fn serve(mut stream: TcpStream, metrics: &Metrics) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = request(&mut stream)?;
    stream.write_all(&answer(&request, metrics))?;
    stream.flush()
}

/// Reads to the end of the request's head, or as far as patience goes.
fn request(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let until = Instant::now() + PATIENCE;
    let mut request = Vec::new();
    let mut part = [0; 1024];
    while !ends(&request) && request.len() < MAX_REQUEST {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut part)? {
            0 => break,
            len => request.extend_from_slice(part.get(..len).unwrap_or_default()),
        }
    }
    Ok(request)
}

fn ends(request: &[u8]) -> bool {
    request.windows(4).any(|window| window == b"\r\n\r\n")
        || request.windows(2).any(|window| window == b"\n\n")
}

fn answer(request: &[u8], metrics: &Metrics) -> Vec<u8> {
    const TEXT: &str = "text/plain; charset=utf-8";
    let line = request.split(|&byte| byte == b'\r' || byte == b'\n').next().unwrap_or_default();
    let mut words = line.split(|&byte| byte == b' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split(|&byte| byte == b'?').next().unwrap_or_default();
    let (status, kind, body) = match (method, path) {
        (b"GET" | b"HEAD", b"/metrics") => {
            ("200 OK", "text/plain; version=0.0.4; charset=utf-8", metrics.to_text())
        }
        (b"GET" | b"HEAD", b"/health") => {
            let complaints = metrics.complaints();
            match complaints.is_empty() {
                true => ("200 OK", TEXT, "ok\n".to_owned()),
                false => ("503 Service Unavailable", TEXT, complaints.join("\n") + "\n"),
            }
        }
        (b"GET" | b"HEAD", _) => {
            ("404 Not Found", TEXT, "there is /metrics and /health\n".to_owned())
        }
        _ => ("405 Method Not Allowed", TEXT, "only GET\n".to_owned()),
    };
    let allow = if status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
    let mut answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n{allow}\
         Connection: close\r\n\r\n",
        body.len()
    );
    if method != b"HEAD" {
        answer.push_str(&body);
    }
    answer.into_bytes()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::*;
    use crate::capture::live::LiveStatus;

    fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn answers_what_there_is() {
        let metrics = Arc::new(Metrics::new(LiveStatus::default()));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        start(listener, metrics).unwrap();
        let metrics = ask(address, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(metrics.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4"));
        assert!(metrics.contains("\nmcpwatch_build_info{"), "{metrics}");
        let cases = [
            ("GET /health?x HTTP/1.0\n\n", "200 OK"),
            ("HEAD /health HTTP/1.1\r\n\r\n", "200 OK"),
            ("GET / HTTP/1.1\r\n\r\n", "404 Not Found"),
            ("POST /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed"),
            ("\r\n\r\n", "405 Method Not Allowed"),
        ];
        for (request, status) in cases {
            let answer = ask(address, request);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request:?} {answer}");
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            let len = format!("Content-Length: {}", body.len());
            assert!(head.contains(&len) || request.starts_with("HEAD"), "{answer}");
        }
    }
}
