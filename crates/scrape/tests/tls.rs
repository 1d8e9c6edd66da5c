//! TLS to targets: who is trusted, what a refusal says, and certificates that change on disk.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/fault_server.rs"]
mod fault_server;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokenpath_core::Reason;
use tokenpath_scrape::{Client, ClientOptions, FetchError, Page, ResponseMeta, TlsOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsAcceptor;

use fault_server::{FaultServer, ok, read_request};

const PAGE: &[u8] = b"a 1\n";
const PLENTY: Duration = Duration::from_secs(30);
/// 2039-12-31, the end of the certificates that are valid.
const END: i64 = 2_208_902_400;

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate with its key, as PEM.
struct Identity {
    cert: String,
    key: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    fn issue_for(&self, name: &str, years: (i32, i32)) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 12, 31);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap().pem();
        Identity {
            cert,
            key: key.serialize_pem(),
        }
    }

    fn issue(&self) -> Identity {
        self.issue_for("127.0.0.1", (2020, 2039))
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

/// A server with this identity that wants client certificates of `clients`, if given.
async fn serve(identity: &Identity, clients: Option<&Authority>) -> FaultServer {
    serve_with(identity, clients, "").await
}

/// The same, with more headers in its answers.
async fn serve_with(
    identity: &Identity,
    clients: Option<&Authority>,
    headers: &'static str,
) -> FaultServer {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(der(&authority.pem)).unwrap();
            let roots = Arc::new(roots);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let config = builder
        .with_single_cert(vec![der(&identity.cert)], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    FaultServer::start(move |_, stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                return;
            };
            while !read_request(&mut stream).await.is_empty() {
                let _ = stream.write_all(&ok(headers, PAGE)).await;
            }
        }
    })
    .await
}

fn client(server: &FaultServer, tls: TlsOptions) -> Client {
    let endpoint = format!("https://{}", server.address()).parse().unwrap();
    Client::new(
        endpoint,
        ClientOptions {
            tls,
            ..ClientOptions::default()
        },
    )
    .unwrap()
}

async fn get(client: &Client) -> Result<ResponseMeta, FetchError> {
    let mut page = Page::new();
    let result = client.get(&mut page, Instant::now() + PLENTY).await;
    assert_eq!(page.bytes().is_empty(), result.is_err());
    result
}

/// A folder with PEM files.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

fn trusting(ca_file: &Path) -> TlsOptions {
    TlsOptions {
        ca_file: Some(ca_file.to_owned()),
        ..TlsOptions::default()
    }
}

#[tokio::test]
async fn reads_over_tls_with_an_own_authority() {
    let authority = Authority::new("ours");
    let ca_file = Files::new();
    let ca = ca_file.put("ca.pem", &authority.pem);
    let server = serve(&authority.issue(), None).await;
    let client = client(&server, trusting(&ca));
    for round in 0..3 {
        let meta = get(&client).await.unwrap();
        assert_eq!(meta.certificate_not_after(), Some(END));
        assert_eq!(meta.reused_connection(), round > 0);
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn says_what_is_wrong_with_a_certificate() {
    let (authority, other) = (Authority::new("ours"), Authority::new("another"));
    let files = Files::new();
    let ca = files.put("ca.pem", &authority.pem);
    for (identity, what) in [
        (other.issue(), "unknown authority; set --scrape.ca-file"),
        (
            authority.issue_for("127.0.0.1", (2001, 2002)),
            "has expired; renew it",
        ),
        (
            authority.issue_for("127.0.0.1", (2090, 2091)),
            "is not valid yet; check the clocks",
        ),
        (
            authority.issue_for("other.example", (2020, 2039)),
            "another host name; use a name",
        ),
    ] {
        let server = serve(&identity, None).await;
        let error = get(&client(&server, trusting(&ca))).await.unwrap_err();
        assert_eq!(error.reason(), Reason::Tls, "{error}");
        assert!(error.to_string().contains(what), "{error}");
        let expired = what.contains("expired");
        assert_eq!(
            error.certificate_not_after(),
            expired.then_some(1_041_292_800)
        );
    }
}

/// A certificate that signs itself.
fn self_signed(is_ca: IsCa) -> Identity {
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = is_ca;
    let key = KeyPair::generate().unwrap();
    Identity {
        cert: params.self_signed(&key).unwrap().pem(),
        key: key.serialize_pem(),
    }
}

#[tokio::test]
async fn says_how_to_make_a_certificate_that_signs_itself() {
    let files = Files::new();
    let as_openssl_does = self_signed(IsCa::Ca(BasicConstraints::Unconstrained));
    let authority = Authority::new("ours");
    for trusted in [&as_openssl_does.cert, &authority.pem] {
        let server = serve(&as_openssl_does, None).await;
        let client = client(&server, trusting(&files.put("a.pem", trusted)));
        let error = get(&client).await.unwrap_err();
        assert_eq!(error.reason(), Reason::Tls);
        let error = error.to_string();
        for said in ["one for an authority", "CA:FALSE", "--scrape.ca-file"] {
            assert!(error.contains(said), "{error}");
        }
        assert!(!error.contains("OtherError"), "{error}");
    }
    // What is advised works.
    let advised = self_signed(IsCa::ExplicitNoCa);
    let server = serve(&advised, None).await;
    let ca = files.put("b.pem", &advised.cert);
    get(&client(&server, trusting(&ca))).await.unwrap();
}

#[tokio::test]
async fn takes_another_server_name_and_where_told_to_anyone() {
    let authority = Authority::new("ours");
    let files = Files::new();
    let ca = files.put("ca.pem", &authority.pem);
    let server = serve(&authority.issue_for("other.example", (2020, 2039)), None).await;
    let named = TlsOptions {
        server_name: Some("other.example".to_owned()),
        ..trusting(&ca)
    };
    get(&client(&server, named)).await.unwrap();
    let anyone = TlsOptions {
        insecure_skip_verify: true,
        ..TlsOptions::default()
    };
    let meta = get(&client(&server, anyone)).await.unwrap();
    assert_eq!(meta.certificate_not_after(), Some(END));
}

#[tokio::test]
async fn shows_a_client_certificate() {
    let (authority, clients) = (Authority::new("ours"), Authority::new("clients"));
    let files = Files::new();
    let ca = files.put("ca.pem", &authority.pem);
    let server = serve(&authority.issue(), Some(&clients)).await;
    let error = get(&client(&server, trusting(&ca))).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Tls, "{error}");
    assert!(error.to_string().contains("--scrape.cert-file"), "{error}");

    let ours = clients.issue_for("exporter", (2020, 2039));
    let shown = TlsOptions {
        client_cert_file: Some(files.put("client.pem", &ours.cert)),
        client_key_file: Some(files.put("client.key", &ours.key)),
        ..trusting(&ca)
    };
    get(&client(&server, shown)).await.unwrap();
}

#[tokio::test]
async fn says_that_the_port_does_not_speak_tls() {
    let files = Files::new();
    let ca = files.put("ca.pem", &Authority::new("ours").pem);
    let plain = FaultServer::start(|_, mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    })
    .await;
    let error = get(&client(&plain, trusting(&ca))).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Tls, "{error}");
    assert!(error.to_string().contains("use http://"), "{error}");

    let closing = FaultServer::start(|_, _| async {}).await;
    let error = get(&client(&closing, trusting(&ca))).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Tls, "{error}");
}

#[tokio::test]
async fn says_that_the_port_speaks_tls() {
    let server = serve(&Authority::new("ours").issue(), None).await;
    let client = Client::new(server.url().parse().unwrap(), ClientOptions::default()).unwrap();
    let error = get(&client).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Http, "{error}");
    assert!(error.to_string().contains("use https://"), "{error}");
}

#[tokio::test]
async fn refuses_old_tls() {
    let files = Files::new();
    let ca = files.put("ca.pem", &Authority::new("ours").pem);
    // A fatal alert: protocol_version.
    let old = FaultServer::start(|_, mut stream| async move {
        let _ = stream.write_all(&[0x15, 3, 1, 0, 2, 2, 70]).await;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    })
    .await;
    let error = get(&client(&old, trusting(&ca))).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Tls, "{error}");
    assert!(error.to_string().contains("ProtocolVersion"), "{error}");
}

#[tokio::test]
async fn a_stalled_handshake_ends_at_the_deadline() {
    let files = Files::new();
    let ca = files.put("ca.pem", &Authority::new("ours").pem);
    let server = FaultServer::start(|_, stream| async move {
        sleep(PLENTY).await;
        drop(stream);
    })
    .await;
    let client = client(&server, trusting(&ca));
    let begin = Instant::now();
    let error = client
        .get(&mut Page::new(), begin + Duration::from_millis(300))
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::Timeout, "{error}");
    assert!(
        error.to_string().contains("the TLS handshake did not end"),
        "{error}"
    );
    assert!(begin.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn follows_files_that_change_and_keeps_the_old_while_they_are_broken() {
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let files = Files::new();
    let ca = files.put("ca.pem", &first.pem);
    // Each reading needs a new connection, so each looks at the file.
    let server = serve_with(&first.issue(), None, "Connection: close\r\n").await;
    let client = client(&server, trusting(&ca));
    get(&client).await.unwrap();

    let (half, _) = second.pem.split_at(100);
    files.put("ca.pem", half);
    get(&client).await.unwrap();
    fs::remove_file(&ca).unwrap();
    get(&client).await.unwrap();

    files.put("ca.pem", &second.pem);
    let error = get(&client).await.unwrap_err();
    assert!(error.to_string().contains("unknown authority"), "{error}");

    files.put("ca.pem", &format!("{}\n{}", second.pem, first.pem));
    get(&client).await.unwrap();
    assert_eq!(server.accepted(), 5);
}

#[test]
fn names_the_file_that_cannot_be_used() {
    let authority = Authority::new("ours");
    let files = Files::new();
    let (ours, other) = (authority.issue(), authority.issue());
    let ca = files.put("ca.pem", &authority.pem);
    let cert = files.put("client.pem", &ours.cert);
    let empty = files.put("empty.pem", "");
    let noise = files.put(
        "noise.pem",
        "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n",
    );
    let other_key = files.put("other.key", &other.key);
    let pair = |cert: &Path, key: &Path| TlsOptions {
        client_cert_file: Some(cert.to_owned()),
        client_key_file: Some(key.to_owned()),
        ..trusting(&ca)
    };
    for (tls, names) in [
        (
            trusting(Path::new("/no/such/ca.pem")),
            vec!["/no/such/ca.pem"],
        ),
        (trusting(&empty), vec!["empty.pem", "no certificate"]),
        (trusting(&noise), vec!["noise.pem"]),
        (pair(&cert, &empty), vec!["empty.pem", "client key"]),
        (pair(&cert, &other_key), vec!["client.pem", "other.key"]),
        (
            TlsOptions {
                client_cert_file: Some(cert.clone()),
                ..trusting(&ca)
            },
            vec!["both"],
        ),
        (
            TlsOptions {
                server_name: Some("a b".to_owned()),
                ..trusting(&ca)
            },
            vec!["`a b`"],
        ),
    ] {
        let endpoint = "https://h:1".parse().unwrap();
        let options = ClientOptions {
            tls,
            ..ClientOptions::default()
        };
        let error = Client::new(endpoint, options).unwrap_err().to_string();
        assert!(error.starts_with("h:1: "), "{error}");
        for name in names {
            assert!(error.contains(name), "{name} in {error}");
        }
    }
}
