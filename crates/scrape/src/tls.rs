//! TLS to a target: whom we trust, who we are.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// How TLS to a target is set up. The default trusts the machine's own roots.
#[derive(Clone, Debug, Default)]
pub struct TlsOptions {
    /// PEM file with the authorities to trust *instead* of the machine's.
    pub ca_file: Option<PathBuf>,
    /// PEM file with our certificate, and its chain. Goes with `client_key_file`.
    pub client_cert_file: Option<PathBuf>,
    /// PEM file with the private key of our certificate.
    pub client_key_file: Option<PathBuf>,
    /// The name that the target's certificate must have, where it is not the host of the endpoint.
    pub server_name: Option<String>,
    /// Takes any certificate: what is read may then come from anyone in between.
    pub insecure_skip_verify: bool,
}

/// The TLS of one target. Its files are watched: when one of them changes, new connections use the
/// new content; while that cannot be used, the old one stays.
pub(crate) struct Tls {
    options: TlsOptions,
    name: ServerName<'static>,
    loaded: Mutex<Loaded>,
}

struct Loaded {
    config: Arc<ClientConfig>,
    stamps: [Option<Stamp>; 3],
}

/// What tells that a file is another one than before.
type Stamp = (SystemTime, u64);

impl Tls {
    pub(crate) fn new(options: TlsOptions, host: &str) -> Result<Self, TlsError> {
        let name = options.server_name.as_deref().unwrap_or(host);
        // An IPv6 address stands in brackets in a URL and without them in a certificate.
        let bare = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'))
            .unwrap_or(name);
        let name = ServerName::try_from(bare.to_owned())
            .map_err(|_| TlsError::ServerName(name.to_owned()))?;
        let stamps = stamps(&options);
        let config = load(&options)?;
        Ok(Self {
            options,
            name,
            loaded: Mutex::new(Loaded { config, stamps }),
        })
    }

    pub(crate) fn server_name(&self) -> ServerName<'static> {
        self.name.clone()
    }

    /// For one connection. Looks at the files, and reads them when they have changed.
    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = stamps(&self.options);
        if stamps != loaded.stamps {
            // Remembered either way: a file that stays broken is told about once.
            loaded.stamps = stamps;
            match load(&self.options) {
                Ok(config) => loaded.config = config,
                Err(error) => {
                    tracing::warn!(%error, "TLS files changed and cannot be used; the old ones stay")
                }
            }
        }
        Arc::clone(&loaded.config)
    }
}

fn stamps(options: &TlsOptions) -> [Option<Stamp>; 3] {
    [
        &options.ca_file,
        &options.client_cert_file,
        &options.client_key_file,
    ]
    .map(|path| {
        let meta = fs::metadata(path.as_ref()?).ok()?;
        Some((meta.modified().ok()?, meta.len()))
    })
}

fn load(options: &TlsOptions) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?;
    let builder = if options.insecure_skip_verify {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(TrustAnyone(provider)))
    } else {
        let roots = match &options.ca_file {
            Some(path) => Arc::new(roots_from(path)?),
            None => machine_roots()?,
        };
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
        let verifier =
            verifier.map_err(|error| TlsError::Setup(rustls::Error::General(error.to_string())))?;
        builder.with_webpki_verifier(verifier)
    };
    let mut config = match (&options.client_cert_file, &options.client_key_file) {
        (None, None) => builder.with_no_client_auth(),
        (Some(cert), Some(key)) => {
            let chain = certificates_from(cert)?;
            let private = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| TlsError::file("client key", key, &error))?;
            builder
                .with_client_auth_cert(chain, private)
                .map_err(|cause| TlsError::Pair {
                    cert: cert.clone(),
                    key: key.clone(),
                    cause,
                })?
        }
        _ => return Err(TlsError::HalfPair),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // One target, one connection: the default keeps room for 256 servers.
    config.resumption = Resumption::in_memory_sessions(1);
    Ok(Arc::new(config))
}

fn certificates_from(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    match all {
        Ok(all) if all.is_empty() => {
            Err(TlsError::file("certificate", path, &"no certificate in it"))
        }
        Ok(all) => Ok(all),
        Err(error) => Err(TlsError::file("certificate", path, &error)),
    }
}

fn roots_from(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates_from(path)? {
        roots
            .add(certificate)
            .map_err(|error| TlsError::file("CA", path, &error))?;
    }
    Ok(roots)
}

/// The roots of the machine: some hundred, so they are read when the first target needs them, shared
/// by all, and dropped with the last.
fn machine_roots() -> Result<Arc<RootCertStore>, TlsError> {
    static SHARED: Mutex<Weak<RootCertStore>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(roots) = shared.upgrade() {
        return Ok(roots);
    }
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Old roots that rustls cannot read are common and do no harm as long as others are there.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let errors: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
        return Err(TlsError::NoRoots(errors.join(", ")));
    }
    let roots = Arc::new(roots);
    *shared = Arc::downgrade(&roots);
    Ok(roots)
}

/// TLS options that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing or is not what it should be.
    #[error("cannot use the {kind} file {}: {what}", path.display())]
    File {
        /// What it is for.
        kind: &'static str,
        /// The file as configured.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Certificate and key do not go together.
    #[error("the client certificate {} and the key {} cannot be used together: {cause}", cert.display(), key.display())]
    Pair {
        /// The certificate file.
        cert: PathBuf,
        /// The key file.
        key: PathBuf,
        /// What rustls says.
        cause: rustls::Error,
    },
    /// Only one of certificate and key is set.
    #[error("a client certificate needs both its certificate file and its key file")]
    HalfPair,
    /// The server name is neither a DNS name nor an address.
    #[error("`{0}` is not a server name: it must be a host name or an IP address")]
    ServerName(String),
    /// The machine has no certificate store.
    #[error(
        "no trusted certificate found on this machine ({0}); install ca-certificates or set a CA file"
    )]
    NoRoots(String),
    /// rustls refuses the setup as a whole.
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

impl TlsError {
    fn file(kind: &'static str, path: &Path, what: &dyn ToString) -> Self {
        Self::File {
            kind,
            path: path.to_owned(),
            what: what.to_string(),
        }
    }
}

/// `insecure_skip_verify`: the chain is not looked at, the signatures of the handshake are.
#[derive(Debug)]
struct TrustAnyone(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustAnyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
