//! A gateway's page, read over HTTP.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokenpath_core::exposition::Format;
use tokenpath_core::translate::Report;
use tokenpath_core::{CollectError, Desc, Reason, Snapshot, Source, SourceId};
use tokenpath_scrape::{
    Auth, Client, ClientOptions, Credential, Endpoint, FetchError, Page, SetupError, verdict,
};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::{GatewayOptions, GatewayTranslator, compiled};

/// Where Kubernetes puts the token of a pod's ServiceAccount.
pub const KUBERNETES_TOKEN_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// The token of our own pod, read again for every request because Kubernetes rotates it.
///
/// Never used unless asked for: the token would be sent to whatever the endpoint is.
#[must_use]
pub fn kubernetes_token() -> Auth {
    Auth::Bearer(Credential::File(KUBERNETES_TOKEN_FILE.into()))
}

/// How a gateway is read.
#[derive(Clone, Debug)]
pub struct GatewaySourceOptions {
    /// How its pages are translated.
    pub gateway: GatewayOptions,
    /// How requests are made. Endpoint pickers want a bearer token unless they are told not to: see
    /// [`kubernetes_token`].
    pub client: ClientOptions,
    /// Longest time for a page; 10 s by default. Whoever runs the source may end it sooner.
    pub timeout: Duration,
}

impl Default for GatewaySourceOptions {
    fn default() -> Self {
        Self {
            gateway: GatewayOptions::default(),
            client: ClientOptions::default(),
            timeout: Duration::from_secs(10),
        }
    }
}

/// A gateway as a [`Source`].
///
/// Where the gateway refuses the page, the error says which token or rule is missing.
pub struct GatewaySource {
    id: SourceId,
    client: Client,
    timeout: Duration,
    described: Vec<Arc<Desc>>,
    state: Mutex<State>,
}

struct State {
    translator: GatewayTranslator,
    page: Page,
}

impl GatewaySource {
    /// A source for the gateway whose page is at `endpoint`. No network I/O.
    ///
    /// # Errors
    ///
    /// Where the client cannot be set up with these options.
    pub fn new(endpoint: Endpoint, options: GatewaySourceOptions) -> Result<Self, SetupError> {
        Ok(Self {
            id: SourceId::new("gateway", endpoint.target()),
            client: Client::new(endpoint, options.client)?,
            timeout: options.timeout,
            described: compiled().describe().to_vec(),
            state: Mutex::new(State {
                translator: GatewayTranslator::new(options.gateway),
                page: Page::new(),
            }),
        })
    }
}

impl GatewaySource {
    /// What became of each family of the newest page that had something new.
    pub async fn report(&self) -> Report {
        self.state.lock().await.translator.report().clone()
    }
}

impl Source for GatewaySource {
    fn id(&self) -> &SourceId {
        &self.id
    }

    fn describe(&self) -> &[Arc<Desc>] {
        &self.described
    }

    async fn collect(&self, out: &mut Snapshot) -> Result<(), CollectError> {
        let mut state = self.state.lock().await;
        let State { translator, page } = &mut *state;
        let deadline = Instant::now() + self.timeout;
        let meta = self.client.get(page, deadline).await.map_err(refused)?;
        let format = Format::sniff(page.bytes(), meta.content_type());
        translator
            .translate(page.bytes(), format, out)
            .map_err(|error| verdict::unreadable(self.client.endpoint(), page.bytes(), error))?;
        out.tally_mut().certificate_expiry_seconds = meta.certificate_not_after();
        let report = translator.report();
        // A controller that has not seen a request yet has its library's families only.
        let idle = |name: &str| name.starts_with("controller_runtime_");
        if report.families.iter().any(|family| idle(&family.name))
            && report.unmapped().next().is_none()
        {
            return Ok(());
        }
        verdict::judge(self.client.endpoint(), self.id.kind(), report)
    }
}

impl fmt::Debug for GatewaySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GatewaySource").field(&self.id).finish()
    }
}

/// A page that the gateway refused, with what to do in its own terms.
#[derive(Debug)]
struct Refused {
    hint: &'static str,
    cause: FetchError,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. {}", self.cause, self.hint)
    }
}

impl std::error::Error for Refused {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.source()
    }
}

fn refused(cause: FetchError) -> CollectError {
    let reason = cause.reason();
    let hint = match reason {
        Reason::Unauthorized => {
            "Endpoint pickers want the token of a ServiceAccount: in a pod that is the file \
             /var/run/secrets/kubernetes.io/serviceaccount/token; elsewhere `kubectl create token` \
             makes one. A picker started with --metrics-endpoint-auth=false wants none"
        }
        Reason::Forbidden => {
            "The token is good, and its ServiceAccount may not read the page. Bind it to a \
             ClusterRole with this rule: nonResourceURLs: [\"/metrics\"], verbs: [\"get\"]"
        }
        Reason::ServerError => {
            "If the picker cannot check tokens, its own ServiceAccount lacks this ClusterRole: \
             verb create on tokenreviews (authentication.k8s.io) and on subjectaccessreviews \
             (authorization.k8s.io)"
        }
        _ => return CollectError::new(reason, cause),
    };
    CollectError::new(reason, Refused { hint, cause })
}
