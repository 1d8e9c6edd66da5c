//! What a target can do to a reading: every fault ends with the right reason, in time, within the
//! limit, and with nothing half read. Raw sockets on loopback.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/fault_server.rs"]
mod fault_server;

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokenpath_core::Reason;
use tokenpath_scrape::{Client, ClientOptions, FetchError, Page, ResponseMeta};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use fault_server::{FaultServer, ok, read_request, reset};

const PAGE: &[u8] = b"# TYPE a gauge\na 1\n";
/// Far more than anything here takes, so that a loaded machine changes nothing.
const PLENTY: Duration = Duration::from_secs(30);

fn client(server: &FaultServer, options: ClientOptions) -> Client {
    Client::new(server.url().parse().unwrap(), options).unwrap()
}

async fn get_within(
    client: &Client,
    page: &mut Page,
    time: Duration,
) -> Result<ResponseMeta, FetchError> {
    let result = client.get(page, Instant::now() + time).await;
    if let Err(error) = &result {
        assert!(page.bytes().is_empty(), "a half page after {error}");
        assert!(
            error.to_string().starts_with(client.endpoint().target()),
            "{error}"
        );
    }
    result
}

/// Reads once from a server that sends these bytes, and closes.
async fn answer_with(bytes: impl Into<Vec<u8>>) -> Result<(ResponseMeta, Vec<u8>), FetchError> {
    answer_to(ClientOptions::default(), bytes).await
}

async fn answer_to(
    options: ClientOptions,
    bytes: impl Into<Vec<u8>>,
) -> Result<(ResponseMeta, Vec<u8>), FetchError> {
    let bytes: Arc<[u8]> = bytes.into().into();
    let server = FaultServer::start(move |_, mut stream| {
        let bytes = Arc::clone(&bytes);
        async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
            // Closing with unread input would be a reset.
            read_request(&mut stream).await;
        }
    })
    .await;
    let client = client(&server, options);
    let mut page = Page::new();
    let meta = get_within(&client, &mut page, PLENTY).await?;
    Ok((meta, page.bytes().to_vec()))
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn reads_a_page_and_says_who_asks() {
    let server = FaultServer::start(|_, mut stream| async move {
        let request = read_request(&mut stream).await.to_ascii_lowercase();
        for line in [
            "get /metrics http/1.1\r\n",
            "accept: text/plain;version=0.0.4\r\n",
            "accept-encoding: gzip\r\n",
            "user-agent: tokenpath/",
            "x-prometheus-scrape-timeout-seconds: ",
            "host: 127.0.0.1:",
        ] {
            assert!(request.contains(line), "{line} in {request}");
        }
        assert!(!request.contains("authorization"), "{request}");
        stream
            .write_all(&ok("Content-Type: text/plain\r\n", PAGE))
            .await
            .unwrap();
        read_request(&mut stream).await;
    })
    .await;
    let client = client(&server, ClientOptions::default());
    let mut page = Page::new();
    let meta = get_within(&client, &mut page, PLENTY).await.unwrap();
    assert_eq!(page.bytes(), PAGE);
    assert_eq!(meta.content_type(), Some("text/plain"));
    assert_eq!(meta.wire_bytes(), PAGE.len());
    assert_eq!(meta.certificate_not_after(), None);
    assert!(!meta.reused_connection());
    assert_eq!(server.failures(), 0);
}

#[tokio::test]
async fn says_that_nothing_listens() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = Client::new(
        address.to_string().parse().unwrap(),
        ClientOptions::default(),
    )
    .unwrap();
    let error = get_within(&client, &mut Page::new(), PLENTY)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::Connect);
    assert!(
        error.to_string().contains("does it listen on this port?"),
        "{error}"
    );
}

#[tokio::test]
async fn ends_at_the_deadline_when_nothing_comes_back() {
    // A queue of connections that nobody accepts: once it is full, the system drops what comes.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(stream) =
        tokio::time::timeout(Duration::from_millis(500), TcpStream::connect(address)).await
    {
        queue.push(stream.unwrap());
        assert!(queue.len() < 100, "the queue has no end");
    }
    let client = Client::new(
        address.to_string().parse().unwrap(),
        ClientOptions::default(),
    )
    .unwrap();
    let (begin, limit) = (Instant::now(), Duration::from_millis(300));
    let error = get_within(&client, &mut Page::new(), limit)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::Timeout);
    assert!(
        error.to_string().contains("no connection was made"),
        "{error}"
    );
    assert!(begin.elapsed() < limit * 10);
}

#[tokio::test]
async fn says_that_a_name_cannot_be_resolved() {
    // A label this long is refused by the resolver itself: no name server is asked.
    let endpoint = format!("{}:8000", "x".repeat(70)).parse().unwrap();
    let client = Client::new(endpoint, ClientOptions::default()).unwrap();
    let error = client
        .get(&mut Page::new(), Instant::now() + PLENTY)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::Connect);
    assert!(
        error.to_string().contains("cannot resolve the host name"),
        "{error}"
    );
}

#[tokio::test]
async fn ends_at_the_deadline_wherever_the_target_stalls() {
    let stall: [(&[u8], &str); 4] = [
        (b"", "no answer came"),
        (b"HTTP/1.1 200 OK\r\nContent-", "no answer came"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
            "0 bytes so far",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\na 1\n",
            "4 bytes so far",
        ),
    ];
    for (head, what) in stall {
        let server = FaultServer::start(move |_, mut stream| async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(head).await;
            sleep(PLENTY).await;
        })
        .await;
        let begin = Instant::now();
        let limit = Duration::from_millis(500);
        let client = client(&server, ClientOptions::default());
        let error = get_within(&client, &mut Page::new(), limit)
            .await
            .unwrap_err();
        assert_eq!(error.reason(), Reason::Timeout);
        assert!(error.to_string().contains(what), "{error}");
        let took = begin.elapsed();
        assert!(took >= limit && took < limit * 10, "{took:?}");
    }
}

#[tokio::test]
async fn refuses_to_begin_with_no_time_left() {
    let server = FaultServer::start(|_, _| async {}).await;
    let client = client(&server, ClientOptions::default());
    let error = client
        .get(&mut Page::new(), Instant::now())
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::Timeout);
    assert_eq!(server.accepted(), 0);
}

#[tokio::test]
async fn a_trickle_ends_at_the_deadline() {
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\n",
    ] {
        let server = FaultServer::start(move |_, mut stream| async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(head.as_bytes()).await;
            let piece = if head.contains("chunked") {
                "1\r\na\r\n"
            } else {
                "a"
            };
            while stream.write_all(piece.as_bytes()).await.is_ok() {
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        let client = client(&server, ClientOptions::default());
        let begin = Instant::now();
        let limit = Duration::from_millis(300);
        let error = get_within(&client, &mut Page::new(), limit)
            .await
            .unwrap_err();
        assert_eq!(error.reason(), Reason::Timeout, "{head}: {error}");
        assert!(begin.elapsed() < limit * 10);
    }
}

/// A server that sends the first n bytes to its n-th connection, and then closes it.
async fn cut_after_n_bytes(whole: Vec<u8>, by_reset: bool) -> FaultServer {
    let whole: Arc<[u8]> = whole.into();
    FaultServer::start(move |n, mut stream| {
        let whole = Arc::clone(&whole);
        async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(&whole[..n]).await;
            if by_reset {
                // Lets the bytes out before the reset discards them.
                sleep(Duration::from_millis(2)).await;
                reset(stream);
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_page_cut_at_any_byte_is_refused_whole() {
    let with_length = ok("", PAGE);
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
        b\r\n# TYPE a ga\r\n8\r\nuge\na 1\n\r\n0\r\n\r\n"
        .to_vec();
    for (whole, by_reset) in [
        (with_length.clone(), false),
        (with_length, true),
        (chunked.clone(), false),
        (chunked, true),
    ] {
        let length = whole.len();
        let server = cut_after_n_bytes(whole, by_reset).await;
        let client = client(&server, ClientOptions::default());
        for cut in 0..length {
            let error = get_within(&client, &mut Page::new(), PLENTY)
                .await
                .unwrap_err();
            let reasons = [Reason::Connect, Reason::Http];
            assert!(reasons.contains(&error.reason()), "cut at {cut}: {error}");
        }
        if !by_reset {
            let mut page = Page::new();
            get_within(&client, &mut page, PLENTY).await.unwrap();
            assert_eq!(page.bytes(), PAGE);
        }
    }
}

#[tokio::test]
async fn a_reset_after_the_head_is_a_lost_connection() {
    let server = FaultServer::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\na 1\n")
            .await
            .unwrap();
        sleep(Duration::from_millis(50)).await;
        reset(stream);
    })
    .await;
    let client = client(&server, ClientOptions::default());
    let error = get_within(&client, &mut Page::new(), PLENTY)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::Connect, "{error}");
    assert_eq!(
        server.accepted(),
        1,
        "a reading that had begun is not repeated"
    );
}

#[tokio::test]
async fn a_half_closed_connection_is_no_page() {
    let server = FaultServer::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        stream.shutdown().await.unwrap();
        sleep(PLENTY).await;
    })
    .await;
    let client = client(&server, ClientOptions::default());
    let error = get_within(&client, &mut Page::new(), PLENTY)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::Connect, "{error}");
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn keeps_one_connection() {
    let server = FaultServer::start(|_, mut stream| async move {
        while !read_request(&mut stream).await.is_empty() {
            stream.write_all(&ok("", PAGE)).await.unwrap();
        }
    })
    .await;
    let client = client(&server, ClientOptions::default());
    let mut page = Page::new();
    for round in 0..20 {
        let meta = get_within(&client, &mut page, PLENTY).await.unwrap();
        assert_eq!(meta.reused_connection(), round > 0);
        assert_eq!(page.bytes(), PAGE);
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn repeats_silently_when_the_kept_connection_was_closed() {
    // Closed between two readings: politely, by reset, and only once the next request is there.
    for manner in 0..3 {
        let server = FaultServer::start(move |_, mut stream| async move {
            read_request(&mut stream).await;
            stream.write_all(&ok("", PAGE)).await.unwrap();
            match manner {
                0 => {}
                1 => {
                    sleep(Duration::from_millis(20)).await;
                    reset(stream);
                }
                _ => {
                    read_request(&mut stream).await;
                }
            }
        })
        .await;
        let client = client(&server, ClientOptions::default());
        let mut page = Page::new();
        for round in 1..=5 {
            let meta = get_within(&client, &mut page, PLENTY).await.unwrap();
            assert!(!meta.reused_connection());
            assert_eq!(
                (page.bytes(), server.accepted()),
                (PAGE, round),
                "manner {manner}"
            );
            sleep(Duration::from_millis(40)).await;
        }
    }
}

#[tokio::test]
async fn repeats_once_and_not_again() {
    let server = FaultServer::start(|n, mut stream| async move {
        read_request(&mut stream).await;
        if n == 0 {
            stream.write_all(&ok("", PAGE)).await.unwrap();
            read_request(&mut stream).await;
        }
    })
    .await;
    let client = client(&server, ClientOptions::default());
    let mut page = Page::new();
    get_within(&client, &mut page, PLENTY).await.unwrap();
    let error = get_within(&client, &mut page, PLENTY).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Connect, "{error}");
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn does_not_repeat_what_was_answered_on_a_kept_connection() {
    let server = FaultServer::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(&ok("", PAGE)).await.unwrap();
        read_request(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na")
            .await
            .unwrap();
    })
    .await;
    let client = client(&server, ClientOptions::default());
    let mut page = Page::new();
    get_within(&client, &mut page, PLENTY).await.unwrap();
    let error = get_within(&client, &mut page, PLENTY).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Http, "{error}");
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn honours_connection_close() {
    let server = FaultServer::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        stream
            .write_all(&ok("Connection: close\r\n", PAGE))
            .await
            .unwrap();
    })
    .await;
    let client = client(&server, ClientOptions::default());
    for round in 1..=3 {
        get_within(&client, &mut Page::new(), PLENTY).await.unwrap();
        assert_eq!(server.accepted(), round);
    }
}

/// A page that never ends stops at the limit, and not much more than the limit is taken from it.
async fn endless(head: &'static [u8], piece: Vec<u8>) {
    const LIMIT: usize = 1024 * 1024;
    let sent = Arc::new(AtomicUsize::new(0));
    let piece: Arc<[u8]> = piece.into();
    let count = Arc::clone(&sent);
    let server = FaultServer::start(move |_, mut stream| {
        let (count, piece) = (Arc::clone(&count), Arc::clone(&piece));
        async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(head).await;
            while stream.write_all(&piece).await.is_ok() {
                count.fetch_add(piece.len(), Ordering::Relaxed);
            }
        }
    })
    .await;
    let options = ClientOptions {
        body_limit: LIMIT,
        ..ClientOptions::default()
    };
    let client = client(&server, options);
    let error = get_within(&client, &mut Page::new(), PLENTY)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::BodyLimit, "{error}");
    assert!(
        error
            .to_string()
            .contains("larger than the limit of 1048576 bytes"),
        "{error}"
    );
    sleep(Duration::from_millis(50)).await;
    // What was sent beyond the limit stood in the buffers of the system.
    let sent = sent.load(Ordering::Relaxed);
    assert!(sent < LIMIT + 16 * 1024 * 1024, "{sent} bytes taken");
}

#[tokio::test]
async fn stops_an_endless_page_at_the_limit() {
    endless(b"HTTP/1.1 200 OK\r\n\r\n", b"some_metric 1\n".repeat(1000)).await;
}

#[tokio::test]
async fn stops_endless_chunks_at_the_limit() {
    let piece = [b"2710\r\n".to_vec(), vec![b'a'; 10_000], b"\r\n".to_vec()].concat();
    endless(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        piece,
    )
    .await;
}

#[tokio::test]
async fn does_not_begin_a_page_that_is_announced_too_large() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n";
    assert_eq!(
        answer_with(answer).await.unwrap_err().reason(),
        Reason::BodyLimit
    );
}

#[tokio::test]
async fn stops_a_gzip_bomb_at_the_limit() {
    // Some 50 kB that unpack to 10 MB, ten times the limit.
    let bomb = gzip(&vec![b'a'; 1_000_000]).repeat(10);
    assert!(bomb.len() < 100_000, "{}", bomb.len());
    let options = ClientOptions {
        body_limit: 1024 * 1024,
        ..ClientOptions::default()
    };
    let answer = ok("Content-Encoding: gzip\r\n", &bomb);
    let error = answer_to(options, answer).await.unwrap_err();
    assert_eq!(error.reason(), Reason::BodyLimit, "{error}");
}

#[tokio::test]
async fn unpacks_gzip() {
    let packed = gzip(&PAGE.repeat(100));
    let (meta, page) = answer_with(ok("Content-Encoding: gzip\r\n", &packed))
        .await
        .unwrap();
    assert_eq!(page, PAGE.repeat(100));
    assert_eq!(meta.wire_bytes(), packed.len());
}

#[tokio::test]
async fn refuses_wrong_gzip() {
    let cut = gzip(PAGE);
    for (body, what) in [
        (PAGE, "not valid gzip"),
        (&cut[..cut.len() - 3], "broken off"),
    ] {
        let error = answer_with(ok("Content-Encoding: gzip\r\n", body))
            .await
            .unwrap_err();
        assert_eq!(error.reason(), Reason::Http);
        assert!(error.to_string().contains(what), "{error}");
    }
    for coding in ["br", "gzip, gzip", "zstd"] {
        let head = format!("Content-Encoding: {coding}\r\n");
        let error = answer_with(ok(&head, PAGE)).await.unwrap_err();
        assert!(
            error.to_string().contains("only gzip is understood"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn refuses_broken_http() {
    let many = (0..10_000)
        .map(|i| format!("X-{i}: 1\r\n"))
        .collect::<String>();
    let large = format!("X: {}\r\n", "x".repeat(1_000_000));
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n";
    let extension = "x".repeat(20_000);
    let cases = [
        (
            "too short",
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na 1\nb 2\n".to_owned(),
        ),
        (
            "too long",
            "HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\na 1\n".to_owned(),
        ),
        (
            "both",
            format!("{chunked}Content-Length: 4\r\n\r\n4\r\na 1\n\r\n0\r\n\r\n"),
        ),
        (
            "two lengths",
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\na 1\n".to_owned(),
        ),
        (
            "negative",
            "HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\na 1\n".to_owned(),
        ),
        (
            "not chunked last",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n".to_owned(),
        ),
        ("chunk size", format!("{chunked}\r\nxyz\r\n")),
        (
            "chunk size overflow",
            format!("{chunked}\r\nffffffffffffffffff\r\n"),
        ),
        (
            "chunk header",
            format!("{chunked}\r\n4;x={extension}\r\na 1\n\r\n0\r\n\r\n"),
        ),
        ("many headers", format!("HTTP/1.1 200 OK\r\n{many}\r\n")),
        ("large header", format!("HTTP/1.1 200 OK\r\n{large}\r\n")),
        ("not HTTP", "SSH-2.0-OpenSSH_9.6\r\n".to_owned()),
        ("status", "HTTP/1.1 2 OK\r\n\r\n".to_owned()),
        ("no content", "HTTP/1.1 204 No Content\r\n\r\n".to_owned()),
        (
            "partial",
            "HTTP/1.1 206 Partial\r\nContent-Length: 4\r\n\r\na 1\n".to_owned(),
        ),
        (
            "not found",
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
        ),
    ];
    for (name, answer) in cases {
        let error = answer_with(answer).await.expect_err(name);
        assert_eq!(error.reason(), Reason::Http, "{name}: {error}");
    }
}

#[tokio::test]
async fn trailers_and_chunk_extensions_are_no_part_of_the_page() {
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
        4;x=y\r\na 1\n\r\n0\r\nX-Trailer: 1\r\n\r\n";
    assert_eq!(answer_with(answer).await.unwrap().1, b"a 1\n");
}

#[tokio::test]
async fn reads_a_page_that_ends_with_its_connection() {
    for version in ["1.0", "1.1"] {
        let answer = format!("HTTP/{version} 200 OK\r\n\r\na 1\n");
        assert_eq!(answer_with(answer).await.unwrap().1, b"a 1\n");
    }
}

#[tokio::test]
async fn an_empty_page_is_a_page_here() {
    assert!(answer_with(ok("", b"")).await.unwrap().1.is_empty());
}

#[tokio::test]
async fn tells_statuses_apart() {
    for (status, reason, what) in [
        (
            "401 Unauthorized",
            Reason::Unauthorized,
            "--scrape.bearer-token-file",
        ),
        ("403 Forbidden", Reason::Forbidden, "do not allow"),
        ("500 Internal Server Error", Reason::ServerError, "500"),
        ("503 Service Unavailable", Reason::ServerError, "503"),
        ("418 I'm a teapot", Reason::Http, "418"),
        (
            "304 Not Modified",
            Reason::Http,
            "304 Not Modified; nothing was cached",
        ),
        ("300 Multiple Choices", Reason::Http, "answered 300"),
    ] {
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 3\r\n\r\nbad");
        let error = answer_with(answer).await.unwrap_err();
        assert_eq!(error.reason(), reason);
        assert!(error.to_string().contains(what), "{error}");
    }
}

#[tokio::test]
async fn does_not_follow_redirects_and_names_where_they_lead() {
    for (location, to) in [
        (
            "http://other.example:81/a?token=canary",
            "http://other.example:81",
        ),
        (
            "https://user:canary@other.example/",
            "https://other.example",
        ),
        ("file:///etc/passwd", "nowhere"),
        ("//[", "nowhere"),
    ] {
        for status in [301, 302, 307, 308] {
            let answer =
                format!("HTTP/1.1 {status} X\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
            let error = answer_with(answer).await.unwrap_err();
            assert_eq!(error.reason(), Reason::Http);
            let text = format!("{error} {error:?}");
            assert!(text.contains(&format!("a redirect to {to};")), "{text}");
            assert!(
                text.contains("set the endpoint to where the page is"),
                "{text}"
            );
            assert!(!text.contains("canary"), "{text}");
        }
    }
}

async fn redirect(stream: &mut TcpStream, location: &str) {
    let answer = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn follows_redirects_within_the_origin_where_told_to() {
    let options = || ClientOptions {
        follow_redirects: true,
        ..ClientOptions::default()
    };
    let server = FaultServer::start(|_, mut stream| async move {
        let request = read_request(&mut stream).await;
        if request.starts_with("GET /metrics ") {
            redirect(&mut stream, "/metrics/?a=b").await;
        } else {
            assert!(request.starts_with("GET /metrics/?a=b "), "{request}");
            stream.write_all(&ok("", PAGE)).await.unwrap();
        }
    })
    .await;
    let mut page = Page::new();
    get_within(&client(&server, options()), &mut page, PLENTY)
        .await
        .unwrap();
    assert_eq!(page.bytes(), PAGE);

    let round = FaultServer::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        redirect(&mut stream, "/metrics").await;
    })
    .await;
    let error = get_within(&client(&round, options()), &mut page, PLENTY)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("at most 5"), "{error}");
    assert_eq!(round.accepted(), 6);

    let other = FaultServer::start(|_, _| async {}).await;
    let to = other.url();
    let away = FaultServer::start(move |_, mut stream| {
        let to = to.clone();
        async move {
            read_request(&mut stream).await;
            redirect(&mut stream, &to).await;
        }
    })
    .await;
    let error = get_within(&client(&away, options()), &mut page, PLENTY)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::Http);
    assert_eq!(other.accepted(), 0);
}

const fn can_be_spawned<T: Send>(_: &T) {}

#[tokio::test]
async fn dropping_a_reading_ends_it_and_the_next_one_works() {
    let server = FaultServer::start(|n, mut stream| async move {
        read_request(&mut stream).await;
        if n == 0 {
            sleep(PLENTY).await;
        }
        stream.write_all(&ok("", PAGE)).await.unwrap();
    })
    .await;
    let client = client(&server, ClientOptions::default());
    let mut page = Page::new();
    let reading = client.get(&mut page, Instant::now() + PLENTY);
    can_be_spawned(&reading);
    assert!(
        tokio::time::timeout(Duration::from_millis(100), reading)
            .await
            .is_err()
    );
    get_within(&client, &mut page, PLENTY).await.unwrap();
    assert_eq!(page.bytes(), PAGE);
}

#[test]
fn survives_the_end_of_the_runtime_it_was_used_on() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let serving = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let server = serving.block_on(FaultServer::start(|_, mut stream| async move {
        while !read_request(&mut stream).await.is_empty() {
            let _ = stream.write_all(&ok("", PAGE)).await;
        }
    }));
    let client = client(&server, ClientOptions::default());
    let mut page = Page::new();
    for _ in 0..2 {
        runtime()
            .block_on(get_within(&client, &mut page, PLENTY))
            .unwrap();
    }
}

#[tokio::test]
async fn another_path_of_the_target_is_read_on_the_same_connection() {
    let server = FaultServer::start(|_, mut stream| async move {
        for expected in [
            "GET /metrics?token=x ",
            "GET /counters/a%2Fb ",
            "GET /metrics?token=x ",
        ] {
            let head = read_request(&mut stream).await;
            assert!(head.starts_with(expected), "{head}");
            stream.write_all(&ok("", b"{}")).await.unwrap();
        }
    })
    .await;
    let endpoint = format!("{}?token=x", server.url()).parse().unwrap();
    let client = Client::new(endpoint, ClientOptions::default()).unwrap();
    let mut page = Page::new();
    let deadline = Instant::now() + PLENTY;
    client.get(&mut page, deadline).await.unwrap();
    client
        .get_path("/counters/a%2Fb", &mut page, deadline)
        .await
        .unwrap();
    assert_eq!(page.bytes(), b"{}");
    client.get(&mut page, deadline).await.unwrap();
    assert_eq!((server.accepted(), server.failures()), (1, 0));
}
