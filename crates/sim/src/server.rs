//! A twin behind a real HTTP/1.1 server, with virtual time bound to the clock.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::net::ToSocketAddrs;

use crate::http::{Clocked, Listening, Passes, Site};
use crate::truth::Truth;
use crate::twin::Twin;
use crate::vllm::{Layout, LayoutError, api};

/// A server about to start: a twin, how it speaks, and how fast its time passes.
///
/// ```
/// use tokenpath_sim::vllm::{Layout, Release};
/// use tokenpath_sim::{Config, Server, Twin};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let twin = Twin::new(Config::default())?;
/// let server = Server::new(twin, Layout::of(Release::latest())).bind("127.0.0.1:0").await?;
/// println!("http://{}/metrics", server.local_addr());
/// server.stop().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Server {
    twin: Twin,
    layout: Layout,
    speed: f64,
}

/// A server that could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The layout cannot say this twin's state.
    #[error("the page cannot be written")]
    Layout(#[from] LayoutError),
    /// The address cannot be listened on.
    #[error("cannot listen")]
    Listen(#[source] io::Error),
}

impl Server {
    /// A server of `twin` that speaks as `layout`, in real time.
    pub fn new(twin: Twin, layout: Layout) -> Self {
        Self {
            twin,
            layout,
            speed: 1.0,
        }
    }

    /// Seconds of virtual time per second, 1 by default. At 0 time stands still but for
    /// [`Running::with_twin`]. Anything that is not a finite positive number is 0. At a speed that
    /// the machine cannot follow, or after it slept, virtual time falls behind.
    #[must_use]
    pub fn speed(mut self, speed: f64) -> Self {
        self.speed = speed;
        self
    }

    /// Listens, and starts to serve and to let time pass on the current tokio runtime.
    ///
    /// The twin is a test double: give it a loopback address unless others are meant to read it.
    ///
    /// # Errors
    /// The address is taken or not ours, or the layout does not fit the twin.
    ///
    /// # Panics
    /// Outside a tokio runtime with its timers and I/O enabled.
    pub async fn bind(self, address: impl ToSocketAddrs) -> Result<Running, BindError> {
        self.layout.check(&self.twin.truth().config)?;
        let state = State {
            twin: self.twin,
            layout: self.layout,
        };
        let shared = Arc::new(Clocked::new(state, self.speed));
        let listening = Listening::bind(address, Arc::new(Vllm(Arc::clone(&shared))))
            .await
            .map_err(BindError::Listen)?;
        Ok(Running { shared, listening })
    }
}

/// A server at work. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct Running {
    shared: Arc<Clocked<State>>,
    listening: Listening,
}

impl Running {
    /// The address it listens on, with the port it got.
    pub fn local_addr(&self) -> SocketAddr {
        self.listening.local_addr()
    }

    /// What is true at this moment: what a page asked for now would say.
    pub fn truth(&self) -> Truth {
        self.shared.current().thing.twin.truth().clone()
    }

    /// Does something to the twin at this moment: an incident, or a step of time. Pages wait
    /// meanwhile.
    pub fn with_twin<T>(&self, act: impl FnOnce(&mut Twin) -> T) -> T {
        act(&mut self.shared.current().thing.twin)
    }

    /// Speaks as another release from now on, as after an upgrade that keeps the state.
    ///
    /// # Errors
    /// The layout does not fit the twin; the old one stays.
    pub fn set_layout(&self, layout: Layout) -> Result<(), LayoutError> {
        let mut moment = self.shared.current();
        let state = &mut moment.thing;
        layout.check(&state.twin.truth().config)?;
        state.layout = layout;
        Ok(())
    }

    /// Stops listening, lets answers under way finish for at most two seconds, and returns.
    pub async fn stop(self) {
        self.listening.stop().await;
    }
}

#[derive(Debug)]
struct State {
    twin: Twin,
    layout: Layout,
}

impl Passes for State {
    fn pass(&mut self, seconds: f64) {
        self.twin.advance(seconds);
    }
}

/// vLLM's API server over a state.
struct Vllm(Arc<Clocked<State>>);

impl Site for Vllm {
    fn answer(&self, request: &Request<Incoming>) -> Option<Response<Full<Bytes>>> {
        let moment = self.0.current();
        let state = &moment.thing;
        Some(api::answer(request, state.twin.truth(), &state.layout))
    }

    fn tick(&self) {
        drop(self.0.current());
    }
}
