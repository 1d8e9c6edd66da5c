//! The least of an HTTP/1.1 client that checks need: one GET, one answer, one connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::report::{Result, ensure};

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: String,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.lines().find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// `GET path`, with more header lines.
pub(crate) fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
    ask("GET", address, path, headers)
}

/// `POST path`, with nothing in it.
pub(crate) fn post(address: SocketAddr, path: &str) -> Result<Answer> {
    ask("POST", address, path, &[("Content-Length", "0")])
}

fn ask(method: &str, address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
    const LIMIT: Duration = Duration::from_secs(20);
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    let mut request =
        format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    read(&bytes)
}

fn read(bytes: &[u8]) -> Result<Answer> {
    let text = std::str::from_utf8(bytes)?;
    let (head, body) = text
        .split_once("\r\n\r\n")
        .ok_or("an answer without an end of its head")?;
    let (status_line, headers) = head.split_once("\r\n").unwrap_or((head, ""));
    let status = status_line
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| format!("not a status line: {status_line:?}"))?;
    let mut answer = Answer {
        status,
        headers: headers.to_owned(),
        body: body.to_owned(),
    };
    if answer
        .header("transfer-encoding")
        .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
    {
        answer.body = dechunk(body)?;
    } else if let Some(length) = answer.header("content-length") {
        ensure!(
            length.parse() == Ok(body.len()),
            "content-length {length}, but {} bytes came",
            body.len()
        );
    }
    Ok(answer)
}

fn dechunk(mut rest: &str) -> Result<String> {
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n").ok_or("a chunk without a size")?;
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)?;
        if size == 0 {
            return Ok(body);
        }
        let (chunk, after) = after.split_at_checked(size).ok_or("a chunk was cut off")?;
        body.push_str(chunk);
        rest = after
            .strip_prefix("\r\n")
            .ok_or("a chunk without its end")?;
    }
}

/// A loopback address on which nothing listens. Another program could take it before it is used;
/// the checks fail loudly then.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_plain_and_chunked_answers() {
        let plain = read(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y\r\n\r\nab").unwrap();
        assert_eq!(
            (plain.status, plain.body.as_str(), plain.header("x")),
            (200, "ab", Some("y"))
        );
        let chunked = read(
            b"HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
        )
        .unwrap();
        assert_eq!((chunked.status, chunked.body.as_str()), (404, "abc"));
        assert!(read(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab").is_err());
        assert!(read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab").is_err());
        assert!(read(b"").is_err());
    }
}
